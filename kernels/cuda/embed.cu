// Token ids to rows of the embedding table.
#include "operations.h"

namespace nativespec::cuda {
namespace {

NS_DEVICE void Embed(const EmbedArguments& a) {
  const int row = BlockIndex();
  AllowKernelBehind();
  WaitForKernelInFront();
  const int64_t first = (int64_t)LoadGlobal(a.tokens + row) * a.width;
  for (int i = ThreadIndex(); i < a.width; i += BlockThreads()) {
    float value;
    if (a.format == (int)Format::kF32) {
      value = ((const float*)a.table)[first + i];
    } else {
      const uint16_t bits = ((const uint16_t*)a.table)[first + i];
      value = a.format == (int)Format::kBF16 ? FromBF16(bits) : FromF16(bits);
    }
    a.x[(int64_t)row * a.width + i] = Multiply(value, a.scale);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(256, 1) embed(const nativespec::cuda::EmbedArguments a) { nativespec::cuda::Embed(a); }
