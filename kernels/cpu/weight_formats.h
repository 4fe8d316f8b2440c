// How a matmul reads weights of one element type: a block of 2·kWidth of them in steps of one vector, and the activations beside them in
// the same order. Every conversion of a weight is exact.
#pragma once

#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {

inline constexpr int kBlock = 2 * kWidth;

/// Activations in F32: two vectors per block, in the order Place says.
struct FloatActivations {
  static constexpr int kSteps = 2;
  static constexpr int64_t kBlockBytes = kBlock * sizeof(float);
  using Register = Floats;
  NATIVESPEC_INLINE Register Activations(const uint8_t* block, int step) {
    return Load(reinterpret_cast<const float*>(block) + step * kWidth);
  }
  NATIVESPEC_INLINE Floats Accumulate(Register weights, Register activations, Floats sums) {
    return MultiplyAdd(weights, activations, sums);
  }
};

struct F32Weights : FloatActivations {
  using Element = float;
  NATIVESPEC_INLINE Floats Weights(const uint8_t* block, int step) {
    return Load(reinterpret_cast<const float*>(block) + step * kWidth);
  }
  /// Copies a whole block of activations.
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) { std::memcpy(block, x, kBlockBytes); }
};

struct F16Weights : FloatActivations {
  using Element = uint16_t;
  NATIVESPEC_INLINE Floats Weights(const uint8_t* block, int step) {
    return LoadF16(reinterpret_cast<const uint16_t*>(block) + step * kWidth);
  }
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) { std::memcpy(block, x, kBlockBytes); }
};

struct BF16Weights : FloatActivations {
  using Element = uint16_t;
  NATIVESPEC_INLINE Floats Weights(const uint8_t* block, int step) {
    const auto* weights = reinterpret_cast<const uint16_t*>(block);
    return step == 0 ? LoadEvenBF16(weights) : LoadOddBF16(weights);
  }
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) {
    auto* target = reinterpret_cast<float*>(block);
    for (int i = 0; i < kWidth; ++i) {
      target[i] = x[2 * i];
      target[kWidth + i] = x[2 * i + 1];
    }
  }
};

#if defined(NATIVESPEC_BF16)
/// BF16 times BF16, two products per lane and instruction: the activations are rounded to BF16 (a relative error of at most 2^-9 each).
struct BF16DotWeights {
  using Element = uint16_t;
  using Register = __m512bh;
  static constexpr int kSteps = 1;
  static constexpr int64_t kBlockBytes = kBlock * sizeof(uint16_t);
  NATIVESPEC_INLINE Register Weights(const uint8_t* block, int) { return (__m512bh)_mm512_loadu_si512(block); }
  NATIVESPEC_INLINE Register Activations(const uint8_t* block, int) { return (__m512bh)_mm512_loadu_si512(block); }
  NATIVESPEC_INLINE Floats Accumulate(Register weights, Register activations, Floats sums) {
    return _mm512_dpbf16_ps(sums, weights, activations);
  }
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) {
    auto* target = reinterpret_cast<uint16_t*>(block);
    for (int i = 0; i < kBlock; ++i) {
      target[i] = ToBF16(x[i]);
    }
  }
};
#endif

}  // namespace nativespec::NATIVESPEC_LEVEL
