// Barriers in shared memory, and copies that stay away until somebody waits for them.
#include "worker.h"

namespace nativespec::emulator {
namespace {

// A barrier's 64 bits.
struct BarrierState {
  uint32_t phase : 1, arrivals : 15, pending : 16;
  int32_t bytes;
};
static_assert(sizeof(BarrierState) == 8);

BarrierState Load(const uint64_t* barrier) {
  BarrierState state;
  std::memcpy(&state, barrier, 8);
  if (state.arrivals == 0x7fff || state.arrivals == 0) {
    Fault("a barrier was not initialised");
  }
  return state;
}

void Store(uint64_t* barrier, BarrierState state) {
  if (state.pending == 0 && state.bytes == 0) {
    state.phase ^= 1;
    state.pending = state.arrivals;
    for (Fiber& fiber : worker->fibers) {
      if (fiber.waits_for == barrier) {
        fiber.waits_for = nullptr;
        Wake(fiber.place.thread);
      }
    }
  }
  std::memcpy(barrier, &state, 8);
}

}  // namespace

void Deliver(const uint64_t* barrier) {
#if defined(NS_FIBERS_UNDER_TSAN)
  void* self = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(worker->tsan_copies, __tsan_switch_to_fiber_no_sync);
  Take(barrier);
#endif
  auto& bulk = worker->bulk;
  size_t kept = 0;
  for (size_t i = 0; i < bulk.size(); ++i) {
    const Copy copy = bulk[i];
    if (copy.barrier != barrier) {
      bulk[kept++] = copy;
      continue;
    }
    if (copy.bytes > 0) {
      std::memcpy(copy.shared, copy.global, copy.bytes);
    }
    if (copy.arrives) {
      BarrierState state = Load(copy.barrier);
      if (copy.bytes == 0) {
        --state.pending;
      } else {
        state.bytes -= static_cast<int32_t>(copy.bytes);
      }
      Store(copy.barrier, state);
    }
  }
  bulk.resize(kept);
#if defined(NS_FIBERS_UNDER_TSAN)
  GiveAway(barrier);
  __tsan_switch_to_fiber(self, __tsan_switch_to_fiber_no_sync);
#endif
}

void BarrierInit(uint64_t* barrier, int arrivals) {
  Aligned(barrier, 8);
  BarrierState state{};
  state.arrivals = static_cast<uint32_t>(arrivals) & 0x7fff;
  state.pending = static_cast<uint32_t>(arrivals) & 0xffff;
  std::memcpy(barrier, &state, 8);
}

void BarrierArrive(uint64_t* barrier, int32_t bytes) {
  BarrierState state = Load(barrier);
  if (state.pending == 0) {
    Fault("a barrier has more arrivals than it waits for");
  }
  --state.pending;
  state.bytes += bytes;
  GiveAway(barrier);
  Store(barrier, state);
}

void BarrierWait(uint64_t* barrier, uint32_t parity) {
  Aligned(barrier, 8);
  while (Load(barrier).phase == parity) {
    Deliver(barrier);
    if (Load(barrier).phase != parity) {
      break;
    }
    worker->Current().waits_for = barrier;
    Block();
  }
  Take(barrier);
}

void BulkCopy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
  Aligned(shared, 16);
  Aligned(global, 16);
  if (bytes == 0 || bytes % 16 != 0) {
    Fault("a bulk copy of less than whole pieces");
  }
  std::memset(shared, 0xff, bytes);
  GiveAway(barrier);
  worker->bulk.push_back({shared, global, bytes, barrier, true, 0});
}

void FillPiece(void* shared, const void* global) {
  Aligned(shared, 16);
  Aligned(global, 16);
  std::memset(shared, 0xff, 16);
  worker->Current().pieces.push_back({shared, global, 16, nullptr, false, 0});
}

void ArriveAfterPieces(uint64_t* barrier) {
  auto& pieces = worker->Current().pieces;
  for (Copy& piece : pieces) {
    piece.barrier = barrier;
    worker->bulk.push_back(piece);
  }
  pieces.clear();
  GiveAway(barrier);
  worker->bulk.push_back({nullptr, nullptr, 0, barrier, true, 0});
}

void CopyAsync(void* shared, const void* global) {
  Aligned(shared, 16);
  Aligned(global, 16);
  std::memset(shared, 0xff, 16);
  Fiber& fiber = worker->Current();
  fiber.copies.push_back({shared, global, 16, nullptr, false, fiber.copy_group});
}

void CommitCopies() { ++worker->Current().copy_group; }

void WaitForCopies(int groups) {
  Fiber& fiber = worker->Current();
  size_t done = 0;
  for (; done < fiber.copies.size() && fiber.copies[done].group < fiber.copy_group - groups; ++done) {
    std::memcpy(fiber.copies[done].shared, fiber.copies[done].global, 16);
  }
  fiber.copies.erase(fiber.copies.begin(), fiber.copies.begin() + static_cast<int64_t>(done));
}

}  // namespace nativespec::emulator
