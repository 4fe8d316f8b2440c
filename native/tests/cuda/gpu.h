// Device memory and launches for the tests of the CUDA kernels: on a real part by the runtime, else by the emulator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../../kernels/cuda/kernels.h"
#include "../../../kernels/cuda/ring.h"

#if defined(NATIVESPEC_CUDA_EMULATOR)
#include <chrono>

#include "../../cuda_emulator/emulator.h"
#else
#include <cuda_runtime.h>
#endif

namespace nativespec::cuda {

#if defined(NATIVESPEC_CUDA_EMULATOR)

inline emulator::Schedule schedule;

inline int Multiprocessors() { return 3; }
inline int SharedBytesPerMultiprocessor() { return 96 << 10; }

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
void Launch(void (*kernel)(const A), int grid_x, int grid_y, int threads, int shared, const A& arguments) {
  const std::string fault = emulator::Launch(grid_x, grid_y, threads, static_cast<size_t>(shared), schedule, [&] { kernel(arguments); });
  if (!fault.empty()) {
    emulator::Fault(fault.c_str());
  }
}
inline void Finish() {}

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

#else

inline void Check(cudaError_t error, const char* what, int line) {
  if (error != cudaSuccess) {
    std::printf("%s, line %d: %s\n", what, line, cudaGetErrorString(error));
    std::exit(1);
  }
}
#define CHECK_CUDA(call) nativespec::cuda::Check(call, #call, __LINE__)

inline cudaStream_t stream = nullptr;
inline bool dependent_launch = false;  // programmatic

inline int Attribute(cudaDeviceAttr attribute) {
  int value = 0;
  CHECK_CUDA(cudaDeviceGetAttribute(&value, attribute, 0));
  return value;
}
inline int Multiprocessors() {
  static const int value = Attribute(cudaDevAttrMultiProcessorCount);
  return value;
}
inline int SharedBytesPerMultiprocessor() {
  static const int value = Attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  return value;
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count = 0) : count_(count) {
    CHECK_CUDA(cudaMalloc(&data_, count * sizeof(T) + 16));
    Fill(0xff);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { Upload(values); }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }
  T* data() const { return data_; }
  size_t size() const { return count_; }
  void Upload(const std::vector<T>& values) { CHECK_CUDA(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice)); }
  std::vector<T> Download() const {
    CHECK_CUDA(cudaDeviceSynchronize());
    std::vector<T> values(count_);
    CHECK_CUDA(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
  void Fill(int byte) {
    CHECK_CUDA(cudaMemset(data_, byte, count_ * sizeof(T)));
    CHECK_CUDA(cudaDeviceSynchronize());
  }
  void Repeat(const std::vector<T>& block) {
    size_t done = std::min(block.size(), count_);
    CHECK_CUDA(cudaMemcpy(data_, block.data(), done * sizeof(T), cudaMemcpyHostToDevice));
    while (done < count_) {
      const size_t next = std::min(done, count_ - done);
      CHECK_CUDA(cudaMemcpy(data_ + done, data_, next * sizeof(T), cudaMemcpyDeviceToDevice));
      done += next;
    }
    CHECK_CUDA(cudaDeviceSynchronize());
  }

 private:
  size_t count_;
  T* data_ = nullptr;
};

template <class A>
void Launch(void (*kernel)(const A), int grid_x, int grid_y, int threads, int shared, const A& arguments) {
  if (shared > 48 << 10) {
    CHECK_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(grid_x, grid_y);
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = dependent_launch ? 1 : 0;
  CHECK_CUDA(cudaLaunchKernelEx(&config, kernel, arguments));
}
inline void Finish() { CHECK_CUDA(cudaStreamSynchronize(stream)); }

/// Microseconds of a sequence of launches as one graph, the median of several after two that do not count.
template <class F>
double Time(F launches, int repeats) {
  launches();  // what is loaded at the first launch is loaded before the capture
  Finish();
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  launches();
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t begin, end;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = 0; i < repeats + 2; ++i) {
    CHECK_CUDA(cudaEventRecord(begin, stream));
    CHECK_CUDA(cudaGraphLaunch(executable, stream));
    CHECK_CUDA(cudaEventRecord(end, stream));
    Finish();
    float milliseconds = 0;
    CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    if (i >= 2) {
      times.push_back(milliseconds * 1000.0);
    }
  }
  CHECK_CUDA(cudaEventDestroy(begin));
  CHECK_CUDA(cudaEventDestroy(end));
  CHECK_CUDA(cudaGraphExecDestroy(executable));
  CHECK_CUDA(cudaGraphDestroy(graph));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

#endif

}  // namespace nativespec::cuda
