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
  const uint64_t seed = a.seeds[row];
  const int position = a.positions[row];
  const float* logits = a.logits + (int64_t)row * a.vocabulary;
  uint64_t best = 0;
  constexpr int kTogether = 8;  // loads that are under way at once
  for (int first = begin + ThreadIndex(); first < end; first += kTogether * BlockThreads()) {
    float values[kTogether];
    NS_UNROLL
    for (int i = 0; i < kTogether; ++i) {
      const int id = first + i * BlockThreads();
      values[i] = id < end ? logits[id] : 0;
    }
    NS_UNROLL
    for (int i = 0; i < kTogether; ++i) {
      const int id = first + i * BlockThreads();
      if (id < end && (inverse_temperature == 0 || values[i] >= floor)) {
        const float value = inverse_temperature == 0 ? values[i] : Add(Multiply(values[i], inverse_temperature), GumbelNoise(seed, position, id));
        const uint64_t rank = Rank(value, id);
        best = rank > best ? rank : best;
      }
    }
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
