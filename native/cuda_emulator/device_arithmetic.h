// Arithmetic of one rounding each, and numbers of 16 bits; device.h includes it.
#pragma once

namespace nativespec::cuda {

inline float Bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline void Forget(int&) {}
inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float Add(float a, float b) { return a + b; }
inline float Multiply(float a, float b) { return a * b; }
inline float MultiplyAdd(float a, float b, float c) { return std::fma(a, b, c); }
inline float Divide(float a, float b) { return a / b; }
inline float SquareRoot(float a) { return std::sqrt(a); }
inline float Maximum(float a, float b) { return std::fmax(a, b); }
inline float Exp2(float x) { return std::exp2(x); }
inline double Add(double a, double b) { return a + b; }
inline double Multiply(double a, double b) { return a * b; }
inline double Divide(double a, double b) { return a / b; }
inline double Bits(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, 8);
  return value;
}
inline uint64_t BitsOf(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  return bits;
}

inline float FromBF16(uint16_t bits) { return Bits(static_cast<uint32_t>(bits) << 16); }
inline float FromF16(uint16_t bits) {
  const uint32_t magnitude = bits & 0x7fffu, sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  if (magnitude >= 0x7c00u) {
    return Bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  }
  const float value = magnitude < 0x400u ? static_cast<float>(magnitude) * 5.9604644775390625e-8f : Bits((magnitude << 13) + 0x38000000u);
  return Bits(BitsOf(value) | sign);
}
inline uint32_t ToBF16(float value) {
  const uint32_t bits = BitsOf(value);
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
inline uint32_t ToF16(double value) {  // one rounding from what double holds exactly, to the nearest, ties to even
  const uint32_t sign = std::signbit(value) ? 0x8000u : 0;
  const double magnitude = std::fabs(value);
  if (value != value) {
    return 0x7fffu;
  }
  if (magnitude >= 65520) {
    return sign | 0x7c00u;
  }
  int exponent = 0;
  if (magnitude < 6.103515625e-5) {
    return sign | static_cast<uint32_t>(std::nearbyint(magnitude * 16777216.0));  // subnormal; 1024 is the least normal one
  }
  const double significand = std::frexp(magnitude, &exponent);  // in [1/2, 1)
  const auto rounded = static_cast<uint32_t>(std::nearbyint(significand * 2048.0));
  return sign | ((static_cast<uint32_t>(exponent + 14) << 10) + (rounded - 1024));
}
inline uint32_t PackBF16(float low, float high) { return ToBF16(low) | ToBF16(high) << 16; }
inline uint32_t PackF16(float low, float high) { return ToF16(low) | ToF16(high) << 16; }
template <class F>
inline uint32_t EachF16(uint32_t a, uint32_t b, uint32_t c, F f) {
  auto half = [](uint32_t word, int i) { return static_cast<double>(FromF16(static_cast<uint16_t>(word >> (16 * i)))); };
  return ToF16(f(half(a, 0), half(b, 0), half(c, 0))) | ToF16(f(half(a, 1), half(b, 1), half(c, 1))) << 16;
}
inline uint32_t SubtractF16x2(uint32_t a, uint32_t b) {
  return EachF16(a, b, 0, [](double x, double y, double) { return x - y; });
}
inline uint32_t MultiplyF16x2(uint32_t a, uint32_t b) {
  return EachF16(a, b, 0, [](double x, double y, double) { return x * y; });
}
inline uint32_t MultiplyAddF16x2(uint32_t a, uint32_t b, uint32_t c) {
  return EachF16(a, b, c, [](double x, double y, double z) { return x * y + z; });
}
inline uint32_t AndOr(uint32_t x, uint32_t mask, uint32_t bits) { return (x & mask) | bits; }
inline uint32_t Bytes(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t all = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<uint32_t>(all >> (selector >> (4 * i) & 7) * 8 & 255) << (8 * i);
  }
  return result;
}

}  // namespace nativespec::cuda
