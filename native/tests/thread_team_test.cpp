#include "../thread_team.h"

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>

#include "check.h"

using nativespec::ThreadTeam;

namespace {

struct Counts {
  std::atomic<int> of[64] = {};
};

void Count(const void* arguments, int64_t begin, int64_t end) {
  auto& counts = *static_cast<Counts*>(const_cast<void*>(arguments));
  for (int64_t item = begin; item < end; ++item) {
    counts.of[item].fetch_add(1, std::memory_order_relaxed);
  }
}

void ManyShortOperations(int threads) {
  constexpr int kRuns = 20'000;
  ThreadTeam team(threads);
  Counts counts;
  for (int run = 0; run < kRuns; ++run) {
    team.Run(&Count, &counts, 1 + run % 64, 1 + run % 3);
  }
  for (int item = 0; item < 64; ++item) {
    int expected = 0;
    for (int run = 0; run < kRuns; ++run) {
      expected += 1 + run % 64 > item;
    }
    CHECK(counts.of[item].load() == expected);
  }
}

/// Plain memory written by one operation and read by the next: the join is what orders them, and a sanitizer would see if it did not.
struct Sums {
  int64_t values[256];
};

void Fill(const void* arguments, int64_t begin, int64_t end) {
  auto& sums = *static_cast<Sums*>(const_cast<void*>(arguments));
  for (int64_t i = begin; i < end; ++i) {
    sums.values[i] = 1;
  }
}

void OperationsSeeTheOnesBefore() {
  ThreadTeam team(3);
  Sums sums{};
  for (int run = 0; run < 2'000; ++run) {
    team.Run(&Fill, &sums, 256, 8);
    int64_t total = 0;
    for (const int64_t value : sums.values) {
      total += value;
    }
    CHECK(total == 256);
    sums.values[run % 256] = -1;
  }
}

void ParkedThreadsWake() {
  ThreadTeam team(3);
  Counts counts;
  for (int run = 0; run < 20; ++run) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // longer than they spin
    team.Run(&Count, &counts, 64, 1);
  }
  for (const auto& count : counts.of) {
    CHECK(count.load() == 20);
  }
}

#if !defined(_WIN32)
/// There std::clock is the processor time of all threads.
void TeamsAtRestUseNoProcessor() {
  ThreadTeam team(3);
  Counts counts;
  team.Run(&Count, &counts, 64, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(10));  // longer than they spin
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  // Two threads that span would use up to twice the time that passed.
  CHECK(std::clock() - before < CLOCKS_PER_SEC / 50);
}
#endif

void NothingToDo() {
  ThreadTeam team(2);
  Counts counts;
  team.Run(&Count, &counts, 0, 1);
  CHECK(counts.of[0].load() == 0);
}

void TeamsComeAndGo() {
  for (int i = 0; i < 50; ++i) {
    ThreadTeam team(3);
    Counts counts;
    team.Run(&Count, &counts, i % 5, 1);
  }
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 5}) {
    ManyShortOperations(threads);
  }
  OperationsSeeTheOnesBefore();
  ParkedThreadsWake();
#if !defined(_WIN32)
  TeamsAtRestUseNoProcessor();
#endif
  NothingToDo();
  TeamsComeAndGo();
  return check::Result();
}
