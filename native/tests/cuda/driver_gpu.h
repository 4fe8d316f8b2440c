// Device memory and launches by CUDA's driver library, which is looked for when the program runs: neither a toolkit nor a GPU is needed to build it.
#pragma once

#include <dlfcn.h>

#include <map>

#include "../../../kernels/cuda/kernels.h"

namespace nativespec::cuda {

/// A kernel by its name in the PTX.
template <class A>
struct KernelOf {
  const char* name;
};

/// As cuLaunchKernelEx takes them (CUlaunchAttribute, CUlaunchConfig).
struct LaunchAttribute {
  int id, pad, allowed, rest[15];
};
struct LaunchConfig {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
  void* stream;
  LaunchAttribute* attributes;
  unsigned attribute_count;
};

/// The driver's functions. A call that fails ends the program with the call's name and the driver's words.
class Driver {
 public:
  Driver() {
    const char* name = std::getenv("NATIVESPEC_CUDA_LIBRARY");
    library_ = dlopen(name != nullptr ? name : "libcuda.so.1", RTLD_NOW);
    if (library_ == nullptr) {
      End(std::string("no CUDA driver: ") + dlerror());
    }
  }

  template <class... P>
  void operator()(const char* name, P... arguments) {
    const int code = Try(name, arguments...);
    if (code != 0) {
      const char* text = "";
      Try("cuGetErrorString", code, &text);
      End(std::string(name) + ": " + std::to_string(code) + ", " + text);
    }
  }

  /// The same; returns the code.
  template <class... P>
  int Try(const char* name, P... arguments) {
    void*& function = functions_[name];
    if (function == nullptr) {
      function = dlsym(library_, name);
      if (function == nullptr) {
        End(std::string("the CUDA driver has no ") + name);
      }
    }
    return reinterpret_cast<int (*)(P...)>(function)(arguments...);
  }

  [[noreturn]] static void End(const std::string& why) {
    std::printf("%s\n", why.c_str());
    std::exit(1);
  }

 private:
  void* library_;
  std::map<std::string, void*> functions_;
};
inline Driver& TheDriver() {
  static Driver driver;
  return driver;
}

inline void* stream = nullptr;
inline void* module = nullptr;
inline bool dependent_launch = false;  // programmatic

inline int Attribute(int attribute) {
  int value = 0;
  TheDriver()("cuDeviceGetAttribute", &value, attribute, 0);
  return value;
}
inline int Multiprocessors() {
  static const int value = Attribute(16);
  return value;
}
inline int SharedBytesPerMultiprocessor() {
  static const int value = Attribute(81);
  return value;
}
inline int SharedBytesOfBlock() {
  static const int value = Attribute(97);  // where it asks for more than is usual
  return value;
}
inline int Capability() {
  static const int value = Attribute(75) * 10 + Attribute(76);
  return value;
}
inline bool HasDependentLaunch() { return Capability() >= 90; }

/// Opens the first device and loads the image for it from a folder of PTX files. Returns the device's name.
inline std::string Open(const std::string& folder) {
  Driver& driver = TheDriver();
  void* context = nullptr;
  int device = 0;
  char name[256];
  driver("cuInit", 0u);
  driver("cuDeviceGet", &device, 0);
  driver("cuDeviceGetName", name, 256, device);
  driver("cuDevicePrimaryCtxRetain", &context, device);
  driver("cuCtxSetCurrent", context);
  driver("cuStreamCreate", &stream, 1u);
  const std::string path = folder + "/" + (Capability() == 90 ? "sm_90a" : Capability() > 90 ? "sm_90" : "sm_80") + ".ptx";
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    Driver::End("no file " + path + " (brotli -d makes it of kernels/cuda/ptx)");
  }
  std::string image;
  char part[1 << 16];
  for (size_t bytes; (bytes = std::fread(part, 1, sizeof part, file)) > 0;) {
    image.append(part, bytes);
  }
  std::fclose(file);
  driver("cuModuleLoadData", &module, image.c_str());
  return name;
}

inline void Close() {
  TheDriver()("cuModuleUnload", module);
  TheDriver()("cuStreamDestroy_v2", stream);
  TheDriver()("cuDevicePrimaryCtxRelease_v2", 0);
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count = 0) : count_(count) {
    TheDriver()("cuMemAlloc_v2", &data_, count * sizeof(T) + 16);
    Fill(0xff);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { Upload(values); }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() { TheDriver()("cuMemFree_v2", data_); }
  T* data() const { return reinterpret_cast<T*>(data_); }
  size_t size() const { return count_; }
  void Upload(const std::vector<T>& values) {
    if (!values.empty()) {
      TheDriver()("cuMemcpyHtoDAsync_v2", data_, static_cast<const void*>(values.data()), values.size() * sizeof(T), stream);
      Wait();
    }
  }
  std::vector<T> Download() const {
    std::vector<T> values(count_);
    if (count_ > 0) {
      TheDriver()("cuMemcpyDtoHAsync_v2", static_cast<void*>(values.data()), data_, count_ * sizeof(T), stream);
      Wait();
    }
    return values;
  }
  void Fill(int byte) {
    if (count_ > 0) {
      TheDriver()("cuMemsetD8Async", data_, static_cast<unsigned char>(byte), count_ * sizeof(T), stream);
      Wait();
    }
  }
  /// The block again and again.
  void Repeat(const std::vector<T>& block) {
    size_t done = std::min(block.size(), count_);
    TheDriver()("cuMemcpyHtoDAsync_v2", data_, static_cast<const void*>(block.data()), done * sizeof(T), stream);
    while (done < count_) {
      const size_t next = std::min(done, count_ - done);
      TheDriver()("cuMemcpyDtoDAsync_v2", data_ + done * sizeof(T), data_, next * sizeof(T), stream);
      done += next;
    }
    Wait();
  }

 private:
  static void Wait() { TheDriver()("cuStreamSynchronize", stream); }
  size_t count_;
  uint64_t data_ = 0;
};

