// Device memory and launches for the tests of the CUDA kernels: on a real part by the runtime, else by the emulator.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../../kernels/cuda/kernels.h"
#include "../../../kernels/cuda/ring.h"

#if defined(NATIVESPEC_CUDA_EMULATOR)
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

 private:
  static constexpr size_t kGuard = 1024;
  size_t Bytes() const { return (count_ * sizeof(T) + 2 * kGuard + 255) / 256 * 256; }
  size_t count_;
  uint8_t* bytes_;
};

template <class A>
void Launch(void (*kernel)(const A), int grid_x, int grid_y, int threads, int shared, const A& arguments) {
  emulator::Launch(grid_x, grid_y, threads, static_cast<size_t>(shared), schedule, [&] { kernel(arguments); });
}
inline void Finish() {}

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

#endif

}  // namespace nativespec::cuda
