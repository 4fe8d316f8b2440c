// What the kernel files of one level give to its table.
#pragma once

#include "operations.h"

namespace nativespec::NATIVESPEC_LEVEL {

MatMulKernel FloatMatMul(ElementType type);

}  // namespace nativespec::NATIVESPEC_LEVEL