template <class A>
void Launch(KernelOf<A> kernel, int grid_x, int grid_y, int threads, int shared, const A& arguments) {
  static std::map<std::string, void*> functions;
  void*& function = functions[kernel.name];
  if (function == nullptr) {
    TheDriver()("cuModuleGetFunction", &function, module, kernel.name);
  }
  if (shared > 48 << 10) {
    TheDriver()("cuFuncSetAttribute", function, 8, shared);
  }
  LaunchAttribute attribute{6, 0, 1, {}};  // programmatic stream serialization
  const LaunchConfig config{static_cast<unsigned>(grid_x), static_cast<unsigned>(grid_y), 1, static_cast<unsigned>(threads), 1, 1, static_cast<unsigned>(shared), stream, &attribute, dependent_launch ? 1u : 0u};
  void* list[] = {const_cast<A*>(&arguments)};
  TheDriver()("cuLaunchKernelEx", &config, function, static_cast<void**>(list), static_cast<void**>(nullptr));
}
inline void Finish() { TheDriver()("cuStreamSynchronize", stream); }

/// A sequence of launches as one graph.
class Graph {
 public:
  template <class F>
  explicit Graph(F launches) {
    launches();  // what is loaded at the first launch is loaded before the capture
    Finish();
    TheDriver()("cuStreamBeginCapture_v2", stream, 1);
    launches();
    TheDriver()("cuStreamEndCapture", stream, &graph_);
    TheDriver()("cuGraphInstantiateWithFlags", &executable_, graph_, 0ull);
  }
  Graph(const Graph&) = delete;
  ~Graph() {
    TheDriver()("cuGraphExecDestroy", executable_);
    TheDriver()("cuGraphDestroy", graph_);
  }
  void Launch() const { TheDriver()("cuGraphLaunch", executable_, stream); }

 private:
  void *graph_ = nullptr, *executable_ = nullptr;
};

/// The same, run once more after what the first launches left was forgotten.
template <class F, class G>
void RunAsGraph(F launches, G forget) {
  const Graph graph(launches);
  forget();
  graph.Launch();
  Finish();
}

/// Microseconds of what is given to the stream, the median of several after five that do not count.
template <class F>
double TimeInStream(F work, int repeats) {
  Driver& driver = TheDriver();
  void *begin, *end;
  driver("cuEventCreate", &begin, 0u);
  driver("cuEventCreate", &end, 0u);
  std::vector<double> times;
  for (int i = 0; i < repeats + 5; ++i) {
    driver("cuEventRecord", begin, stream);
    work();
    driver("cuEventRecord", end, stream);
    Finish();
    float milliseconds = 0;
    driver("cuEventElapsedTime", &milliseconds, begin, end);
    if (i >= 5) {
      times.push_back(milliseconds * 1000.0);
    }
  }
  driver("cuEventDestroy_v2", begin);
  driver("cuEventDestroy_v2", end);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

/// The same of a sequence of launches as one graph.
template <class F>
double Time(F launches, int repeats) {
  const Graph graph(launches);
  return TimeInStream([&] { graph.Launch(); }, repeats);
}

/// Bytes that the device copies in a second, read and written ones alike.
inline double CopyBandwidth(size_t bytes) {
  const DeviceArray<uint8_t> from(bytes), to(bytes);
  const double us = TimeInStream([&] { TheDriver()("cuMemcpyDtoDAsync_v2", reinterpret_cast<uint64_t>(to.data()), reinterpret_cast<uint64_t>(from.data()), bytes, stream); }, 11);
  return 2.0 * static_cast<double>(bytes) / us * 1e6;
}

/// Takes the device's memory until there is none. Returns the bytes.
inline size_t TakeAllMemory() {
  size_t taken = 0;
  for (size_t piece = size_t{1} << 34; piece >= 1 << 20; piece /= 2) {
    uint64_t address;
    while (TheDriver().Try("cuMemAlloc_v2", &address, piece) == 0) {
      taken += piece;
    }
  }
  return taken;
}

}  // namespace nativespec::cuda

#define NS_NAME_KERNEL(name, arguments) inline constexpr nativespec::cuda::KernelOf<nativespec::cuda::arguments> name{#name};
NS_FOR_EACH_KERNEL(NS_NAME_KERNEL)
