// Loads and copies from global to shared memory, and the barriers at which copies arrive; device.h includes it.
#pragma once

namespace nativespec::cuda {

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

}  // namespace nativespec::cuda
