// A kernel: its blocks on one worker after another, and the memory that their threads have.
#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "worker.h"

namespace nativespec::emulator {
namespace {

/// What a thread keeps from one kernel to the next: stacks, and shared memory that ends at a page nobody may touch.
class Memory {
 public:
  Memory() : stacks_(Map(kMostThreads * kStackBytes)), shared_(Map(kMostShared + kPage)) { mprotect(shared_ + kMostShared, kPage, PROT_NONE); }
  Memory(const Memory&) = delete;
  ~Memory() {
    munmap(stacks_, kMostThreads * kStackBytes);
    munmap(shared_, kMostShared + kPage);
  }

  char* Stack(size_t thread) const { return stacks_ + thread * kStackBytes; }
  uint8_t* Shared(size_t bytes) const { return reinterpret_cast<uint8_t*>(shared_ + kMostShared - (bytes + 127) / 128 * 128); }

 private:
  static constexpr size_t kPage = 4096;
  static char* Map(size_t bytes) {
    void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
      EndProgram("no memory for the threads of kernels");
    }
    return static_cast<char*>(pages);
  }
  char *stacks_, *shared_;
};

/// Threads that help with large grids. They live as long as the program, since new ones would have to make their stacks again for every kernel.
class Helpers {
 public:
  /// work(1) to work(count) beside the caller's work(0).
  void Run(int count, const std::function<void(int)>& work) {
    std::lock_guard<std::mutex> one_kernel(kernel_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      wanted_ = running_ = count;
      ++round_;
      for (; threads_ < count; ++threads_) {
        std::thread(&Helpers::Loop, this, threads_ + 1).detach();
      }
    }
    begin_.notify_all();
    work(0);
    std::unique_lock<std::mutex> lock(mutex_);
    end_.wait(lock, [&] { return running_ == 0; });
  }

 private:
  void Loop(int index) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (uint64_t seen = 0;;) {
      begin_.wait(lock, [&] { return round_ != seen && index <= wanted_; });
      seen = round_;
      const auto& work = *work_;
      lock.unlock();
      work(index);
      lock.lock();
      if (--running_ == 0) {
        end_.notify_all();
      }
    }
  }

  std::mutex kernel_, mutex_;
  std::condition_variable begin_, end_;
  const std::function<void(int)>* work_ = nullptr;
  int wanted_ = 0, running_ = 0, threads_ = 0;
  uint64_t round_ = 0;
};

}  // namespace

std::string Launch(int grid_x, int grid_y, int threads, size_t shared_bytes, const Schedule& schedule, const std::function<void()>& thread) {
  if (threads < 1 || threads > kMostThreads || shared_bytes > kMostShared) {
    return "a block of " + std::to_string(threads) + " threads with " + std::to_string(shared_bytes) + " bytes of shared memory";
  }
  const int blocks = grid_x * grid_y;
  std::atomic<int> next{0};
  std::mutex mutex;
  std::string fault;
  auto work = [&](int index) {
    static thread_local Memory memory;
    static thread_local Worker own;
    Worker& w = own;
    worker = &w;
    w.thread = &thread;
    w.schedule = schedule;
    w.random = schedule.seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(index) + 1;
    w.fault.clear();
    w.fibers.resize(static_cast<size_t>(threads));
    w.warps.resize(static_cast<size_t>(threads + 31) / 32);
    w.ready.resize(w.warps.size());
    for (size_t i = 0; i < w.fibers.size(); ++i) {
      w.fibers[i].stack = memory.Stack(i);
    }
    uint8_t* shared = memory.Shared(shared_bytes);
    for (int block; (block = next.fetch_add(1)) < blocks && w.fault.empty();) {
      RunBlock(w, block % grid_x, block / grid_x, grid_x, threads, shared, shared_bytes);
    }
    worker = nullptr;
    if (!w.fault.empty()) {
      next = blocks;
      std::lock_guard<std::mutex> lock(mutex);
      fault = w.fault;
    }
  };
  const int workers = std::min(schedule.workers, blocks);
  if (workers > 1) {
    static auto* helpers = new Helpers;  // never ends: its threads may outlive everything
    helpers->Run(workers - 1, work);
  } else {
    work(0);
  }
  return fault;
}

}  // namespace nativespec::emulator
