// The primitives the kernels stand on: thread numbers, shared memory, matrix instructions, asynchronous copies, barriers, arithmetic that no
// compiler fuses. Here they are PTX, for nvcc and for clang without a toolkit; native/cuda_emulator/device.h has the same names for the CPU, in
// files of the same names. This file has what compilers and parts differ in, and includes the primitives.
//
// What newer parts have is asked for by name: kBulkCopies (sm_90), kWarpGroups (sm_90a). Everything else runs from sm_80 on.
#pragma once

#if defined(NATIVESPEC_CUDA_EMULATOR)
#include "../../native/cuda_emulator/device.h"
#else

#if defined(__clang__) && defined(__CUDA__)  // no toolkit's headers: the few names they would give
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __host__ __attribute__((host))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long;
using int32_t = int;
using int64_t = long;
#else
#include <cstdint>
#endif

#define NS_DEVICE __device__ inline __attribute__((always_inline))
#define NS_BOTH __host__ __device__ constexpr
#define NS_KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define NS_UNROLL _Pragma("unroll")
#define NS_UNROLL4 _Pragma("unroll 4")

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define NS_SM90 1
#else
#define NS_SM90 0
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define NS_SM90A 1
#else
#define NS_SM90A 0
#endif

namespace nativespec::cuda {

inline constexpr bool kBulkCopies = NS_SM90;
inline constexpr bool kWarpGroups = NS_SM90A;

/// Sixteen bytes that are loaded and stored at once.
struct alignas(16) Vector {
  uint32_t x, y, z, w;
};
struct alignas(16) Quad {
  float x, y, z, w;
};
struct alignas(8) Pair {
  float x, y;
};

}  // namespace nativespec::cuda

#include "device_threads.h"
#include "device_arithmetic.h"
#include "device_copies.h"
#include "device_products.h"

#endif
