// The primitives the kernels stand on: thread numbers, shared memory, matrix instructions, asynchronous copies, barriers, arithmetic that no
// compiler fuses. Here they are PTX, for nvcc and for clang without a toolkit; native/cuda_emulator/device.h has the same names for the CPU.
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

// ---- where a thread is ----
#if defined(__clang__) && defined(__CUDA__)
NS_DEVICE int ThreadIndex() { return __nvvm_read_ptx_sreg_tid_x(); }
NS_DEVICE int BlockThreads() { return __nvvm_read_ptx_sreg_ntid_x(); }
NS_DEVICE int BlockIndex() { return __nvvm_read_ptx_sreg_ctaid_x(); }
NS_DEVICE int BlockIndexY() { return __nvvm_read_ptx_sreg_ctaid_y(); }
NS_DEVICE int Blocks() { return __nvvm_read_ptx_sreg_nctaid_x(); }
NS_DEVICE uint32_t SharedAddress(const void* p) { return (uint32_t)(uint64_t)(__attribute__((address_space(3))) const void*)p; }
#else
NS_DEVICE int ThreadIndex() { return threadIdx.x; }
NS_DEVICE int BlockThreads() { return blockDim.x; }
NS_DEVICE int BlockIndex() { return blockIdx.x; }
NS_DEVICE int BlockIndexY() { return blockIdx.y; }
NS_DEVICE int Blocks() { return gridDim.x; }
NS_DEVICE uint32_t SharedAddress(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }
#endif
NS_DEVICE int Lane() { return ThreadIndex() & 31; }
NS_DEVICE int Warp() { return ThreadIndex() >> 5; }

/// The block's dynamic shared memory, aligned to 128 bytes.
NS_DEVICE uint8_t* SharedMemory() {
  extern __shared__ __attribute__((aligned(128))) uint8_t shared_memory[];
  return shared_memory;
}

// ---- waiting and exchanging ----
NS_DEVICE void SyncThreads() { asm volatile("bar.sync 0;" ::: "memory"); }
NS_DEVICE void SyncWarp() { asm volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }
NS_DEVICE uint32_t ShuffleXor(uint32_t value, int lanes) {
  uint32_t other;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(other) : "r"(value), "r"(lanes));
  return other;
}
NS_DEVICE float ShuffleXor(float value, int lanes) {
  float other;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=f"(other) : "f"(value), "r"(lanes));
  return other;
}
NS_DEVICE uint64_t ShuffleXor(uint64_t value, int lanes) {
  return (uint64_t)ShuffleXor((uint32_t)(value >> 32), lanes) << 32 | ShuffleXor((uint32_t)value, lanes);
}
NS_DEVICE uint32_t ShuffleFrom(uint32_t value, int lane) {
  uint32_t other;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(other) : "r"(value), "r"(lane));
  return other;
}
/// True on every lane when it is true on one.
NS_DEVICE bool Any(bool value) {
  uint32_t any;
  asm volatile("{ .reg .pred p, q; setp.ne.u32 p, %1, 0; vote.sync.any.pred q, p, 0xffffffff; selp.u32 %0, 1, 0, q; }"
               : "=r"(any)
               : "r"((uint32_t)value));
  return any != 0;
}

/// Waits until the kernel in front has ended and its results are seen (programmatic dependent launch); nothing where there is none.
NS_DEVICE void WaitForKernelInFront() {
#if NS_SM90
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/// Lets the kernel behind begin as soon as places are free.
NS_DEVICE void AllowKernelBehind() {
#if NS_SM90
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// ---- arithmetic: one rounding each, as written ----
NS_DEVICE float Bits(uint32_t bits) {
  float value;
  asm("mov.b32 %0, %1;" : "=f"(value) : "r"(bits));
  return value;
}
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

// ---- matrices ----
/// c[16, 8] += a[16, 16] b[16, 8]: lane 4g + t holds of c rows g and g + 8 (elements 0, 1 and 2, 3), columns 2t and 2t + 1.
template <bool BF16>
NS_DEVICE void MatrixMultiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (BF16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}
/// Four 8×8 matrices; lane 8i + r names row r (16 bytes) of matrix i; lane 4g + t gets elements 2t, 2t + 1 of row g of each.
NS_DEVICE void LoadMatrices(uint32_t (&m)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(SharedAddress(row)));
}
/// The same with each matrix transposed.
NS_DEVICE void LoadMatricesTransposed(uint32_t (&m)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(SharedAddress(row)));
}

