// The kernels' primitives (kernels/cuda/device.h) for the CPU: the same names, each doing what the part does, and checking what the part does
// not: lanes that meet at different instructions, unaligned pieces, waits without end, copies never waited for. What is asynchronous stays away
// until somebody waits for it, and its target is poison until then.
//
// NATIVESPEC_CUDA_EMULATOR is the part: 80 has neither bulk copies nor products of four warps, 90 has both.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define NS_DEVICE inline
#define NS_BOTH constexpr
#define NS_KERNEL(threads, blocks) void
#define NS_UNROLL
#define NS_UNROLL4

// Two emulated parts are linked into one program: their kernels differ in their arguments' namespace.
#if NATIVESPEC_CUDA_EMULATOR == 80
#define cuda cuda_sm80
#endif

namespace nativespec::emulator {

/// Operations at which the 32 lanes of a warp meet.
enum class Meeting : int { kSync, kShuffleXor, kShuffleFrom, kAny, kMatrixBF16, kMatrixF16, kLoadMatrices, kLoadMatricesTransposed, kGroupProducts };

struct Place {
  int thread, threads, block_x, block_y, blocks;
  uint8_t* shared;
};
const Place& Here();

void SyncThreads();
/// A lane comes to a meeting: where it puts up to 48 bytes of its own. line: where the lane is, so that lanes at different places are found out.
uint8_t* Arrive(Meeting meeting, int line);
/// Waits for the other lanes: where what the lane gets lies, up to 16 bytes.
const uint8_t* Leave();
[[noreturn]] void Fault(const char* what);

/// All lanes bring In and get Out.
template <class Out, class In>
inline Out Meet(Meeting meeting, int line, const In& in) {
  static_assert(sizeof(In) <= 48 && sizeof(Out) <= 16);
  std::memcpy(Arrive(meeting, line), &in, sizeof in);
  Out out;
  std::memcpy(&out, Leave(), sizeof out);
  return out;
}

void BarrierInit(uint64_t* barrier, int arrivals);
void BarrierArrive(uint64_t* barrier, int32_t bytes);
void BarrierWait(uint64_t* barrier, uint32_t parity);
void BulkCopy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier);
void FillPiece(void* shared, const void* global);
/// Arrives once this thread's pieces have.
void ArriveAfterPieces(uint64_t* barrier);
void CopyAsync(void* shared, const void* global);
void CommitCopies();
void WaitForCopies(int groups);

void GroupProduct(bool bf16, int tiles, float* c, const uint32_t* a, const uint8_t* b);
void GroupCommit();
void GroupWait(int groups, int line);

inline void Aligned(const void* p, uintptr_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) {
    Fault("an address is not aligned");
  }
}

}  // namespace nativespec::emulator

namespace nativespec::cuda {

inline constexpr bool kBulkCopies = NATIVESPEC_CUDA_EMULATOR >= 90;
inline constexpr bool kWarpGroups = NATIVESPEC_CUDA_EMULATOR >= 90;

struct alignas(16) Vector {
  uint32_t x, y, z, w;
};
struct alignas(16) Quad {
  float x, y, z, w;
};
struct alignas(8) Pair {
  float x, y;
};

#define NS_LINE int line = __builtin_LINE()

struct WordAndLane {
  uint32_t word, lane;
};

inline int ThreadIndex() { return emulator::Here().thread; }
inline int BlockThreads() { return emulator::Here().threads; }
inline int BlockIndex() { return emulator::Here().block_x; }
inline int BlockIndexY() { return emulator::Here().block_y; }
inline int Blocks() { return emulator::Here().blocks; }
inline int Lane() { return ThreadIndex() & 31; }
inline int Warp() { return ThreadIndex() >> 5; }
inline uint8_t* SharedMemory() { return emulator::Here().shared; }

inline void SyncThreads() { emulator::SyncThreads(); }
inline void SyncWarp(NS_LINE) {
  emulator::Arrive(emulator::Meeting::kSync, line);
  emulator::Leave();
}
inline uint32_t ShuffleXor(uint32_t value, int lanes, NS_LINE) {
  return emulator::Meet<uint32_t>(emulator::Meeting::kShuffleXor, line, WordAndLane{value, static_cast<uint32_t>(lanes)});
}
inline float ShuffleXor(float value, int lanes, NS_LINE) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = ShuffleXor(bits, lanes, line);
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint64_t ShuffleXor(uint64_t value, int lanes, NS_LINE) {
  return static_cast<uint64_t>(ShuffleXor(static_cast<uint32_t>(value >> 32), lanes, line)) << 32 | ShuffleXor(static_cast<uint32_t>(value), lanes, line);
}
inline uint32_t ShuffleFrom(uint32_t value, int lane, NS_LINE) {
  return emulator::Meet<uint32_t>(emulator::Meeting::kShuffleFrom, line, WordAndLane{value, static_cast<uint32_t>(lane)});
}
inline bool Any(bool value, NS_LINE) { return emulator::Meet<uint32_t>(emulator::Meeting::kAny, line, static_cast<uint32_t>(value)) != 0; }
inline void WaitForKernelInFront() {}
inline void AllowKernelBehind() {}

inline float Bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
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

template <bool BF16>
inline void MatrixMultiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, NS_LINE) {
  uint8_t* in = emulator::Arrive(BF16 ? emulator::Meeting::kMatrixBF16 : emulator::Meeting::kMatrixF16, line);
  const uint32_t b[2] = {b0, b1};
  std::memcpy(in, a, 16);
  std::memcpy(in + 16, b, 8);
  std::memcpy(in + 24, c, 16);
  std::memcpy(c, emulator::Leave(), 16);
}
inline void LoadMatrices(uint32_t (&m)[4], const void* row, NS_LINE) {
  emulator::Aligned(row, 16);
  std::memcpy(emulator::Arrive(emulator::Meeting::kLoadMatrices, line), row, 16);
  std::memcpy(m, emulator::Leave(), 16);
}
inline void LoadMatricesTransposed(uint32_t (&m)[4], const void* row, NS_LINE) {
  emulator::Aligned(row, 16);
  std::memcpy(emulator::Arrive(emulator::Meeting::kLoadMatricesTransposed, line), row, 16);
  std::memcpy(m, emulator::Leave(), 16);
}

