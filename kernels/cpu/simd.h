// One vector of floats per instruction-set level, so that every loop is written once. A level compiles each kernel file once more, with
// its own compiler flags and NATIVESPEC_LEVEL as the namespace; nothing here has external linkage, so no level's code can leak into
// another's through the linker.
//
// Each level defines: Floats (kWidth lanes), kRegisters, Load, Store, Broadcast, Add, Subtract, Multiply, Divide, Max, Min, Absolute,
// MultiplyAdd, Round, PowerOfTwo, Separate, Sum8, MaxLane; the weight readers LoadF16, LoadBF16, LoadPairsBF16, EvenBF16, OddBF16; Ints
// with BroadcastInt, AddInts, LargerInts, BitsOf, ToInts, ToFloats, StoreInts; Bytes with LoadBytes, StoreBytes, LowNibbles, HighNibbles,
// WithoutOffset, Dot4; and PrefetchNear, PrefetchFar.
//
// Multiply-add is named explicitly and the compiler is told not to contract: an output's bits must not depend on the tile it is in.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

#if defined(_MSC_VER)
#define NATIVESPEC_INLINE static __forceinline
#else
#define NATIVESPEC_INLINE static inline __attribute__((always_inline))
#endif

#define NATIVESPEC_PRAGMA(text) _Pragma(#text)
#if !defined(NATIVESPEC_AVX512) && !defined(NATIVESPEC_AVX2) && !defined(NATIVESPEC_NEON)
#define NATIVESPEC_UNROLL
#elif defined(__clang__)
#define NATIVESPEC_UNROLL NATIVESPEC_PRAGMA(clang loop unroll(full))
#elif defined(__GNUC__)
#define NATIVESPEC_UNROLL NATIVESPEC_PRAGMA(GCC unroll 32)
#else
#define NATIVESPEC_UNROLL
#endif

/// Stops the compiler from folding a load into each of its uses: one load for several multiply-adds is what tiles are for, the load
/// ports are as scarce as the multipliers, and two loads of a line that is still on its way cost more than one. On a sum that a loop
/// carries it stops g++ from moving it to another register and back at each step.
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__)) && (defined(NATIVESPEC_AVX512) || defined(NATIVESPEC_AVX2))
#define NATIVESPEC_KEEP(value) asm("" : "+v"(value))
#elif defined(__GNUC__) && defined(NATIVESPEC_NEON)
#define NATIVESPEC_KEEP(value) asm("" : "+w"(value))
#else
#define NATIVESPEC_KEEP(value) ((void)0)
#endif

#if defined(NATIVESPEC_AVX512)
#include "simd_avx512.h"
#elif defined(NATIVESPEC_AVX2)
#include "simd_avx2.h"
#elif defined(NATIVESPEC_NEON)
#include "simd_neon.h"
#else
#include "simd_generic.h"
#endif

namespace nativespec::NATIVESPEC_LEVEL {

// The standard library's own are functions that the linker merges across levels.
NATIVESPEC_INLINE int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }
NATIVESPEC_INLINE int64_t Larger(int64_t a, int64_t b) { return a > b ? a : b; }

NATIVESPEC_INLINE float FromBF16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

/// Nearest bfloat16, ties to even; what is not a number stays so.
NATIVESPEC_INLINE uint16_t ToBF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
    return static_cast<uint16_t>(bits >> 16 | 0x40u);
  }
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

NATIVESPEC_INLINE float FromF16(uint16_t value) {
  // Shifting the magnitude to a float's place leaves the exponent 112 too small, which one multiplication mends (subnormals too).
  const uint32_t magnitude = value & 0x7FFFu;
  uint32_t bits = magnitude << 13;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  result *= 5.192296858534828e33f;
  std::memcpy(&bits, &result, sizeof bits);
  bits |= (magnitude > 0x7BFFu ? 0x7F800000u : 0u) | static_cast<uint32_t>(value & 0x8000u) << 16;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

/// Nearest binary16, ties to even; magnitudes from 65520 on become infinite.
NATIVESPEC_INLINE uint16_t ToF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {
    return static_cast<uint16_t>(sign | 0x7E00u);
  }
  if (magnitude >= 0x477FF000u) {
    return static_cast<uint16_t>(sign | 0x7C00u);
  }
  if (magnitude < 0x38800000u) {
    // Subnormal there: adding 0.5 puts the last kept bit where a float rounds.
    float tiny;
    std::memcpy(&tiny, &magnitude, sizeof tiny);
    tiny += 0.5f;
    uint32_t shifted;
    std::memcpy(&shifted, &tiny, sizeof shifted);
    return static_cast<uint16_t>(sign | (shifted - 0x3F000000u));
  }
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13);
}

/// e^x to about 2 units in the last place for x in [-87.3, 88]; beyond, the value at the nearer end (1.2e-38 or 1.7e38).
/// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by its Taylor polynomial of degree 7 (error below 2^-27 there).
NATIVESPEC_INLINE Floats Exp(Floats x) {
  const Floats clamped = Min(Max(x, Broadcast(-87.3f)), Broadcast(88.0f));
  const Floats n = Round(Multiply(clamped, Broadcast(1.44269504f)));
  // ln 2 in two parts, the first short enough that n times it is exact.
  Floats r = MultiplyAdd(n, Broadcast(-0.693359375f), clamped);
  r = MultiplyAdd(n, Broadcast(2.12194440e-4f), r);
  Floats p = Broadcast(1.0f / 5040);
  p = MultiplyAdd(p, r, Broadcast(1.0f / 720));
  p = MultiplyAdd(p, r, Broadcast(1.0f / 120));
  p = MultiplyAdd(p, r, Broadcast(1.0f / 24));
  p = MultiplyAdd(p, r, Broadcast(1.0f / 6));
  p = MultiplyAdd(p, r, Broadcast(0.5f));
  p = MultiplyAdd(p, r, Broadcast(1.0f));
  p = MultiplyAdd(p, r, Broadcast(1.0f));
  return Multiply(p, PowerOfTwo(n));
}

}  // namespace nativespec::NATIVESPEC_LEVEL
