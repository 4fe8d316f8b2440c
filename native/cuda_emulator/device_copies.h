// Loads and copies from global to shared memory, and the barriers at which copies arrive; device.h includes it.
#pragma once

namespace nativespec::cuda {

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

}  // namespace nativespec::cuda
