#include "thread_team.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace nativespec {
namespace {

constexpr uint64_t kClosed = 0xFFFFFFFFu;
constexpr int kSpinsBetweenClockReads = 64;
constexpr int kSpinsBeforeYield = 2000;
// Longer than any gap between the operations of a forward, shorter than anybody's patience with a busy idle core.
constexpr auto kSpinTime = std::chrono::microseconds(100);

inline void Pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadTeam::ThreadTeam(int threads) : threads_(std::max(threads, 1)) {
  workers_.reserve(static_cast<size_t>(threads_ - 1));
  try {
    for (int i = 1; i < threads_; ++i) {
      workers_.emplace_back([this] { Serve(); });
    }
  } catch (...) {
    // A destructor does not run for a team that was never whole.
    stop_.store(true);
    for (auto& worker : workers_) {
      worker.join();
    }
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
  {
    std::lock_guard lock(parking_lot_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (auto& worker : workers_) {
    worker.join();
  }
}

void ThreadTeam::Run(Work work, const void* arguments, int64_t items, int64_t grain) {
  if (threads_ == 1 || items <= grain) {
    if (items > 0) {
      work(arguments, 0, items);
    }
    return;
  }

  // Closing the old ticket first makes the exchange of a thread that still looks at the old operation fail, so that nobody takes a
  // chunk while the fields below change.
  uint64_t operation = ticket_.load(std::memory_order_relaxed) >> 32;
  ticket_.exchange(operation << 32 | kClosed, std::memory_order_acq_rel);
  work_.store(work, std::memory_order_relaxed);
  arguments_.store(arguments, std::memory_order_relaxed);
  items_.store(items, std::memory_order_relaxed);
  grain_.store(grain, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  operation = (operation + 1) & 0xFFFFFFFFu;
  // Sequentially consistent: either this thread sees the sleeper counted, or the sleeper sees the new ticket before it sleeps.
  ticket_.store(operation << 32, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard lock(parking_lot_); }
    wake_.notify_all();
  }

  TakeChunks(static_cast<uint32_t>(operation));
  for (int spins = 0; done_.load(std::memory_order_acquire) < items; ++spins) {
    if (spins < kSpinsBeforeYield) {
      Pause();
    } else {
      std::this_thread::yield();  // whoever holds the last chunk may need this very core
    }
  }
}

void ThreadTeam::TakeChunks(uint32_t operation) {
  const int64_t shares = 2 * static_cast<int64_t>(threads_);
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(ticket >> 32) == operation) {
    const int64_t begin = static_cast<int64_t>(ticket & 0xFFFFFFFFu);
    const int64_t items = items_.load(std::memory_order_relaxed);
    if (begin >= items) {
      return;
    }

    const int64_t grain = grain_.load(std::memory_order_relaxed);
    const int64_t grains = std::max<int64_t>((items - begin) / (shares * grain), 1);
    const int64_t end = std::min(begin + grains * grain, items);
    if (!ticket_.compare_exchange_weak(ticket, static_cast<uint64_t>(operation) << 32 | static_cast<uint64_t>(end),
                                       std::memory_order_acq_rel, std::memory_order_acquire)) {
      continue;
    }

    work_.load(std::memory_order_relaxed)(arguments_.load(std::memory_order_relaxed), begin, end);
    done_.fetch_add(end - begin, std::memory_order_acq_rel);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void ThreadTeam::Serve() {
  // Number 0 is never an operation's until the counter has gone round, and then a thread that slept so long merely misses one.
  uint32_t last = 0;
  while (!Stopping()) {
    last = WaitForOther(last);
    TakeChunks(last);
  }
}

uint32_t ThreadTeam::WaitForOther(uint32_t last) {
  const auto began = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kSpinsBetweenClockReads; ++i) {
      const uint32_t operation = Operation();
      if (operation != last || Stopping()) {
        return operation;
      }
      Pause();
    }
  } while (std::chrono::steady_clock::now() - began < kSpinTime);

  std::unique_lock lock(parking_lot_);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  wake_.wait(lock, [&] { return static_cast<uint32_t>(ticket_.load(std::memory_order_seq_cst) >> 32) != last || Stopping(); });
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  return Operation();
}

}  // namespace nativespec
