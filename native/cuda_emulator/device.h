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

}  // namespace nativespec::cuda

#include "device_threads.h"
#include "device_arithmetic.h"
#include "device_copies.h"
#include "device_products.h"
