// NEON (AArch64): four floats. Included by simd.h.
#pragma once

#include <arm_neon.h>

namespace nativespec::NATIVESPEC_LEVEL {

using Floats = float32x4_t;
using Ints = int32x4_t;
inline constexpr int kWidth = 4;
inline constexpr int kRegisters = 32;

NATIVESPEC_INLINE void PrefetchNear(const void* address) { __builtin_prefetch(address); }
NATIVESPEC_INLINE void PrefetchFar(const void* address) { __builtin_prefetch(address, 0, 2); }

NATIVESPEC_INLINE Floats Load(const float* source) { return vld1q_f32(source); }
NATIVESPEC_INLINE void Store(float* target, Floats value) { vst1q_f32(target, value); }
NATIVESPEC_INLINE Floats Broadcast(float value) { return vdupq_n_f32(value); }
NATIVESPEC_INLINE Floats Add(Floats a, Floats b) { return vaddq_f32(a, b); }
NATIVESPEC_INLINE Floats Subtract(Floats a, Floats b) { return vsubq_f32(a, b); }
NATIVESPEC_INLINE Floats Multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
NATIVESPEC_INLINE Floats Divide(Floats a, Floats b) { return vdivq_f32(a, b); }
NATIVESPEC_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }

/// The larger; a where it is not a number, so that a broken weight is seen in the logits.
NATIVESPEC_INLINE Floats Max(Floats a, Floats b) { return vbslq_f32(vcltq_f32(a, b), b, a); }
NATIVESPEC_INLINE Floats Min(Floats a, Floats b) { return vbslq_f32(vcgtq_f32(a, b), b, a); }
NATIVESPEC_INLINE Floats Absolute(Floats a) { return vabsq_f32(a); }
NATIVESPEC_INLINE Floats Round(Floats a) { return vrndnq_f32(a); }

/// 2^n for whole n in [-126, 127].
NATIVESPEC_INLINE Floats PowerOfTwo(Floats n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}

/// Of two vectors one after the other: the lanes with even numbers, and those with odd ones.
NATIVESPEC_INLINE void Separate(Floats& even, Floats& odd) {
  const Floats first = even;
  even = vuzp1q_f32(first, odd);
  odd = vuzp2q_f32(first, odd);
}

NATIVESPEC_INLINE Floats LoadF16(const uint16_t* source) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(source))); }
NATIVESPEC_INLINE Floats LoadBF16(const uint16_t* source) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(source), 16));
}

/// 2·kWidth bfloat16 as they lie.
using PairsBF16 = uint32x4_t;
NATIVESPEC_INLINE PairsBF16 LoadPairsBF16(const uint16_t* source) { return vreinterpretq_u32_u16(vld1q_u16(source)); }

/// The ones with even numbers: a float whose lower half is zero is a bfloat16.
NATIVESPEC_INLINE Floats EvenBF16(PairsBF16 pairs) { return vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)); }

/// The ones with odd numbers.
NATIVESPEC_INLINE Floats OddBF16(PairsBF16 pairs) { return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xFFFF0000u))); }

/// sums[i] = Σ lanes of v[i]: adds neighbours, then their sums, for every i alike.
NATIVESPEC_INLINE void Sum8(const Floats v[8], float* sums) {
  vst1q_f32(sums, vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])));
  vst1q_f32(sums + 4, vpaddq_f32(vpaddq_f32(v[4], v[5]), vpaddq_f32(v[6], v[7])));
}

/// The largest lane, whatever their order.
NATIVESPEC_INLINE float MaxLane(Floats v) { return vmaxvq_f32(v); }

NATIVESPEC_INLINE Ints ToInts(Floats rounded) { return vcvtq_s32_f32(rounded); }
NATIVESPEC_INLINE Floats ToFloats(Ints value) { return vcvtq_f32_s32(value); }

/// The lowest byte of each lane.
NATIVESPEC_INLINE void StoreBytes(int8_t* target, Ints value) {
  const int16x4_t halves = vmovn_s32(value);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(halves, halves));
  vst1_lane_s32(reinterpret_cast<int32_t*>(target), vreinterpret_s32_s8(bytes), 0);
}

// Four 8-bit products per lane. Weights are what a packed panel holds: whole numbers with an offset, as unsigned bytes, lane = output.
// The products here are signed by signed, so the offset is taken off first.
using Bytes = int8x16_t;

NATIVESPEC_INLINE Bytes LoadBytes(const uint8_t* source) { return vreinterpretq_s8_u8(vld1q_u8(source)); }
NATIVESPEC_INLINE Bytes LowNibbles(Bytes pairs) { return vandq_s8(pairs, vdupq_n_s8(15)); }
NATIVESPEC_INLINE Bytes HighNibbles(Bytes pairs) { return vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(pairs), 4)); }
NATIVESPEC_INLINE Ints BroadcastInt(int32_t value) { return vdupq_n_s32(value); }
NATIVESPEC_INLINE Ints AddInts(Ints a, Ints b) { return vaddq_s32(a, b); }
NATIVESPEC_INLINE Ints LargerInts(Ints a, Ints b) { return vmaxq_s32(a, b); }
NATIVESPEC_INLINE Ints BitsOf(Floats a) { return vreinterpretq_s32_f32(a); }
NATIVESPEC_INLINE void StoreInts(int32_t* target, Ints value) { vst1q_s32(target, value); }

inline constexpr bool kWeightsKeepOffset = false;
template <int Offset>
NATIVESPEC_INLINE Bytes WithoutOffset(Bytes weights) { return vsubq_s8(weights, vdupq_n_s8(static_cast<int8_t>(Offset))); }

/// sums[lane] += Σ of four weights[lane] · activations; the activations stand in every lane.
NATIVESPEC_INLINE Ints Dot4(Ints sums, Bytes weights, Ints activations) {
  const int8x16_t x = vreinterpretq_s8_s32(activations);
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(weights), vget_low_s8(x)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(weights, x));
  return vaddq_s32(sums, vpaddq_s32(low, high));
}

}  // namespace nativespec::NATIVESPEC_LEVEL
