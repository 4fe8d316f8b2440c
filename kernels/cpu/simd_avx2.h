// AVX2 with FMA and F16C: eight floats. Included by simd.h.
#pragma once

#include <immintrin.h>

namespace nativespec::NATIVESPEC_LEVEL {

using Floats = __m256;
using Ints = __m256i;
inline constexpr int kWidth = 8;
inline constexpr int kRegisters = 16;

NATIVESPEC_INLINE void PrefetchNear(const void* address) { _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0); }
NATIVESPEC_INLINE void PrefetchFar(const void* address) { _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T1); }

NATIVESPEC_INLINE Floats Load(const float* source) { return _mm256_loadu_ps(source); }
NATIVESPEC_INLINE void Store(float* target, Floats value) { _mm256_storeu_ps(target, value); }
NATIVESPEC_INLINE Floats Broadcast(float value) { return _mm256_set1_ps(value); }
NATIVESPEC_INLINE Floats Add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
NATIVESPEC_INLINE Floats Subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
NATIVESPEC_INLINE Floats Multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
NATIVESPEC_INLINE Floats Divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
NATIVESPEC_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

/// The larger; a where it is not a number, so that a broken weight is seen in the logits. (The instruction returns its second operand.)
NATIVESPEC_INLINE Floats Max(Floats a, Floats b) { return _mm256_max_ps(b, a); }
NATIVESPEC_INLINE Floats Min(Floats a, Floats b) { return _mm256_min_ps(b, a); }
NATIVESPEC_INLINE Floats Absolute(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

NATIVESPEC_INLINE Floats Round(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/// 2^n for whole n in [-126, 127].
NATIVESPEC_INLINE Floats PowerOfTwo(Floats n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

/// Of two vectors one after the other: the lanes with even numbers, and those with odd ones.
NATIVESPEC_INLINE void Separate(Floats& even, Floats& odd) {
  const __m256 evens = _mm256_shuffle_ps(even, odd, 0x88), odds = _mm256_shuffle_ps(even, odd, 0xDD);
  even = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(evens), 0xD8));
  odd = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odds), 0xD8));
}

NATIVESPEC_INLINE Floats LoadF16(const uint16_t* source) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
}

/// 2·kWidth bfloat16 as they lie.
using PairsBF16 = __m256i;
NATIVESPEC_INLINE PairsBF16 LoadPairsBF16(const uint16_t* source) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)); }

/// The ones with even numbers: a float whose lower half is zero is a bfloat16.
NATIVESPEC_INLINE Floats EvenBF16(PairsBF16 pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }

/// The ones with odd numbers.
NATIVESPEC_INLINE Floats OddBF16(PairsBF16 pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))));
}

NATIVESPEC_INLINE Floats LoadBF16(const uint16_t* source) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

/// sums[i] = Σ lanes of v[i]: adds lanes 2 apart, then 1, then 4, for every i alike, in a tree of shuffles that eight vectors share.
NATIVESPEC_INLINE void Sum8(const Floats v[8], float* sums) {
  const __m256 a01 = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
  const __m256 a23 = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
  const __m256 a45 = _mm256_add_ps(_mm256_unpacklo_ps(v[4], v[5]), _mm256_unpackhi_ps(v[4], v[5]));
  const __m256 a67 = _mm256_add_ps(_mm256_unpacklo_ps(v[6], v[7]), _mm256_unpackhi_ps(v[6], v[7]));
  const __m256 a03 = _mm256_add_ps(_mm256_shuffle_ps(a01, a23, 0x44), _mm256_shuffle_ps(a01, a23, 0xEE));
  const __m256 a47 = _mm256_add_ps(_mm256_shuffle_ps(a45, a67, 0x44), _mm256_shuffle_ps(a45, a67, 0xEE));
  _mm256_storeu_ps(sums, _mm256_add_ps(_mm256_permute2f128_ps(a03, a47, 0x20), _mm256_permute2f128_ps(a03, a47, 0x31)));
}

/// The largest lane, whatever their order.
NATIVESPEC_INLINE float MaxLane(Floats v) {
  const __m128 halves = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 pairs = _mm_max_ps(halves, _mm_movehl_ps(halves, halves));
  return _mm_cvtss_f32(_mm_max_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
}

NATIVESPEC_INLINE Ints ToInts(Floats rounded) { return _mm256_cvtps_epi32(rounded); }
NATIVESPEC_INLINE Floats ToFloats(Ints value) { return _mm256_cvtepi32_ps(value); }

/// The lowest byte of each lane.
NATIVESPEC_INLINE void StoreBytes(int8_t* target, Ints value) {
  const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1,
                                       -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(value, low);
  const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(target), both);
}

// Four 8-bit products per lane. Weights are what a packed panel holds: whole numbers with an offset, as unsigned bytes, lane = output.
// Offset weights and signed activations of 16 and 7 bits' product overflow the pairwise 16-bit sums of this level's instruction, so
// without the four-way one the offset is taken off first and the signs are moved to the weights: |x| · (sign(x) w).
using Bytes = __m256i;

NATIVESPEC_INLINE Bytes LoadBytes(const uint8_t* source) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)); }
NATIVESPEC_INLINE Bytes LowNibbles(Bytes pairs) { return _mm256_and_si256(pairs, _mm256_set1_epi8(15)); }
NATIVESPEC_INLINE Bytes HighNibbles(Bytes pairs) { return _mm256_and_si256(_mm256_srli_epi16(pairs, 4), _mm256_set1_epi8(15)); }
NATIVESPEC_INLINE Ints BroadcastInt(int32_t value) { return _mm256_set1_epi32(value); }
NATIVESPEC_INLINE Ints AddInts(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
NATIVESPEC_INLINE Ints LargerInts(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
NATIVESPEC_INLINE Ints BitsOf(Floats a) { return _mm256_castps_si256(a); }
NATIVESPEC_INLINE void StoreInts(int32_t* target, Ints value) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), value); }

#if defined(NATIVESPEC_VNNI)
inline constexpr bool kWeightsKeepOffset = true;
template <int Offset>
NATIVESPEC_INLINE Bytes WithoutOffset(Bytes weights) { return weights; }
/// sums[lane] += Σ of four weights[lane] · activations; the activations stand in every lane.
NATIVESPEC_INLINE Ints Dot4(Ints sums, Bytes weights, Ints activations) { return _mm256_dpbusd_avx_epi32(sums, weights, activations); }
#else
inline constexpr bool kWeightsKeepOffset = false;
template <int Offset>
NATIVESPEC_INLINE Bytes WithoutOffset(Bytes weights) { return _mm256_sub_epi8(weights, _mm256_set1_epi8(static_cast<char>(Offset))); }
NATIVESPEC_INLINE Ints Dot4(Ints sums, Bytes weights, Ints activations) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(activations), _mm256_sign_epi8(weights, activations));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

}  // namespace nativespec::NATIVESPEC_LEVEL
