// Threads as fibers: switching from one to the next, the block's barrier, and a block from its start to its end.
#include <cstdio>
#include <cstdlib>

#include "worker.h"

#if defined(NS_FIBERS_UNDER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace nativespec::emulator {

thread_local Worker* worker;

namespace {

/// Saves the callee's registers and the stack of one fiber, and goes on with another's.
__attribute__((naked, noinline)) void Switch(void** /*from*/, void* /*to*/) {
  asm("push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
      "mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
      "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret");
}

/// The next thread that is ready, or −1.
int PickReady() {
  Worker& w = *worker;
  const int warps = static_cast<int>(w.ready.size());
  const bool random = w.schedule.order == Order::kRandom, down = w.schedule.order == Order::kDescending;
  if (w.schedule.order == Order::kAscending) {  // nearly always: the next lane of the same warp
    const uint32_t higher = w.ready[static_cast<size_t>(w.current / 32)] & ~((2u << (w.current & 31)) - 1);
    if (higher != 0) {
      return (w.current & ~31) + __builtin_ctz(higher);
    }
  }
  const int start = random ? static_cast<int>(w.Random() % static_cast<uint64_t>(warps)) : w.current / 32;
  for (int i = 0; i <= warps; ++i) {
    const int warp = ((down ? start - i : start + i) % warps + warps) % warps;
    const uint32_t ready = w.ready[static_cast<size_t>(warp)];
    if (ready == 0) {
      continue;
    }
    if (random) {
      const int skip = static_cast<int>(w.Random() & 31);
      const uint32_t rotated = skip == 0 ? ready : ready >> skip | ready << (32 - skip);
      return warp * 32 + ((__builtin_ctz(rotated) + skip) & 31);
    }
    return warp * 32 + (down ? 31 - __builtin_clz(ready) : __builtin_ctz(ready));
  }
  return -1;
}

/// The next thread to run, or −1. What is under way arrives when nothing else can happen.
int Pick() {
  int next = PickReady();
  for (size_t i = 0; next < 0 && i < worker->fibers.size(); ++i) {
    if (worker->fibers[i].waits_for != nullptr) {
      Deliver(worker->fibers[i].waits_for);
      next = PickReady();
    }
  }
  return next;
}

/// Goes on with a thread, or with what started the block (−1).
void SwitchTo(int thread, void** from, [[maybe_unused]] bool ends) {
  Worker& w = *worker;
#if defined(NS_FIBERS_UNDER_ASAN)
  void** fake = from == &w.main_stack_pointer ? &w.main_asan_stack : &w.Current().asan_stack;
  if (thread < 0) {
    __sanitizer_start_switch_fiber(ends ? nullptr : fake, w.main_stack, w.main_stack_bytes);
  } else {
    __sanitizer_start_switch_fiber(ends ? nullptr : fake, w.fibers[static_cast<size_t>(thread)].stack, kStackBytes);
  }
#endif
#if defined(NS_FIBERS_UNDER_TSAN)
  __tsan_switch_to_fiber(thread < 0 ? w.main_tsan_thread : w.fibers[static_cast<size_t>(thread)].tsan_thread, __tsan_switch_to_fiber_no_sync);
#endif
  void* to = thread < 0 ? w.main_stack_pointer : w.fibers[static_cast<size_t>(thread)].stack_pointer;
  if (thread >= 0) {
    w.current = thread;
  }
  Switch(from, to);
#if defined(NS_FIBERS_UNDER_ASAN)
  __sanitizer_finish_switch_fiber(*fake, nullptr, nullptr);
#endif
}

void EndThread() {
  Worker& w = *worker;
  const int self = w.current;
  const auto warp = static_cast<size_t>(self / 32);
  Fiber& fiber = w.Current();
  if (!fiber.copies.empty() || !fiber.pieces.empty() || !fiber.products.empty()) {
    Fault("a thread ends while copies or products of its own are under way");
  }
  w.ready[warp] &= ~(1u << (self & 31));
  w.warps[warp].live &= ~(1u << (self & 31));
  --w.live;
  if (w.warps[warp].arrived != 0) {
    Fault("a thread ends while others of its warp wait for it");
  }
  if (w.live > 0 && static_cast<int>(w.at_block_barrier.size()) == w.live) {
    for (const int thread : w.at_block_barrier) {
      Wake(thread);
    }
    w.at_block_barrier.clear();
    w.barrier ^= 1;
  }
  GiveAway(&w.ends);
  const int next = Pick();
  if (next < 0 && w.live > 0) {
    Fault("all threads wait, after one has ended");
  }
  SwitchTo(next, &fiber.stack_pointer, true);
}

void FiberMain() {
#if defined(NS_FIBERS_UNDER_ASAN)
  const void* bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (worker->main_stack == nullptr) {
    worker->main_stack = bottom;
    worker->main_stack_bytes = bytes;
  }
#endif
  Take(&worker->begins);
  (*worker->thread)();
  EndThread();
  __builtin_unreachable();
}

}  // namespace