// ---- global memory ----
// Plain, coherent loads: the read-only path may be moved in front of WaitForKernelInFront.
template <class T>
NS_DEVICE T LoadGlobal(const T* p) {
  return *(const volatile T*)p;
}
NS_DEVICE Vector LoadVector(const void* p) {
  Vector v;
  asm volatile("ld.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
  return v;
}
NS_DEVICE int AtomicAddShared(int32_t* p, int value) {
  int before;
  asm volatile("atom.shared.add.u32 %0, [%1], %2;" : "=r"(before) : "r"(SharedAddress(p)), "r"(value) : "memory");
  return before;
}

// ---- copies of 16 bytes by the thread that asked ----
NS_DEVICE void CopyAsync(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(shared)), "l"(global) : "memory");
}
NS_DEVICE void CommitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most so many groups of this thread's copies are still under way.
template <int Groups>
NS_DEVICE void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
}

// ---- barriers in shared memory, and copies that arrive at them ----
using Barrier = uint64_t;

NS_DEVICE void BarrierInit(Barrier* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(arrivals) : "memory");
}
/// Between the inits and the first SyncThreads.
NS_DEVICE void BarrierInitDone() {
#if NS_SM90
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
NS_DEVICE void BarrierArrive(Barrier* barrier) {
  asm volatile("{ .reg .b64 s; mbarrier.arrive.shared.b64 s, [%0]; }" ::"r"(SharedAddress(barrier)) : "memory");
}
/// Waits for the end of the phase of this parity. A wait without end becomes an error.
NS_DEVICE void BarrierWait(Barrier* barrier, uint32_t parity) {
  uint32_t done = 0;
  for (uint32_t tries = 0; done == 0; ++tries) {
#if NS_SM90
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done)
                 : "r"(SharedAddress(barrier)), "r"(parity)
                 : "memory");
#else
    asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done)
                 : "r"(SharedAddress(barrier)), "r"(parity)
                 : "memory");
#endif
    if (tries > (1u << 26)) {
      asm volatile("trap;");
    }
  }
}

// A warp fills shared memory: FillBegin with all bytes, any number of FillCopy, FillEnd. By bulk copies where there are any, which one lane
// asks for and which count bytes; else by all lanes, 16 bytes each, which count as arrivals.
inline constexpr int kFillArrivals = kBulkCopies ? 1 : 32;

NS_DEVICE void FillBegin(Barrier* barrier, uint32_t bytes) {
#if NS_SM90
  if (Lane() == 0) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(bytes) : "memory");
  }
#endif
}
/// What is read once (weights, keys) leaves the cache first; what every block reads (activations) stays.
template <bool Once>
NS_DEVICE void FillCopy(void* shared, const void* global, uint32_t bytes, Barrier* barrier) {
#if NS_SM90
  if (Lane() == 0) {
    uint64_t policy;
    if constexpr (Once) {
      asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    } else {
      asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
    }
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
                     SharedAddress(shared)),
                 "l"(global), "r"(bytes), "r"(SharedAddress(barrier)), "l"(policy)
                 : "memory");
  }
#else
  for (uint32_t i = Lane() * 16; i < bytes; i += 512) {
    CopyAsync((uint8_t*)shared + i, (const uint8_t*)global + i);
  }
