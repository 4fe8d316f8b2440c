// What the kernel files of one level give to its table.
#pragma once

#include "operations.h"

namespace nativespec::NATIVESPEC_LEVEL {

MatMulKernel FloatMatMul(ElementType type);
MatMulKernel QuantizedMatMul(int bits);
Work QuantizeWork(int bits);

}  // namespace nativespec::NATIVESPEC_LEVEL