template <class T>
inline T LoadGlobal(const T* p) {
  return *p;
}
inline Vector LoadVector(const void* p) {
  emulator::Aligned(p, 16);
  return *static_cast<const Vector*>(p);
}
inline int AtomicAddShared(int32_t* p, int value) { return __atomic_fetch_add(p, value, __ATOMIC_RELAXED); }

inline void CopyAsync(void* shared, const void* global) { emulator::CopyAsync(shared, global); }
inline void CommitCopies() { emulator::CommitCopies(); }
template <int Groups>
inline void WaitForCopies() {
  emulator::WaitForCopies(Groups);
}

using Barrier = uint64_t;
inline void BarrierInit(Barrier* barrier, int arrivals) { emulator::BarrierInit(barrier, arrivals); }
inline void BarrierInitDone() {}
inline void BarrierArrive(Barrier* barrier) { emulator::BarrierArrive(barrier, 0); }
inline void BarrierWait(Barrier* barrier, uint32_t parity) { emulator::BarrierWait(barrier, parity); }

inline constexpr int kFillArrivals = kBulkCopies ? 1 : 32;
inline void FillBegin(Barrier* barrier, uint32_t bytes) {
  if (kBulkCopies && Lane() == 0) {
    emulator::BarrierArrive(barrier, static_cast<int32_t>(bytes));
  }
}
template <bool Once>
inline void FillCopy(void* shared, const void* global, uint32_t bytes, Barrier* barrier) {
  if (kBulkCopies) {
    if (Lane() == 0) {
      emulator::BulkCopy(shared, global, bytes, barrier);
    }
    return;
  }
  for (uint32_t i = static_cast<uint32_t>(Lane()) * 16; i < bytes; i += 512) {
    emulator::FillPiece(static_cast<uint8_t*>(shared) + i, static_cast<const uint8_t*>(global) + i);
  }
}
inline void FillEnd(Barrier* barrier) {
  if (!kBulkCopies) {
    emulator::ArriveAfterPieces(barrier);
  }
}
inline void FillsDone() {}

inline uint64_t GroupMatrix(const void* shared) { return reinterpret_cast<uint64_t>(shared); }
inline uint64_t GroupMatrixAt(uint64_t matrix, int bytes) { return matrix + static_cast<uint64_t>(bytes); }
inline void GroupFence() {}
inline void GroupCommit() { emulator::GroupCommit(); }
template <int Groups>
inline void GroupWait(NS_LINE) {
  emulator::GroupWait(Groups, line);
}
template <bool BF16, int N>
inline void GroupMultiplyAdd(float (&c)[N][4], const uint32_t (&a)[4], uint64_t b) {
  emulator::GroupProduct(BF16, N, &c[0][0], a, reinterpret_cast<const uint8_t*>(b));
}

}  // namespace nativespec::cuda
