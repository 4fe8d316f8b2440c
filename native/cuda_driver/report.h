// What a program did wrong that no code of the driver tells it, and what it did, for tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace nativespec::driver {

/// Keeps what was wrong, and prints it.
void AddProblem(const std::string& text);
/// How many problems there were, and their texts, a line each.
int Problems(std::string* text);
void ForgetProblems();

/// What a program asked for.
struct Counters {
  std::atomic<int64_t> launches{0};        // kernels asked for by themselves or into a graph
  std::atomic<int64_t> graph_launches{0};
  std::atomic<int64_t> kernels{0};         // that ran
  std::atomic<int64_t> uploads{0}, upload_bytes{0}, downloads{0}, download_bytes{0};  // that ran
  std::atomic<int64_t> synchronizations{0};
  std::atomic<int64_t> allocations{0};
  std::atomic<int64_t> faults{0};          // calls that failed because they were to fail
};
extern Counters counters;

/// One of them by its name, or −1.
int64_t Count(const std::string& name);

}  // namespace nativespec::driver