#endif
}
NS_DEVICE void FillEnd(Barrier* barrier) {
#if !NS_SM90
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(SharedAddress(barrier)) : "memory");
#endif
}
/// Nothing a warp fills may be under way when it ends.
NS_DEVICE void FillsDone() {
#if !NS_SM90
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// ---- four warps together: c[64, 8 N] += a[64, 16] b[16, 8 N], a in registers, b in shared memory, asynchronous ----
/// b as 8×8 matrices of 128 bytes (a column's 8 values of k are 16 bytes): matrices along k are 128 bytes apart, along columns 512.
NS_DEVICE uint64_t GroupMatrix(const void* shared) {
  return (uint64_t)((SharedAddress(shared) & 0x3ffff) >> 4) | (uint64_t)(128 >> 4) << 16 | (uint64_t)(512 >> 4) << 32;
}
/// The same matrix so many bytes on.
NS_DEVICE uint64_t GroupMatrixAt(uint64_t matrix, int bytes) { return matrix + (uint64_t)(bytes >> 4); }
NS_DEVICE void GroupFence() {
#if NS_SM90A
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
NS_DEVICE void GroupCommit() {
#if NS_SM90A
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
template <int Groups>
NS_DEVICE void GroupWait() {
#if NS_SM90A
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Groups) : "memory");
#endif
}

#if NS_SM90A
#define NS_C(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
#define NS_GROUP_MULTIPLY(n, type, list, a0, a1, a2, a3, d, ...)                                                                          \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type " {" list "}, {" a0   \
               "," a1 "," a2 "," a3 "}, " d ", p, 1, 1, 0; }"                                                                             \
               : __VA_ARGS__                                                                                                              \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define NS_LIST8 "%0,%1,%2,%3"
#define NS_LIST16 NS_LIST8 ",%4,%5,%6,%7"
#define NS_LIST32 NS_LIST16 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define NS_LIST64 NS_LIST32 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#endif

template <bool BF16, int N>
NS_DEVICE void GroupMultiplyAdd(float (&c)[N][4], const uint32_t (&a)[4], uint64_t b) {
#if NS_SM90A
  if constexpr (N == 1 && BF16) {
    NS_GROUP_MULTIPLY(8, "bf16", NS_LIST8, "%4", "%5", "%6", "%7", "%8", NS_C(0));
  } else if constexpr (N == 1) {
    NS_GROUP_MULTIPLY(8, "f16", NS_LIST8, "%4", "%5", "%6", "%7", "%8", NS_C(0));
  } else if constexpr (N == 2 && BF16) {
    NS_GROUP_MULTIPLY(16, "bf16", NS_LIST16, "%8", "%9", "%10", "%11", "%12", NS_C(0), NS_C(1));
  } else if constexpr (N == 2) {
    NS_GROUP_MULTIPLY(16, "f16", NS_LIST16, "%8", "%9", "%10", "%11", "%12", NS_C(0), NS_C(1));
  } else if constexpr (N == 4 && BF16) {
    NS_GROUP_MULTIPLY(32, "bf16", NS_LIST32, "%16", "%17", "%18", "%19", "%20", NS_C(0), NS_C(1), NS_C(2), NS_C(3));
  } else if constexpr (N == 4) {
    NS_GROUP_MULTIPLY(32, "f16", NS_LIST32, "%16", "%17", "%18", "%19", "%20", NS_C(0), NS_C(1), NS_C(2), NS_C(3));
  } else if constexpr (N == 8 && BF16) {
    NS_GROUP_MULTIPLY(64, "bf16", NS_LIST64, "%32", "%33", "%34", "%35", "%36", NS_C(0), NS_C(1), NS_C(2), NS_C(3), NS_C(4), NS_C(5), NS_C(6),
                      NS_C(7));
  } else {
    static_assert(N == 8);
    NS_GROUP_MULTIPLY(64, "f16", NS_LIST64, "%32", "%33", "%34", "%35", "%36", NS_C(0), NS_C(1), NS_C(2), NS_C(3), NS_C(4), NS_C(5), NS_C(6),
                      NS_C(7));
  }
#endif
}

}  // namespace nativespec::cuda

#endif
