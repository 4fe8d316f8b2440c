// The choice of a token: the highest logit, or the highest of logit / temperature + Gumbel noise among the kept ids, which draws from their
// distribution. Blocks meet in one atomic maximum of whole numbers, which no order changes.
#include "noise.h"
#include "operations.h"

namespace nativespec::cuda {
namespace {

/// Numbers in the order of floats: the higher, the greater; then the lower id. NaN is below everything.
NS_DEVICE uint64_t Rank(float value, int id) {
  const uint32_t bits = BitsOf(value), order = value != value ? 0 : (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return (uint64_t)order << 32 | (uint32_t)~id;
}

NS_DEVICE void Choose(const ChooseArguments& a) {
  AllowKernelBehind();
  WaitForKernelInFront();
  const int row = BlockIndexY(), begin = BlockIndex() * kChoosePiece, end = begin + kChoosePiece < a.vocabulary ? begin + kChoosePiece : a.vocabulary;
  const float inverse_temperature = a.inverse_temperature[row], floor = a.floor[row];
  const float* logits = a.logits + (int64_t)row * a.vocabulary;
  uint64_t best = 0;
  for (int id = begin + ThreadIndex(); id < end; id += BlockThreads()) {
    float value = logits[id];
    if (inverse_temperature != 0) {
      if (!(value >= floor)) {
        continue;
      }
      value = Add(Multiply(value, inverse_temperature), GumbelNoise(a.seeds[row], a.positions[row], id));
    }
    const uint64_t rank = Rank(value, id);
    best = rank > best ? rank : best;
  }
  NS_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const uint64_t other = (uint64_t)ShuffleXor((uint32_t)(best >> 32), lanes) << 32 | ShuffleXor((uint32_t)best, lanes);
    best = other > best ? other : best;
  }
  if (Lane() == 0 && best != 0) {
    AtomicMaximum(a.best + row, best);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(256, 1) choose(const nativespec::cuda::ChooseArguments a) { nativespec::cuda::Choose(a); }
