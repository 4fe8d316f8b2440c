// Multiplies and adds in registers and does nothing else: the roofline that the matmuls of many tokens are measured against.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

/// Sums that wait for nobody but themselves: more than a multiply-add's latency times those that begin in a cycle.
constexpr int kSums = 12;

template <class Sum, class Step, class Floating>
NATIVESPEC_INLINE Floats Repeat(Sum start, int64_t steps, Step step, Floating floating) {
  Sum sums[kSums];
  NATIVESPEC_UNROLL
  for (int i = 0; i < kSums; ++i) {
    sums[i] = start;
  }
  for (; steps > 0; --steps) {
    NATIVESPEC_UNROLL
    for (int i = 0; i < kSums; ++i) {
      sums[i] = step(sums[i]);
      NATIVESPEC_KEEP(sums[i]);
    }
  }
  Floats total = Broadcast(0.0f);
  NATIVESPEC_UNROLL
  for (int i = 0; i < kSums; ++i) {
    total = Add(total, floating(sums[i]));
  }
  return total;
}

}  // namespace

void Peak(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const PeakArguments*>(arguments);
  const int64_t all = (end - begin) * kPeakMultiplyAdds;
  Floats total;
  if (a.bytes) {
    alignas(64) const uint8_t weights[4 * kWidth] = {1, 2, 3};
    const Bytes w = LoadBytes(weights);
    Ints x = BroadcastInt(a.seed);
    const auto dot = [&](Ints sum) {
      NATIVESPEC_KEEP(x);  // or else the products, always the same, would be computed once
      return Dot4(sum, w, x);
    };
    total = Repeat(x, all / (kSums * kWidth * 4), dot, [](Ints sum) { return ToFloats(sum); });
  } else {
    const Floats x = Broadcast(static_cast<float>(a.seed));
    total = Repeat(x, all / (kSums * kWidth), [&](Floats sum) { return MultiplyAdd(x, x, sum); }, [](Floats sum) { return sum; });
  }

  float lanes[kWidth];
  Store(lanes, total);
  if (lanes[0] == -1.0f) {
    *a.seen = lanes[0];  // never: it keeps the sums
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