void RunBlock(Worker& w, int x, int y, int grid_x, int threads, uint8_t* shared, size_t shared_bytes) {
#if defined(NS_FIBERS_UNDER_TSAN)
  w.main_tsan_thread = __tsan_get_current_fiber();
  w.tsan_copies = w.tsan_copies == nullptr ? __tsan_create_fiber(0) : w.tsan_copies;
  for (int i = 0; i < threads; ++i) {
    void*& its = w.fibers[static_cast<size_t>(i)].tsan_thread;
    its = its == nullptr ? __tsan_create_fiber(0) : its;
  }
#endif
  std::memset(shared, 0xff, shared_bytes);  // not a number, whatever it is read as
  GiveAway(&w.begins);
  w.bulk.clear();
  w.bulk.reserve(1 << 10);  // what grows is moved, by whatever thread that is
  w.at_block_barrier.clear();
  w.at_block_barrier.reserve(kMostThreads);
  w.live = threads;
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = w.fibers[static_cast<size_t>(i)];
    fiber.place = {i, threads, x, y, grid_x, shared};
    fiber.copies.clear();
    fiber.pieces.clear();
    fiber.products.clear();
    fiber.copy_group = fiber.product_group = 0;
    fiber.waits_for = nullptr;
#if defined(NS_FIBERS_UNDER_ASAN)
    __asan_unpoison_memory_region(fiber.stack, kStackBytes);  // what the thread that ended here left behind
#endif
    // Stacks begin at different places of their pages, or all of them would share a few lines of the cache.
    auto** stack = reinterpret_cast<void**>(fiber.stack + kStackBytes - i % 64 * 320);
    *--stack = nullptr;
    *--stack = reinterpret_cast<void*>(&FiberMain);
    for (int r = 0; r < 6; ++r) {
      *--stack = nullptr;
    }
    fiber.stack_pointer = stack;
  }
  for (size_t warp = 0; warp < w.ready.size(); ++warp) {
    const int lanes = std::min(32, threads - static_cast<int>(warp) * 32);
    w.ready[warp] = w.warps[warp].live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    w.warps[warp].arrived = 0;
  }
  w.current = w.schedule.order == Order::kDescending ? threads - 1 : 0;
  const int first = w.schedule.order == Order::kRandom ? Pick() : w.current;
  SwitchTo(first, &w.main_stack_pointer, false);
  Take(&w.ends);
}

const Place& Here() { return worker->Current().place; }

bool InKernel() { return worker != nullptr; }

void Block() {
  Worker& w = *worker;
  const int self = w.current;
  w.ready[static_cast<size_t>(self / 32)] &= ~(1u << (self & 31));
  const int next = Pick();
  if (next < 0) {
    Fault("all threads wait (a barrier that not all reach, or a copy that nobody asked for)");
  }
  if (next != self) {
    SwitchTo(next, &w.Current().stack_pointer, false);
  }
}

void SyncThreads() {
  Worker& w = *worker;
  // Two by turns: who comes to the next barrier gives nothing to those that have not left this one yet.
  char* barrier = &w.barriers[w.barrier];
  GiveAway(barrier);
  w.at_block_barrier.push_back(w.current);
  if (static_cast<int>(w.at_block_barrier.size()) < w.live) {
    Block();
  } else {
    for (const int thread : w.at_block_barrier) {
      Wake(thread);
    }
    w.at_block_barrier.clear();
    w.barrier ^= 1;
  }
  Take(barrier);
}

void EndProgram(const char* what) {
  std::fflush(stdout);
  std::fprintf(stderr, "emulator: %s\n", what);
  std::_Exit(1);
}

void Fault(const char* what) {
  if (worker == nullptr) {
    EndProgram(what);
  }
  const Place& at = Here();
  worker->fault = std::string(what) + ": block (" + std::to_string(at.block_x) + ", " + std::to_string(at.block_y) + "), thread " + std::to_string(at.thread);
  SwitchTo(-1, &worker->Current().stack_pointer, true);  // the other threads stay where they are
  __builtin_unreachable();
}

}  // namespace nativespec::emulator
