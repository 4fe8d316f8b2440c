// Arithmetic that no compiler fuses, and numbers of 16 bits; device.h includes it.
#pragma once

namespace nativespec::cuda {

// ---- arithmetic: one rounding each, as written ----
NS_DEVICE float Bits(uint32_t bits) {
  float value;
  asm("mov.b32 %0, %1;" : "=f"(value) : "r"(bits));
  return value;
}
/// The compiler forgets what it knows of a value, so that what follows from it is reckoned again and not held in registers until then.
NS_DEVICE void Forget(int& value) { asm volatile("" : "+r"(value)); }
NS_DEVICE uint32_t BitsOf(float value) {
  uint32_t bits;
  asm("mov.b32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}
NS_DEVICE float Add(float a, float b) {
  float r;
  asm("add.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
NS_DEVICE float Multiply(float a, float b) {
  float r;
  asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
NS_DEVICE float MultiplyAdd(float a, float b, float c) {
  float r;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(a), "f"(b), "f"(c));
  return r;
}
NS_DEVICE float Divide(float a, float b) {
  float r;
  asm("div.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
NS_DEVICE float SquareRoot(float a) {
  float r;
  asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
}
NS_DEVICE float Maximum(float a, float b) {
  float r;
  asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
NS_DEVICE double Add(double a, double b) {
  double r;
  asm("add.rn.f64 %0, %1, %2;" : "=d"(r) : "d"(a), "d"(b));
  return r;
}
NS_DEVICE double Multiply(double a, double b) {
  double r;
  asm("mul.rn.f64 %0, %1, %2;" : "=d"(r) : "d"(a), "d"(b));
  return r;
}
NS_DEVICE double Divide(double a, double b) {
  double r;
  asm("div.rn.f64 %0, %1, %2;" : "=d"(r) : "d"(a), "d"(b));
  return r;
}
NS_DEVICE double Bits(uint64_t bits) {
  double value;
  asm("mov.b64 %0, %1;" : "=d"(value) : "l"(bits));
  return value;
}
NS_DEVICE uint64_t BitsOf(double value) {
  uint64_t bits;
  asm("mov.b64 %0, %1;" : "=l"(bits) : "d"(value));
  return bits;
}
/// 2^x, within 2 last places; 0 for −∞.
NS_DEVICE float Exp2(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// ---- numbers of 16 bits, two in a word ----
NS_DEVICE uint32_t PackBF16(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
NS_DEVICE uint32_t PackF16(float low, float high) {
  uint32_t r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
NS_DEVICE float FromBF16(uint16_t bits) { return Bits((uint32_t)bits << 16); }
NS_DEVICE float FromF16(uint16_t bits) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(bits));
  return r;
}
NS_DEVICE uint32_t SubtractF16x2(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
NS_DEVICE uint32_t MultiplyF16x2(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
NS_DEVICE uint32_t MultiplyAddF16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t r;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
/// (x & mask) | bits.
NS_DEVICE uint32_t AndOr(uint32_t x, uint32_t mask, uint32_t bits) {
  uint32_t r;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(r) : "r"(x), "r"(mask), "r"(bits));
  return r;
}
/// Four bytes of the eight of a (0..3) and b (4..7), chosen by the selector's low four digits.
NS_DEVICE uint32_t Bytes(uint32_t a, uint32_t b, uint32_t selector) {
  uint32_t r;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
  return r;
}

}  // namespace nativespec::cuda
