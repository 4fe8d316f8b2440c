// Fibers, meetings of warps, barriers and what is asynchronous (device.h). A fault ends the program with a line that says where.
#include "emulator.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define NATIVESPEC_CUDA_EMULATOR 90
#include "device.h"

#if defined(__SANITIZE_ADDRESS__)
#define NS_FIBERS_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NS_FIBERS_UNDER_ASAN 1
#endif
#endif
#if defined(NS_FIBERS_UNDER_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace nativespec::emulator {
namespace {

constexpr size_t kStackBytes = 256 << 10;

/// Saves the callee's registers and the stack of one fiber, and goes on with another's.
__attribute__((naked, noinline)) void Switch(void** /*from*/, void* /*to*/) {
  asm("push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
      "mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
      "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret");
}

struct Copy {
  void* shared;
  const void* global;
  uint32_t bytes;
  uint64_t* barrier;  // where it arrives, or null
  int thread;
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
  Place place{};
  std::vector<Copy> copies;  // of CopyAsync
  int copy_group = 0;
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

// A barrier's 64 bits.
struct BarrierState {
  uint32_t phase : 1, arrivals : 15, pending : 16;
  int32_t bytes;
};
static_assert(sizeof(BarrierState) == 8);

struct Worker {
  std::vector<Fiber> fibers;
  std::vector<WarpMeeting> warps;
  std::vector<uint32_t> ready;
  std::vector<Copy> bulk;  // under way
  std::vector<int> at_block_barrier;
  int live = 0, current = 0;
  void* main_stack_pointer = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
  void* main_asan_stack = nullptr;
  const std::function<void()>* thread = nullptr;
  Schedule schedule;
  uint64_t random = 1;

