// Runs kernels on the CPU: a fiber per thread, blocks one after another on each worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace nativespec::emulator {

/// Which of the threads that could run runs. What a correct kernel computes is the same for all.
enum class Order { kAscending, kDescending, kRandom };

struct Schedule {
  Order order = Order::kAscending;
  uint64_t seed = 1;
  int workers = 2;
};

/// Runs one kernel to its end. thread is what each thread does.
void Launch(int grid_x, int grid_y, int threads, size_t shared_bytes, const Schedule& schedule, const std::function<void()>& thread);

}  // namespace nativespec::emulator
