// Runs kernels on the CPU: a fiber per thread, blocks one after another on each worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace nativespec::emulator {

/// Which of the threads that could run runs. What a correct kernel computes is the same for all.
enum class Order { kAscending, kDescending, kRandom };

struct Schedule {
  Order order = Order::kAscending;
  uint64_t seed = 1;
  int workers = 2;
};

/// Runs one kernel to its end, or to its first fault. thread is what each thread does.
/// Returns what the kernel did wrong and where, empty where it did nothing wrong.
std::string Launch(int grid_x, int grid_y, int threads, size_t shared_bytes, const Schedule& schedule, const std::function<void()>& thread);

/// True on a thread that runs a kernel now.
bool InKernel();

/// Ends the kernel that runs on this thread, and lets Launch return what. Outside of a kernel it ends the program.
[[noreturn]] void Fault(const char* what);

}  // namespace nativespec::emulator
