// How a matmul reads weights of one element type: a block of 2·kWidth of them is fetched, then taken in steps of one vector, and the
// activations beside them in the same order. Every conversion of a weight is exact.
//
// A block is fetched by one load where it is one cache line. Measured against two loads it gained nothing (docs/performance.md); it asks less
// of the load ports.
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
  using Fetched = const float*;
  NATIVESPEC_INLINE Fetched Fetch(const uint8_t* block) { return reinterpret_cast<const float*>(block); }
  NATIVESPEC_INLINE Floats Weights(Fetched block, int step) { return Load(block + step * kWidth); }
  /// Copies a whole block of activations.
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) { std::memcpy(block, x, kBlockBytes); }
};

struct F16Weights : FloatActivations {
  using Element = uint16_t;
  using Fetched = const uint16_t*;
  NATIVESPEC_INLINE Fetched Fetch(const uint8_t* block) { return reinterpret_cast<const uint16_t*>(block); }
  NATIVESPEC_INLINE Floats Weights(Fetched block, int step) { return LoadF16(block + step * kWidth); }
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) { std::memcpy(block, x, kBlockBytes); }
};

struct BF16Weights : FloatActivations {
  using Element = uint16_t;
  using Fetched = PairsBF16;
  NATIVESPEC_INLINE Fetched Fetch(const uint8_t* block) {
    Fetched pairs = LoadPairsBF16(reinterpret_cast<const uint16_t*>(block));
    NATIVESPEC_KEEP(pairs);
    return pairs;
  }
  NATIVESPEC_INLINE Floats Weights(const Fetched& block, int step) { return step == 0 ? EvenBF16(block) : OddBF16(block); }
  NATIVESPEC_INLINE void Place(const float* x, uint8_t* block) {
    auto* target = reinterpret_cast<float*>(block);
    Floats even = Load(x), odd = Load(x + kWidth);
    Separate(even, odd);
    Store(target, even);
    Store(target + kWidth, odd);
  }
};

#if defined(NATIVESPEC_BF16)
/// BF16 times BF16, two products per lane and instruction: the activations are rounded to BF16 (a relative error of at most 2^-9 each).
struct BF16DotWeights {
  using Element = uint16_t;
  using Register = __m512bh;
  static constexpr int kSteps = 1;
  static constexpr int64_t kBlockBytes = kBlock * sizeof(uint16_t);
  using Fetched = Register;
  NATIVESPEC_INLINE Fetched Fetch(const uint8_t* block) { return (__m512bh)_mm512_loadu_si512(block); }
  NATIVESPEC_INLINE Register Weights(Fetched block, int) { return block; }
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
