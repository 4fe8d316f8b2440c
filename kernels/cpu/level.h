// What the kernel files of one level give to its table. Some levels are another level with one kernel more: those compile that file alone.
#pragma once

#include "operations.h"

namespace nativespec::NATIVESPEC_LEVEL {

MatMulKernel FloatMatMul(ElementType type);
MatMulKernel BF16DotMatMul();
MatMulKernel QuantizedMatMul(int bits);
Work QuantizeWork(int bits);
void Gemm(const void* arguments, int64_t begin, int64_t end);
void RmsNorm(const void* arguments, int64_t begin, int64_t end);
void SwiGlu(const void* arguments, int64_t begin, int64_t end);
void AddSilu(const void* arguments, int64_t begin, int64_t end);
void Rope(const void* arguments, int64_t begin, int64_t end);
void TreeAttention(const void* arguments, int64_t begin, int64_t end);
void Embed(const void* arguments, int64_t begin, int64_t end);
void Read(const void* arguments, int64_t begin, int64_t end);
void Peak(const void* arguments, int64_t begin, int64_t end);

/// The table of a level that has everything.
const Operations& Table();

}  // namespace nativespec::NATIVESPEC_LEVEL
