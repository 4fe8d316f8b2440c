// Threads that wait for the next operation of a forward: fork and join cost about a microsecond, because between operations they spin,
// and park only when nothing came for a while.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace nativespec {

/// A forward has about a hundred short operations, so the usual pool (a queue, a lock, a wake-up each) would cost as much as the
/// arithmetic. Work is a range of items, taken in chunks from one ticket. The ticket carries the number of the operation in its upper
/// half: a thread that wakes late finds another number there, takes nothing, and so can never touch the arguments of an operation that
/// is over. The join waits for items, not for threads; a thread that the system has put aside delays nobody unless it holds a chunk.
class ThreadTeam {
 public:
  using Work = void (*)(const void* arguments, int64_t begin, int64_t end);

  /// Starts threads - 1 threads; the caller of Run is the first of the team. Throws std::system_error where the system refuses.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  /// Threads in the team, the caller included.
  int threads() const { return threads_; }

  /// Calls work(arguments, begin, end) until [0, items) is covered, on all threads, and returns when all of it is done. Chunks begin at
  /// multiples of grain. They shrink towards the end: large ones keep streams of memory long, small ones let the threads finish
  /// together. items is below 2^32 - 1. One caller at a time.
  void Run(Work work, const void* arguments, int64_t items, int64_t grain);

 private:
  void TakeChunks(uint32_t operation);
  void Serve();
  uint32_t WaitForOther(uint32_t last);
  bool Stopping() const { return stop_.load(std::memory_order_relaxed); }
  uint32_t Operation() const { return static_cast<uint32_t>(ticket_.load(std::memory_order_acquire) >> 32); }

  // The two words every thread hammers, each on a cache line of its own.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int64_t> done_{0};

  // Written only while the ticket is closed. A late thread may read them meanwhile, but then its exchange of the ticket fails.
  alignas(64) std::atomic<Work> work_{nullptr};
  std::atomic<const void*> arguments_{nullptr};
  std::atomic<int64_t> items_{0};
  std::atomic<int64_t> grain_{1};

  const int threads_;
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex parking_lot_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace nativespec
