// A ring of stages in shared memory that one warp fills and the others empty. Each stage has a barrier that says it is full and one that says it
// is empty; both sides walk the stages in the same order.
#pragma once

#include "device.h"

namespace nativespec::cuda {

struct Ring {
  uint8_t* data;
  int stage_bytes;
  int stages;

  NS_DEVICE uint8_t* Stage(int slot) const { return data + slot * stage_bytes; }
  NS_DEVICE Barrier* Full(int slot) const { return (Barrier*)(data + stages * stage_bytes) + slot; }
  NS_DEVICE Barrier* Empty(int slot) const { return Full(stages + slot); }

  /// By all threads, before anything else.
  NS_DEVICE void Init(int readers) const {
    if (ThreadIndex() == 0) {
      for (int slot = 0; slot < stages; ++slot) {
        BarrierInit(Full(slot), kFillArrivals);
        BarrierInit(Empty(slot), readers);
      }
      BarrierInitDone();
    }
    SyncThreads();
  }
};

/// Shared memory of a ring.
NS_BOTH int RingBytes(int stage_bytes, int stages) { return stages * (stage_bytes + 16); }

/// Where a side is in its walk round the ring.
struct RingPlace {
  int slot = 0;
  uint32_t round = 0;  // parity

  NS_DEVICE void Next(const Ring& ring) {
    if (++slot == ring.stages) {
      slot = 0;
      round ^= 1;
    }
  }
};

}  // namespace nativespec::cuda
