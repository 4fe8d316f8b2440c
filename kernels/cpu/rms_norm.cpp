// y[i] = x[i] / sqrt(mean(x²) + eps) · gain[i], row by row (Zhang and Sennrich, 2019).
//
// x, y: [rows, width]; gain: [width]. Σ x² runs in eight vectors of partial sums, then Sum8's lanes and the eight in order, then the
// rest one by one: a fixed order that depends on the width alone.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

float SumOfSquares(const float* x, int64_t width) {
  Floats sums[8];
  for (Floats& sum : sums) {
    sum = Broadcast(0.0f);
  }

  int64_t i = 0;
  for (; i + 8 * kWidth <= width; i += 8 * kWidth) {
    NATIVESPEC_UNROLL
    for (int j = 0; j < 8; ++j) {
      const Floats v = Load(x + i + j * kWidth);
      sums[j] = MultiplyAdd(v, v, sums[j]);
    }
  }

  float totals[8], total = 0;
  Sum8(sums, totals);
  for (const float part : totals) {
    total += part;
  }
  for (; i < width; ++i) {
    total += x[i] * x[i];
  }
  return total;
}

}  // namespace

void RmsNorm(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const RmsNormArguments*>(arguments);
  for (int64_t row = begin; row < end; ++row) {
    const float* x = a.x + row * a.width;
    float* y = a.y + row * a.width;
    const float scale = 1.0f / sqrtf(SumOfSquares(x, a.width) / static_cast<float>(a.width) + a.epsilon);
    const Floats scales = Broadcast(scale);
    int64_t i = 0;
    for (; i + kWidth <= a.width; i += kWidth) {
      Store(y + i, Multiply(Multiply(Load(x + i), scales), Load(a.gain + i)));
    }
    for (; i < a.width; ++i) {
      y[i] = x[i] * scale * a.gain[i];
    }
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
