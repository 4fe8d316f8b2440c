// What a worker that runs blocks has: its threads as fibers, their warps, and the copies under way.
#pragma once

#include <cstring>
#include <vector>

#include "emulator.h"

#define NATIVESPEC_CUDA_EMULATOR 90
#include "device.h"

#if defined(__SANITIZE_ADDRESS__)
#define NS_FIBERS_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NS_FIBERS_UNDER_ASAN 1
#endif
#endif

// Under the thread sanitizer each of a kernel's threads is one of its own, and what orders them on a part is all that orders them here: a barrier left
// out is a race, whatever order they happen to run in. The emulator itself is not instrumented (native/tests/cuda/CMakeLists.txt); it says what it orders.
#if defined(NS_FIBERS_UNDER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace nativespec::emulator {

/// What was done before by who gives this away is seen by who takes it.
inline void GiveAway([[maybe_unused]] const void* what) {
#if defined(NS_FIBERS_UNDER_TSAN)
  __tsan_release(const_cast<void*>(what));
#endif
}
inline void Take([[maybe_unused]] const void* what) {
#if defined(NS_FIBERS_UNDER_TSAN)
  __tsan_acquire(const_cast<void*>(what));
#endif
}

inline constexpr size_t kStackBytes = 256 << 10, kMostShared = 256 << 10;
inline constexpr int kMostThreads = 1024;

struct Copy {
  void* shared;
  const void* global;
  uint32_t bytes;
  uint64_t* barrier;  // that it belongs to, or null
  bool arrives;       // there, with its bytes, or as a thread where it has none
  int group;
};

struct Product {
  bool bf16;
  int tiles, group;
  float* c;
  uint32_t a[4];
  const uint8_t* b;
};

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  void* asan_stack = nullptr;
  void* tsan_thread = nullptr;
  Place place{};
  std::vector<Copy> copies;  // of CopyAsync
  int copy_group = 0;
  std::vector<Copy> pieces;  // of a fill that no barrier waits for yet
  std::vector<Product> products;
  int product_group = 0;
  const uint64_t* waits_for = nullptr;
};

struct WarpMeeting {
  uint32_t live = 0, arrived = 0;
  Meeting meeting = Meeting::kSync;
  int line = 0, generation = 0;
  alignas(16) uint8_t in[2][32][48];
  alignas(16) uint8_t out[2][32][16];
};

struct Worker {
  std::vector<Fiber> fibers;
  std::vector<WarpMeeting> warps;
  std::vector<uint32_t> ready;  // a bit per lane
  std::vector<Copy> bulk;       // under way
  std::vector<int> at_block_barrier;
  int live = 0, current = 0;
  void* main_stack_pointer = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
  void* main_asan_stack = nullptr;
  void *main_tsan_thread = nullptr, *tsan_copies = nullptr;  // what starts blocks, and what copies for them
  char begins = 0, ends = 0;  // of blocks
  char barriers[2] = {};      // of the block, by turns
  int barrier = 0;            // the next of them
  const std::function<void()>* thread = nullptr;
  Schedule schedule;
  uint64_t random = 1;
  std::string fault;

  Fiber& Current() { return fibers[static_cast<size_t>(current)]; }
  uint64_t Random() {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  }
};

/// The worker of this thread while it runs a kernel, else null.
extern thread_local Worker* worker __attribute__((tls_model("initial-exec")));

/// Runs a block from its start to its end, or to its first fault.
void RunBlock(Worker& w, int x, int y, int grid_x, int threads, uint8_t* shared, size_t shared_bytes);

/// Ends the program with a line that says why.
[[noreturn]] void EndProgram(const char* what);

/// Gives up the processor until somebody makes this thread ready.
void Block();
inline void Wake(int thread) { worker->ready[static_cast<size_t>(thread / 32)] |= 1u << (thread & 31); }

/// Brings what is under way to this barrier.
void Deliver(const uint64_t* barrier);

/// The product of a warp's operands, as its lanes brought them: out[lane] are its four sums.
void MultiplyTile(const uint8_t (&in)[32][48], bool bf16, uint8_t (&out)[32][16]);
/// All products of a warp's rows up to a group, the right operand as shared memory has it now: who gives it back too early finds out.
void MultiplyGroups(int warp, int groups);

}  // namespace nativespec::emulator