  uint64_t Random() {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  }
};

thread_local Worker* worker;

void Deliver(const uint64_t* barrier);

/// The next thread that is ready, or −1.
int PickReady() {
  Worker& w = *worker;
  const int warps = static_cast<int>(w.ready.size());
  const bool random = w.schedule.order == Order::kRandom, down = w.schedule.order == Order::kDescending;
  const int start = random ? static_cast<int>(w.Random() % static_cast<uint64_t>(warps)) : w.current / 32;
  for (int i = 0; i <= warps; ++i) {
    const int warp = ((down ? start - i : start + i) % warps + warps) % warps;
    uint32_t ready = w.ready[warp];
    if (ready == 0) {
      continue;
    }
    if (random) {
      const int skip = static_cast<int>(w.Random() & 31);
      const uint32_t rotated = skip == 0 ? ready : ready >> skip | ready << (32 - skip);
      return warp * 32 + ((__builtin_ctz(rotated) + skip) & 31);
    }
    if (i == 0 && !down) {
      const uint32_t higher = ready & ~((2u << (w.current & 31)) - 1);
      ready = higher != 0 ? higher : ready;
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

void SwitchTo(int thread, void** from, [[maybe_unused]] bool ends) {
  Worker& w = *worker;
#if defined(NS_FIBERS_UNDER_ASAN)
  void** fake = from == &w.main_stack_pointer ? &w.main_asan_stack : &w.fibers[w.current].asan_stack;
  if (thread < 0) {
    __sanitizer_start_switch_fiber(ends ? nullptr : fake, w.main_stack, w.main_stack_bytes);
  } else {
    __sanitizer_start_switch_fiber(ends ? nullptr : fake, w.fibers[thread].stack, kStackBytes);
  }
#endif
  void* to = thread < 0 ? w.main_stack_pointer : w.fibers[thread].stack_pointer;
  if (thread >= 0) {
    w.current = thread;
  }
  Switch(from, to);
#if defined(NS_FIBERS_UNDER_ASAN)
  __sanitizer_finish_switch_fiber(*fake, nullptr, nullptr);
#endif
}

/// Gives up the processor until somebody makes this thread ready.
void Block() {
  Worker& w = *worker;
  const int self = w.current;
  w.ready[self / 32] &= ~(1u << (self & 31));
  const int next = Pick();
  if (next < 0) {
    Fault("all threads wait (a barrier that not all reach, or a copy that nobody asked for)");
  }
  if (next != self) {
    SwitchTo(next, &w.fibers[self].stack_pointer, false);
  }
}

void Wake(int thread) { worker->ready[thread / 32] |= 1u << (thread & 31); }

float FromHalf(bool bf16, uint32_t bits) {
  return bf16 ? nativespec::cuda::FromBF16(static_cast<uint16_t>(bits)) : nativespec::cuda::FromF16(static_cast<uint16_t>(bits));
}

/// Rows and columns of a left operand's numbers, as lanes hold them.
void LeftOperand(float (&a)[16][16], bool bf16, int lane, const uint32_t* words) {
  for (int word = 0; word < 4; ++word) {
    for (int half = 0; half < 2; ++half) {
      a[lane / 4 + word % 2 * 8][lane % 4 * 2 + half + word / 2 * 8] = FromHalf(bf16, words[word] >> (16 * half));
    }
  }
}

void MultiplyTile(const WarpMeeting& m, int parity, bool bf16, float (*out)[4]) {
  float a[16][16], b[16][8], c[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    uint32_t words[10];
    std::memcpy(words, m.in[parity][lane], 40);
    LeftOperand(a, bf16, lane, words);
    for (int word = 0; word < 2; ++word) {
      for (int half = 0; half < 2; ++half) {
        b[lane % 4 * 2 + half + word * 8][lane / 4] = FromHalf(bf16, words[4 + word] >> (16 * half));
      }
    }
    for (int i = 0; i < 4; ++i) {
      std::memcpy(&c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2], &words[6 + i], 4);
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) {
        c[row][column] += a[row][k] * b[k][column];
      }
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      out[lane][i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
  }
}

/// All products of a warp's rows up to a group, the right operand as shared memory has it now: who gives it back too early finds out.
void MultiplyGroups(const WarpMeeting& m, int parity, int warp) {
  Worker& w = *worker;
  int groups;
  std::memcpy(&groups, m.in[parity][0], 4);
  auto& first = w.fibers[warp * 32].products;
  const int until = w.fibers[warp * 32].product_group - groups;
  size_t done = 0;
  for (; done < first.size() && first[done].group < until; ++done) {
    float a[16][16];
    for (int lane = 0; lane < 32; ++lane) {
      LeftOperand(a, first[done].bf16, lane, w.fibers[warp * 32 + lane].products[done].a);
    }
    for (int tile = 0; tile < first[done].tiles; ++tile) {
      for (int column = 0; column < 8; ++column) {
        float b[16];
        for (int k = 0; k < 16; ++k) {
          uint16_t bits;
          std::memcpy(&bits, first[done].b + tile * 512 + k / 8 * 128 + column * 16 + k % 8 * 2, 2);
          b[k] = FromHalf(first[done].bf16, bits);
        }
        for (int row = 0; row < 16; ++row) {
          float* c = w.fibers[warp * 32 + row % 8 * 4 + column / 2].products[done].c + tile * 4 + row / 8 * 2 + column % 2;
          for (int k = 0; k < 16; ++k) {
            *c += a[row][k] * b[k];
          }
        }
      }
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    auto& products = w.fibers[warp * 32 + lane].products;
    products.erase(products.begin(), products.begin() + static_cast<int64_t>(done));
  }
}

void Finish(WarpMeeting& m, int warp) {
  const int parity = m.generation & 1;
  auto word = [&](int lane, int i) {
    uint32_t value;
    std::memcpy(&value, m.in[parity][lane] + i * 4, 4);
    return value;
  };
  auto give = [&](int lane, int i, uint32_t value) { std::memcpy(m.out[parity][lane] + i * 4, &value, 4); };
  switch (m.meeting) {
    case Meeting::kSync:
      break;
    case Meeting::kShuffleXor:
      for (int lane = 0; lane < 32; ++lane) {
        give(lane, 0, word(lane ^ static_cast<int>(word(lane, 1)), 0));
      }
      break;
    case Meeting::kShuffleFrom:
      for (int lane = 0; lane < 32; ++lane) {
        give(lane, 0, word(static_cast<int>(word(lane, 1)) & 31, 0));
      }
      break;
    case Meeting::kAny: {
      uint32_t any = 0;
      for (int lane = 0; lane < 32; ++lane) {
        any |= word(lane, 0);
      }
      for (int lane = 0; lane < 32; ++lane) {
        give(lane, 0, any);
      }
      break;
    }
    case Meeting::kMatrixBF16:
    case Meeting::kMatrixF16: {
      float out[32][4];
      MultiplyTile(m, parity, m.meeting == Meeting::kMatrixBF16, out);
      for (int lane = 0; lane < 32; ++lane) {
        std::memcpy(m.out[parity][lane], out[lane], 16);
      }
      break;
    }
    case Meeting::kLoadMatrices:
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          give(lane, i, word(i * 8 + lane / 4, lane % 4));
        }
      }
      break;
    case Meeting::kLoadMatricesTransposed:
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          auto half = [&](int row) { return word(i * 8 + row, lane / 8) >> (lane / 4 % 2 * 16) & 0xffffu; };
          give(lane, i, half(lane % 4 * 2) | half(lane % 4 * 2 + 1) << 16);
        }
      }
      break;
    case Meeting::kGroupProducts:
      MultiplyGroups(m, parity, warp);
      break;
  }
  worker->ready[warp] |= m.arrived;
  m.arrived = 0;
  ++m.generation;
}

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

/// Brings what is under way to this barrier, each copy when those its thread asked for before have come.
void Deliver(const uint64_t* barrier) {
  auto& bulk = worker->bulk;
  for (size_t i = 0; i < bulk.size();) {
    const Copy copy = bulk[i];
    const bool now = copy.barrier == barrier || (copy.barrier == nullptr && [&] {
      for (size_t j = i + 1; j < bulk.size(); ++j) {  // the arrival these copies belong to
        if (bulk[j].thread == copy.thread && bulk[j].barrier != nullptr) {
          return bulk[j].barrier == barrier;
        }
      }
      return false;
    }());
    if (!now) {
      ++i;
      continue;
    }
    bulk.erase(bulk.begin() + static_cast<int64_t>(i));
    if (copy.bytes > 0) {
      std::memcpy(copy.shared, copy.global, copy.bytes);
    }
    if (copy.barrier != nullptr) {
      BarrierState state = Load(copy.barrier);
      if (copy.bytes == 0) {
        --state.pending;
      } else {
        state.bytes -= static_cast<int32_t>(copy.bytes);
      }
      Store(copy.barrier, state);
    }
  }
}

void EndThread() {
  Worker& w = *worker;
  const int self = w.current, warp = self / 32;
  Fiber& fiber = w.fibers[self];
  if (!fiber.copies.empty() || !fiber.products.empty()) {
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
  }
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
  (*worker->thread)();
  EndThread();
  __builtin_unreachable();
}

void RunBlock(Worker& w, int x, int y, int grid_x, int threads, uint8_t* shared, size_t shared_bytes) {
  std::memset(shared, 0xff, shared_bytes);  // not a number, whatever it is read as
  w.bulk.clear();
  w.at_block_barrier.clear();
  w.live = threads;
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = w.fibers[i];
    fiber.place = {i, threads, x, y, grid_x, shared};
    fiber.copies.clear();
    fiber.products.clear();
    fiber.copy_group = fiber.product_group = 0;
    fiber.waits_for = nullptr;
    auto** stack = reinterpret_cast<void**>(fiber.stack + kStackBytes);
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
}

}  // namespace

const Place& Here() { return worker->fibers[static_cast<size_t>(worker->current)].place; }

void Fault(const char* what) {
  std::fflush(stdout);
  if (worker != nullptr) {
    const Place& at = Here();
    std::fprintf(stderr, "emulator: %s: block (%d, %d), thread %d\n", what, at.block_x, at.block_y, at.thread);
  } else {
    std::fprintf(stderr, "emulator: %s\n", what);
  }
  std::_Exit(1);
}

void SyncThreads() {
  Worker& w = *worker;
  w.at_block_barrier.push_back(w.current);
  if (static_cast<int>(w.at_block_barrier.size()) < w.live) {
    Block();
    return;
  }
  for (const int thread : w.at_block_barrier) {
    Wake(thread);
  }
  w.at_block_barrier.clear();
}

void Meet(Meeting meeting, int line, const void* in, int in_bytes, void* out, int out_bytes) {
  Worker& w = *worker;
  const int self = w.current, lane = self & 31;
  WarpMeeting& m = w.warps[static_cast<size_t>(self / 32)];
  if (m.arrived == 0) {
    m.meeting = meeting;
    m.line = line;
  } else if (m.meeting != meeting || m.line != line) {
    Fault("lanes of a warp meet at different instructions");
  }
  const int parity = m.generation & 1;
  if (in_bytes > 0) {
    std::memcpy(m.in[parity][lane], in, static_cast<size_t>(in_bytes));
  }
  m.arrived |= 1u << lane;
  if (m.arrived == ~0u) {
    Finish(m, self / 32);
  } else {
    Block();
  }
  if (out_bytes > 0) {
    std::memcpy(out, m.out[parity][lane], static_cast<size_t>(out_bytes));
  }
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
  Store(barrier, state);
}

void BarrierWait(uint64_t* barrier, uint32_t parity) {
  Aligned(barrier, 8);
  while (Load(barrier).phase == parity) {
    Deliver(barrier);
    if (Load(barrier).phase != parity) {
      return;
    }
    worker->fibers[static_cast<size_t>(worker->current)].waits_for = barrier;
    Block();
  }
}

void BulkCopy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
  Aligned(shared, 16);
  Aligned(global, 16);
  if (bytes % 16 != 0) {
    Fault("a bulk copy of less than whole pieces");
  }
  if (bytes > 0) {
    std::memset(shared, 0xff, bytes);
  }
  worker->bulk.push_back({shared, global, bytes, barrier, worker->current, 0});
}

