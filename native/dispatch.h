// Which instruction-set levels this library holds, which of them this processor runs, and which it takes.
#pragma once

#include "../kernels/cpu/operations.h"

namespace nativespec {

/// The levels built in, slowest first.
int LevelCount();
const char* LevelName(int level);
bool LevelRuns(int level);
int DefaultLevel();
const Operations& LevelOperations(int level);

}  // namespace nativespec
