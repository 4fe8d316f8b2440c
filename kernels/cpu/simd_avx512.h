// AVX-512 (F, BW, DQ, VL): sixteen floats. Included by simd.h.
#pragma once

#include <immintrin.h>

namespace nativespec::NATIVESPEC_LEVEL {

using Floats = __m512;
using Ints = __m512i;
inline constexpr int kWidth = 16;
inline constexpr int kRegisters = 32;

NATIVESPEC_INLINE void PrefetchNear(const void* address) { _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0); }
NATIVESPEC_INLINE void PrefetchFar(const void* address) { _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T1); }

NATIVESPEC_INLINE Floats Load(const float* source) { return _mm512_loadu_ps(source); }
NATIVESPEC_INLINE void Store(float* target, Floats value) { _mm512_storeu_ps(target, value); }
NATIVESPEC_INLINE Floats Broadcast(float value) { return _mm512_set1_ps(value); }
NATIVESPEC_INLINE Floats Add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
NATIVESPEC_INLINE Floats Subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
NATIVESPEC_INLINE Floats Multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
NATIVESPEC_INLINE Floats Divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
NATIVESPEC_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

/// The larger; a where it is not a number, so that a broken weight is seen in the logits. (The instruction returns its second operand.)
NATIVESPEC_INLINE Floats Max(Floats a, Floats b) { return _mm512_max_ps(b, a); }
NATIVESPEC_INLINE Floats Min(Floats a, Floats b) { return _mm512_min_ps(b, a); }
NATIVESPEC_INLINE Floats Absolute(Floats a) { return _mm512_abs_ps(a); }

NATIVESPEC_INLINE Floats Round(Floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/// 2^n for whole n in [-126, 127].
NATIVESPEC_INLINE Floats PowerOfTwo(Floats n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

/// Of two vectors one after the other: the lanes with even numbers, and those with odd ones.
NATIVESPEC_INLINE void Separate(Floats& even, Floats& odd) {
  const __m512i numbers = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const Floats first = even;
  even = _mm512_permutex2var_ps(first, numbers, odd);
  odd = _mm512_permutex2var_ps(first, _mm512_add_epi32(numbers, _mm512_set1_epi32(1)), odd);
}

NATIVESPEC_INLINE Floats LoadF16(const uint16_t* source) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
}

/// 2·kWidth bfloat16 as they lie.
using PairsBF16 = __m512i;
NATIVESPEC_INLINE PairsBF16 LoadPairsBF16(const uint16_t* source) { return _mm512_loadu_si512(source); }

/// The ones with even numbers: a float whose lower half is zero is a bfloat16.
NATIVESPEC_INLINE Floats EvenBF16(PairsBF16 pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }

/// The ones with odd numbers.
NATIVESPEC_INLINE Floats OddBF16(PairsBF16 pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xFFFF0000u))));
}

NATIVESPEC_INLINE Floats LoadBF16(const uint16_t* source) {
  const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}

/// sums[i] = Σ lanes of v[i]: adds lanes 2 apart, then 1, then 8, then 4, for every i alike, in a tree of shuffles that eight vectors share.
NATIVESPEC_INLINE void Sum8(const Floats v[8], float* sums) {
  const __m512 a01 = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
  const __m512 a23 = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
  const __m512 a45 = _mm512_add_ps(_mm512_unpacklo_ps(v[4], v[5]), _mm512_unpackhi_ps(v[4], v[5]));
  const __m512 a67 = _mm512_add_ps(_mm512_unpacklo_ps(v[6], v[7]), _mm512_unpackhi_ps(v[6], v[7]));
  const __m512 a03 = _mm512_add_ps(_mm512_shuffle_ps(a01, a23, 0x44), _mm512_shuffle_ps(a01, a23, 0xEE));
  const __m512 a47 = _mm512_add_ps(_mm512_shuffle_ps(a45, a67, 0x44), _mm512_shuffle_ps(a45, a67, 0xEE));
  const __m512 a07 = _mm512_add_ps(_mm512_shuffle_f32x4(a03, a47, 0x44), _mm512_shuffle_f32x4(a03, a47, 0xEE));
  const __m512 folded = _mm512_add_ps(a07, _mm512_shuffle_f32x4(a07, a07, 0xB1));
  _mm256_storeu_ps(sums, _mm512_castps512_ps256(_mm512_shuffle_f32x4(folded, folded, 0x88)));
}