void CopyAsync(void* shared, const void* global) {
  Aligned(shared, 16);
  Aligned(global, 16);
  std::memset(shared, 0xff, 16);
  Fiber& fiber = worker->fibers[static_cast<size_t>(worker->current)];
  fiber.copies.push_back({shared, global, 16, nullptr, 0, fiber.copy_group});
}

void CommitCopies() { ++worker->fibers[static_cast<size_t>(worker->current)].copy_group; }

void WaitForCopies(int groups) {
  Fiber& fiber = worker->fibers[static_cast<size_t>(worker->current)];
  size_t done = 0;
  for (; done < fiber.copies.size() && fiber.copies[done].group < fiber.copy_group - groups; ++done) {
    std::memcpy(fiber.copies[done].shared, fiber.copies[done].global, 16);
  }
  fiber.copies.erase(fiber.copies.begin(), fiber.copies.begin() + static_cast<int64_t>(done));
}

void GroupProduct(bool bf16, int tiles, float* c, const uint32_t* a, const uint8_t* b) {
  Aligned(b, 128);
  Fiber& fiber = worker->fibers[static_cast<size_t>(worker->current)];
  fiber.products.push_back({bf16, tiles, fiber.product_group, c, {a[0], a[1], a[2], a[3]}, b});
}

void GroupCommit() { ++worker->fibers[static_cast<size_t>(worker->current)].product_group; }

