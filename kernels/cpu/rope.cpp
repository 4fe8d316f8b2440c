// Rotary position embedding (Su et al., 2021), with the cosines and sines as data: (a, b) -> (a cos - b sin, b cos + a sin) for the pairs
// (i, i + rotary_dim/2) of each head of q and k; the rest of a head stays. Before it an RMSNorm of each head, where there is a gain. Keys and
// values then go to their cache rows, as F32 or rounded to BF16.
//
// qkv: [rows, (heads + 2·kv_heads)·head_dim]; keys, values: [cache rows, kv_heads·head_dim]; cos, sin: [positions, rotary_dim/2].
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

NATIVESPEC_INLINE void Rotate(const float* from, float* to, const float* cos, const float* sin, int64_t half) {
  int64_t i = 0;
  for (; i + kWidth <= half; i += kWidth) {
    const Floats a = Load(from + i), b = Load(from + half + i), c = Load(cos + i), s = Load(sin + i);
    Store(to + i, Subtract(Multiply(a, c), Multiply(b, s)));
    Store(to + half + i, Add(Multiply(b, c), Multiply(a, s)));
  }
  for (; i < half; ++i) {
    const float a = from[i], b = from[half + i];
    to[i] = a * cos[i] - b * sin[i];
    to[half + i] = b * cos[i] + a * sin[i];
  }
}

/// Norms heads in place: each is a row of its own.
void NormHeads(float* x, const float* gain, float epsilon, int64_t heads, int64_t head_dim) {
  if (gain != nullptr) {
    const RmsNormArguments a{x, gain, x, head_dim, epsilon};
    RmsNorm(&a, 0, heads);
  }
}

void Keep(const KvPlanes& kv, void* plane, int64_t at, const float* values, int64_t count) {
  if (!kv.bf16) {
    std::memcpy(static_cast<float*>(plane) + at, values, static_cast<size_t>(count) * sizeof(float));
    return;
  }

  auto* target = static_cast<uint16_t*>(plane) + at;
  for (int64_t i = 0; i < count; ++i) {
    target[i] = ToBF16(values[i]);
  }
}

}  // namespace

void Rope(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const RopeArguments*>(arguments);
  const int64_t width = a.kv_heads * a.head_dim, half = a.rotary_dim / 2;
  for (int64_t row = begin; row < end; ++row) {
    float* q = a.qkv + row * (a.heads * a.head_dim + 2 * width);
    float* k = q + a.heads * a.head_dim;
    const float* v = k + width;
    const float *cos = a.cos + a.positions[row] * half, *sin = a.sin + a.positions[row] * half;
    NormHeads(q, a.q_gain, a.epsilon, a.heads, a.head_dim);
    NormHeads(k, a.k_gain, a.epsilon, a.kv_heads, a.head_dim);
    for (int64_t head = 0; head < a.heads + a.kv_heads; ++head) {
      Rotate(q + head * a.head_dim, q + head * a.head_dim, cos, sin, half);
    }

    Keep(a.kv, a.kv.keys, a.kv_rows[row] * width, k, width);
    Keep(a.kv, a.kv.values, a.kv_rows[row] * width, v, width);
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
