// Four floats in a struct, for any processor: compilers turn these loops into whatever vectors the target has. Included by simd.h.
#pragma once

namespace nativespec::NATIVESPEC_LEVEL {

inline constexpr int kWidth = 4;
inline constexpr int kRegisters = 8;

struct Floats {
  float lane[kWidth];
};
struct Ints {
  int32_t lane[kWidth];
};

NATIVESPEC_INLINE void PrefetchNear(const void*) {}
NATIVESPEC_INLINE void PrefetchFar(const void*) {}

template <class Function>
NATIVESPEC_INLINE Floats EachLane(Function function) {
  Floats result;
  for (int i = 0; i < kWidth; ++i) {
    result.lane[i] = function(i);
  }
  return result;
}

NATIVESPEC_INLINE float BitsToFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

NATIVESPEC_INLINE Floats Load(const float* source) {
  Floats result;
  std::memcpy(result.lane, source, sizeof result.lane);
  return result;
}
NATIVESPEC_INLINE void Store(float* target, Floats value) { std::memcpy(target, value.lane, sizeof value.lane); }
NATIVESPEC_INLINE Floats Broadcast(float value) { return {{value, value, value, value}}; }
NATIVESPEC_INLINE Ints AddInts(Ints a, Ints b) {
  for (int i = 0; i < kWidth; ++i) {
    a.lane[i] += b.lane[i];
  }
  return a;
}
NATIVESPEC_INLINE Ints LargerInts(Ints a, Ints b) {
  for (int i = 0; i < kWidth; ++i) {
    a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  }
  return a;
}
NATIVESPEC_INLINE Ints BitsOf(Floats a) {
  Ints result;
  std::memcpy(&result, &a, sizeof result);
  return result;
}
NATIVESPEC_INLINE void StoreInts(int32_t* target, Ints value) { std::memcpy(target, value.lane, sizeof value.lane); }
NATIVESPEC_INLINE Floats Add(Floats a, Floats b) { return EachLane([&](int i) { return a.lane[i] + b.lane[i]; }); }
NATIVESPEC_INLINE Floats Subtract(Floats a, Floats b) { return EachLane([&](int i) { return a.lane[i] - b.lane[i]; }); }
NATIVESPEC_INLINE Floats Multiply(Floats a, Floats b) { return EachLane([&](int i) { return a.lane[i] * b.lane[i]; }); }
NATIVESPEC_INLINE Floats Divide(Floats a, Floats b) { return EachLane([&](int i) { return a.lane[i] / b.lane[i]; }); }

/// Two roundings: where there are no vectors there is often no fused instruction either, and its emulation is a hundred times slower.
NATIVESPEC_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return EachLane([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}

/// The larger; a where it is not a number, so that a broken weight is seen in the logits.
NATIVESPEC_INLINE Floats Max(Floats a, Floats b) { return EachLane([&](int i) { return a.lane[i] < b.lane[i] ? b.lane[i] : a.lane[i]; }); }
NATIVESPEC_INLINE Floats Min(Floats a, Floats b) { return EachLane([&](int i) { return a.lane[i] > b.lane[i] ? b.lane[i] : a.lane[i]; }); }
NATIVESPEC_INLINE Floats Absolute(Floats a) { return EachLane([&](int i) { return fabsf(a.lane[i]); }); }
NATIVESPEC_INLINE Floats Round(Floats a) { return EachLane([&](int i) { return nearbyintf(a.lane[i]); }); }

/// 2^n for whole n in [-126, 127].
NATIVESPEC_INLINE Floats PowerOfTwo(Floats n) {
  return EachLane([&](int i) {
    // What is not a number has no whole number: any power will do, since it is multiplied by what is not a number either.
    const int32_t power = n.lane[i] == n.lane[i] ? static_cast<int32_t>(n.lane[i]) : 0;
    return BitsToFloat(static_cast<uint32_t>(power + 127) << 23);
  });
}

NATIVESPEC_INLINE float FromF16(uint16_t value);

/// Of two vectors one after the other: the lanes with even numbers, and those with odd ones.
NATIVESPEC_INLINE void Separate(Floats& even, Floats& odd) {
  const Floats both[2] = {even, odd};
  for (int i = 0; i < kWidth; ++i) {
    even.lane[i] = both[2 * i / kWidth].lane[2 * i % kWidth];
    odd.lane[i] = both[2 * i / kWidth].lane[2 * i % kWidth + 1];
  }
}

NATIVESPEC_INLINE Floats LoadF16(const uint16_t* source) { return EachLane([&](int i) { return FromF16(source[i]); }); }
NATIVESPEC_INLINE Floats LoadBF16(const uint16_t* source) {
  return EachLane([&](int i) { return BitsToFloat(static_cast<uint32_t>(source[i]) << 16); });
}

/// 2·kWidth bfloat16 as they lie.
struct PairsBF16 {
  uint16_t at[2 * kWidth];
};
NATIVESPEC_INLINE PairsBF16 LoadPairsBF16(const uint16_t* source) {
  PairsBF16 result;
  std::memcpy(result.at, source, sizeof result.at);
  return result;
}

/// The ones with even numbers.
NATIVESPEC_INLINE Floats EvenBF16(const PairsBF16& pairs) {
  return EachLane([&](int i) { return BitsToFloat(static_cast<uint32_t>(pairs.at[2 * i]) << 16); });
}

/// The ones with odd numbers.
NATIVESPEC_INLINE Floats OddBF16(const PairsBF16& pairs) {
  return EachLane([&](int i) { return BitsToFloat(static_cast<uint32_t>(pairs.at[2 * i + 1]) << 16); });
}

/// sums[i] = Σ lanes of v[i]: adds lanes 2 apart, then 1, for every i alike.
NATIVESPEC_INLINE void Sum8(const Floats v[8], float* sums) {
  for (int i = 0; i < 8; ++i) {
    sums[i] = (v[i].lane[0] + v[i].lane[2]) + (v[i].lane[1] + v[i].lane[3]);
  }
}

/// The largest lane, whatever their order.
NATIVESPEC_INLINE float MaxLane(Floats v) {
  float largest = v.lane[0];
  for (const float lane : v.lane) {
    largest = lane > largest ? lane : largest;
  }
  return largest;
}

NATIVESPEC_INLINE Ints ToInts(Floats rounded) {
  Ints result;
  for (int i = 0; i < kWidth; ++i) {
    // Beyond the range of the integers there is no conversion; vector units answer with the smallest.
    const float value = rounded.lane[i];
    result.lane[i] = value >= -2147483648.0f && value < 2147483648.0f ? static_cast<int32_t>(value) : INT32_MIN;
  }
  return result;
}
NATIVESPEC_INLINE Floats ToFloats(Ints value) { return EachLane([&](int i) { return static_cast<float>(value.lane[i]); }); }

/// The lowest byte of each lane.
NATIVESPEC_INLINE void StoreBytes(int8_t* target, Ints value) {
  for (int i = 0; i < kWidth; ++i) {
    target[i] = static_cast<int8_t>(value.lane[i]);
  }
}

// Four 8-bit products per lane. Weights are what a packed panel holds: whole numbers with an offset, as unsigned bytes, lane = output.
struct Bytes {
  uint8_t at[4 * kWidth];
};

NATIVESPEC_INLINE Bytes LoadBytes(const uint8_t* source) {
  Bytes result;
  std::memcpy(result.at, source, sizeof result.at);
  return result;
}
NATIVESPEC_INLINE Bytes LowNibbles(Bytes pairs) {
  for (uint8_t& byte : pairs.at) {
    byte &= 15;
  }
  return pairs;
}
NATIVESPEC_INLINE Bytes HighNibbles(Bytes pairs) {
  for (uint8_t& byte : pairs.at) {
    byte = static_cast<uint8_t>(byte >> 4);
  }
  return pairs;
}
NATIVESPEC_INLINE Ints BroadcastInt(int32_t value) { return {{value, value, value, value}}; }

inline constexpr bool kWeightsKeepOffset = true;
template <int Offset>
NATIVESPEC_INLINE Bytes WithoutOffset(Bytes weights) { return weights; }

/// sums[lane] += Σ of four weights[lane] · activations; the activations stand in every lane.
NATIVESPEC_INLINE Ints Dot4(Ints sums, const Bytes& weights, Ints activations) {
  int8_t x[4];
  std::memcpy(x, activations.lane, sizeof x);
  for (int i = 0; i < kWidth; ++i) {
    const uint8_t* w = weights.at + 4 * i;
    sums.lane[i] += w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3];
  }
  return sums;
}

}  // namespace nativespec::NATIVESPEC_LEVEL
