// y = silu(gate) · up with silu(z) = z / (1 + e^-z) (Shazeer, 2020).
//
// gate, up, y: [rows, columns]. Element by element, so nothing depends on a neighbour, and any columns may be computed together; the last
// elements of a row go through a vector of their own.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

NATIVESPEC_INLINE Floats Gated(Floats gate, Floats up) {
  const Floats e = Exp(Subtract(Broadcast(0.0f), gate));
  return Multiply(Divide(gate, Add(Broadcast(1.0f), e)), up);
}

}  // namespace

void SwiGlu(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const SwiGluArguments*>(arguments);
  const int64_t pieces = a.Pieces();
  for (int64_t piece = begin; piece < end; ++piece) {
    const int64_t row = piece / pieces;
    const float *gate = a.gate + row * a.in_stride, *up = a.up + row * a.in_stride;
    float* y = a.y + row * a.out_stride;
    int64_t i = piece % pieces * kSwiGluColumns;
    const int64_t last = Smaller(i + kSwiGluColumns, a.columns);
    for (; i + kWidth <= last; i += kWidth) {
      Store(y + i, Gated(Load(gate + i), Load(up + i)));
    }
    if (i < last) {
      const auto bytes = static_cast<size_t>(last - i) * sizeof(float);
      float gates[kWidth] = {}, ups[kWidth] = {}, results[kWidth];
      std::memcpy(gates, gate + i, bytes);
      std::memcpy(ups, up + i, bytes);
      Store(results, Gated(Load(gates), Load(ups)));
      std::memcpy(y + i, results, bytes);
    }
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