/// The largest lane, whatever their order.
NATIVESPEC_INLINE float MaxLane(Floats v) {
  const __m512 halves = _mm512_max_ps(v, _mm512_shuffle_f32x4(v, v, 0x4E));
  const __m512 quarters = _mm512_max_ps(halves, _mm512_shuffle_f32x4(halves, halves, 0xB1));
  const __m512 pairs = _mm512_max_ps(quarters, _mm512_shuffle_ps(quarters, quarters, 0x4E));
  return _mm512_cvtss_f32(_mm512_max_ps(pairs, _mm512_shuffle_ps(pairs, pairs, 0xB1)));
}

NATIVESPEC_INLINE Ints ToInts(Floats rounded) { return _mm512_cvtps_epi32(rounded); }
NATIVESPEC_INLINE Floats ToFloats(Ints value) { return _mm512_cvtepi32_ps(value); }

/// The lowest byte of each lane.
NATIVESPEC_INLINE void StoreBytes(int8_t* target, Ints value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm512_cvtepi32_epi8(value)); }

// Four 8-bit products per lane. Weights are what a packed panel holds: whole numbers with an offset, as unsigned bytes, lane = output.
// Without the four-way instruction the offset is taken off first and the signs are moved to the weights, |x| · (sign(x) w): offset
// weights would overflow the pairwise 16-bit sums.
using Bytes = __m512i;

NATIVESPEC_INLINE Bytes LoadBytes(const uint8_t* source) { return _mm512_loadu_si512(source); }
NATIVESPEC_INLINE Bytes LowNibbles(Bytes pairs) { return _mm512_and_si512(pairs, _mm512_set1_epi8(15)); }
NATIVESPEC_INLINE Bytes HighNibbles(Bytes pairs) { return _mm512_and_si512(_mm512_srli_epi16(pairs, 4), _mm512_set1_epi8(15)); }
NATIVESPEC_INLINE Ints BroadcastInt(int32_t value) { return _mm512_set1_epi32(value); }
NATIVESPEC_INLINE Ints AddInts(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
NATIVESPEC_INLINE Ints LargerInts(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
NATIVESPEC_INLINE Ints BitsOf(Floats a) { return _mm512_castps_si512(a); }
NATIVESPEC_INLINE void StoreInts(int32_t* target, Ints value) { _mm512_storeu_si512(target, value); }

#if defined(NATIVESPEC_VNNI)
inline constexpr bool kWeightsKeepOffset = true;
template <int Offset>
NATIVESPEC_INLINE Bytes WithoutOffset(Bytes weights) { return weights; }
/// sums[lane] += Σ of four weights[lane] · activations; the activations stand in every lane.
NATIVESPEC_INLINE Ints Dot4(Ints sums, Bytes weights, Ints activations) { return _mm512_dpbusd_epi32(sums, weights, activations); }
#else
inline constexpr bool kWeightsKeepOffset = false;
template <int Offset>
NATIVESPEC_INLINE Bytes WithoutOffset(Bytes weights) { return _mm512_sub_epi8(weights, _mm512_set1_epi8(static_cast<char>(Offset))); }
NATIVESPEC_INLINE Ints Dot4(Ints sums, Bytes weights, Ints activations) {
  const __m512i negated = _mm512_mask_sub_epi8(weights, _mm512_movepi8_mask(activations), _mm512_setzero_si512(), weights);
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(activations), negated);
  return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

}  // namespace nativespec::NATIVESPEC_LEVEL