void GroupWait(int groups, int line) { Meet(Meeting::kGroupProducts, line, &groups, 4, nullptr, 0); }

void Launch(int grid_x, int grid_y, int threads, size_t shared_bytes, const Schedule& schedule, const std::function<void()>& thread) {
  const int blocks = grid_x * grid_y;
  std::atomic<int> next{0};
  auto work = [&](int index) {
    static thread_local std::vector<std::unique_ptr<char, void (*)(char*)>> stacks;
    auto w = std::make_unique<Worker>();
    worker = w.get();
    w->thread = &thread;
    w->schedule = schedule;
    w->random = schedule.seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(index) + 1;
    w->fibers.resize(static_cast<size_t>(threads));
    w->warps.resize(static_cast<size_t>(threads + 31) / 32);
    w->ready.resize(w->warps.size());
    while (stacks.size() < w->fibers.size()) {
      void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) {
        Fault("no memory for the threads' stacks");
      }
      stacks.emplace_back(static_cast<char*>(memory), [](char* p) { munmap(p, kStackBytes); });
    }
    for (size_t i = 0; i < w->fibers.size(); ++i) {
      w->fibers[i].stack = stacks[i].get();
    }
    std::unique_ptr<uint8_t, void (*)(void*)> shared(static_cast<uint8_t*>(std::aligned_alloc(1024, (shared_bytes + 1023) / 1024 * 1024 + 1024)), std::free);
    for (int block; (block = next.fetch_add(1)) < blocks;) {
      RunBlock(*w, block % grid_x, block / grid_x, grid_x, threads, shared.get(), shared_bytes);
    }
    worker = nullptr;
  };
  const int workers = std::min(schedule.workers, blocks);
  std::vector<std::thread> others;
  for (int i = 1; i < workers; ++i) {
    others.emplace_back(work, i);
  }
  work(0);
  for (std::thread& other : others) {
    other.join();
  }
}

}  // namespace nativespec::emulator
