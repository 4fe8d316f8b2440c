// Device memory and launches by the emulator itself, which has more to say of a fault than a driver.
#pragma once

#include <chrono>

#include "../../../kernels/cuda/kernels.h"
#include "../../cuda_emulator/emulator.h"

namespace nativespec::cuda {

inline emulator::Schedule schedule;

inline int Multiprocessors() { return 3; }
inline int SharedBytesPerMultiprocessor() { return 96 << 10; }
inline int SharedBytesOfBlock() { return 227 << 10; }

/// Memory that is not a number until it is written, between guards that nobody may write.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count = 0) : count_(count), bytes_(static_cast<uint8_t*>(std::aligned_alloc(256, Bytes()))) {
    std::memset(bytes_, 0xff, Bytes());
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { Upload(values); }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() {
    for (size_t i = 0; i < kGuard; ++i) {
      if (bytes_[i] != 0xff || bytes_[Bytes() - 1 - i] != 0xff) {
        emulator::Fault("a kernel wrote outside of an array");
      }
    }
    std::free(bytes_);
  }
  T* data() const { return reinterpret_cast<T*>(bytes_ + kGuard); }
  size_t size() const { return count_; }
  void Upload(const std::vector<T>& values) { std::memcpy(data(), values.data(), values.size() * sizeof(T)); }
  std::vector<T> Download() const { return std::vector<T>(data(), data() + count_); }
  void Fill(int byte) { std::memset(data(), byte, count_ * sizeof(T)); }
  /// The block again and again.
  void Repeat(const std::vector<T>& block) {
    for (size_t i = 0; i < count_; i += block.size()) {
      std::memcpy(data() + i, block.data(), std::min(block.size(), count_ - i) * sizeof(T));
    }
  }

 private:
  static constexpr size_t kGuard = 1024;
  size_t Bytes() const { return (count_ * sizeof(T) + 2 * kGuard + 255) / 256 * 256; }
  size_t count_;
  uint8_t* bytes_;
};

template <class A>
using KernelOf = void (*)(const A);

inline bool dependent_launch = false;
inline bool HasDependentLaunch() { return false; }

template <class A>
void Launch(KernelOf<A> kernel, int grid_x, int grid_y, int threads, int shared, const A& arguments) {
  const std::string fault = emulator::Launch(grid_x, grid_y, threads, static_cast<size_t>(shared), schedule, [&] { kernel(arguments); });
  if (!fault.empty()) {
    emulator::Fault(fault.c_str());
  }
}
inline void Finish() {}
template <class F, class G>
void RunAsGraph(F launches, G forget) {
  forget();
  launches();
}

/// Microseconds of a sequence of launches, the median of several; here of the emulator's own time.
template <class F>
double Time(F launches, int repeats) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    launches();
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace nativespec::cuda
