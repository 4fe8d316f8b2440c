// Where a thread is, and how threads wait for each other and exchange values; device.h includes it.
#pragma once

namespace nativespec::cuda {

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

}  // namespace nativespec::cuda
