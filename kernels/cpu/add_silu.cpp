// x += silu(y), the residual block of a Medusa head (Cai et al., 2024). Element by element; the last elements go through a vector of their
// own.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

NATIVESPEC_INLINE Floats Added(Floats x, Floats y) {
  return Add(x, Divide(y, Add(Broadcast(1.0f), Exp(Subtract(Broadcast(0.0f), y)))));
}

}  // namespace

void AddSilu(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const AddSiluArguments*>(arguments);
  for (int64_t row = begin; row < end; ++row) {
    float* x = a.x + row * a.width;
    const float* y = a.y + row * a.width;
    int64_t i = 0;
    for (; i + kWidth <= a.width; i += kWidth) {
      Store(x + i, Added(Load(x + i), Load(y + i)));
    }
    if (i < a.width) {
      const auto bytes = static_cast<size_t>(a.width - i) * sizeof(float);
      float xs[kWidth] = {}, ys[kWidth] = {};
      std::memcpy(xs, x + i, bytes);
      std::memcpy(ys, y + i, bytes);
      Store(xs, Added(Load(xs), Load(ys)));
      std::memcpy(x + i, xs, bytes);
    }
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
