// Modules, functions and their launches.
#include <cstring>

#include "call.h"
#include "guard.h"

using namespace nativespec::driver;

namespace {

constexpr int kInfoLogBytes = 4, kErrorLog = 5, kErrorLogBytes = 6;  // enum CUjit_option
constexpr int kMostThreadsPerBlock = 0, kRegisters = 4, kMostDynamicShared = 8;  // enum CUfunction_attribute
constexpr int kDependentLaunch = 6;  // enum CUlaunchAttributeID: programmatic stream serialization

/// As cuLaunchKernelEx takes it (CUlaunchConfig, CUlaunchAttribute).
struct LaunchAttribute {
  int id;
  char pad[4];
  union {
    char bytes[64];
    int allowed;
  } value;
};
struct LaunchConfig {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
  void* stream;
  const LaunchAttribute* attributes;
  unsigned attribute_count;
};
static_assert(sizeof(LaunchAttribute) == 72 && sizeof(LaunchConfig) == 56);

int MostShared() { return (TheSettings().part >= 90 ? 227 : 163) << 10; }

/// What a program hears of an image that is refused.
void WriteLog(const std::string& text, unsigned count, const int* options, void** values) {
  char* buffer = nullptr;
  size_t room = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == kErrorLog) {
      buffer = static_cast<char*>(values[i]);
    } else if (options[i] == kErrorLogBytes) {
      room = reinterpret_cast<size_t>(values[i]) & 0xffffffffu;
    }
  }
  size_t written = 0;
  if (buffer != nullptr && room > 0) {
    written = std::min(room - 1, text.size());
    std::memcpy(buffer, text.data(), written);
    buffer[written] = 0;
  }
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == kErrorLogBytes || options[i] == kInfoLogBytes) {
      values[i] = reinterpret_cast<void*>(options[i] == kErrorLogBytes ? written : 0);
    }
  }
}

/// Checks a launch as the driver does, and submits it.
int SubmitLaunch(Context& context, const LaunchConfig& config, void* function, void** arguments, Lock& lock) {
  const auto found = context.kernels.find(function);
  const auto stream = FindStream(context, config.stream);
  if (found == context.kernels.end() || stream == nullptr) {
    return kInvalidHandle;
  }
  const Kernel& kernel = *found->second;
  const uint64_t threads = uint64_t{config.block_x} * config.block_y * config.block_z;
  if (arguments == nullptr || arguments[0] == nullptr || threads == 0 || config.grid_x == 0 || config.grid_y == 0 || config.grid_z == 0 || threads > 1024 || config.grid_x > 0x7fffffffu ||
      config.grid_y > 65535 || static_cast<int>(config.shared) > kernel.most_dynamic_shared) {
    AddProblem(std::string("launch of ") + kernel.twin->name + " with a grid of " + std::to_string(config.grid_x) + " × " + std::to_string(config.grid_y) + ", " + std::to_string(threads) + " threads and " +
               std::to_string(config.shared) + " bytes of shared memory, " + std::to_string(kernel.most_dynamic_shared) + " allowed");
    return kInvalidValue;
  }
  if (static_cast<int>(threads) > kernel.most_threads) {
    AddProblem(std::string("launch of ") + kernel.twin->name + " with " + std::to_string(threads) + " threads; its bound is " + std::to_string(kernel.most_threads));
    return kLaunchOutOfResources;
  }
  if (config.block_y != 1 || config.block_z != 1 || config.grid_z != 1) {
    AddProblem("the emulator has blocks of one dimension and grids of two");
    return kNotSupported;
  }
  ++counters.launches;
  const Twin* twin = kernel.twin;
  const auto* bytes = static_cast<const uint8_t*>(arguments[0]);
  std::vector<uint8_t> argument(bytes, bytes + twin->argument_bytes);  // taken now, as the driver does
  const nativespec::emulator::Schedule schedule = TheSettings().schedule;
  return Submit(context, stream, {twin->name, [=]() -> int {
                  ++counters.kernels;
                  alignas(64) uint8_t copy[512];
                  std::memcpy(copy, argument.data(), argument.size());
                  const std::string fault = nativespec::emulator::Launch(static_cast<int>(config.grid_x), static_cast<int>(config.grid_y), static_cast<int>(threads), config.shared, schedule,
                                                                         [&] { twin->run(copy); });
                  if (fault.empty()) {
                    return 0;
                  }
                  AddProblem(std::string("kernel ") + twin->name + ": " + fault);
                  return IsAddressFault(fault) ? kIllegalAddress : kLaunchFailed;
                }},
                lock);
}

}  // namespace

NS_EXPORT int cuModuleLoadDataEx(void** handle, const void* image, unsigned count, int* options, void** values) {
  return InContext("cuModuleLoadDataEx", {kOutOfMemory, kInvalidPtx, kUnsupportedPtxVersion, kUnknown}, [&](Context& context, Lock&) -> int {
    if (handle == nullptr || image == nullptr || (count > 0 && (options == nullptr || values == nullptr))) {
      return kInvalidValue;
    }
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    auto module = std::make_unique<Module>();
    std::string why;
    const int code = ReadImage(static_cast<const char*>(image), TheSettings().part, TheSettings().version, &module->kernels, &why);
    WriteLog(why, count, options, values);
    if (code != 0) {
      return code;
    }
    *handle = module.get();
    context.modules.emplace(*handle, std::move(module));
    return kSuccess;
  });
}

NS_EXPORT int cuModuleLoadData(void** handle, const void* image) { return cuModuleLoadDataEx(handle, image, 0, nullptr, nullptr); }

NS_EXPORT int cuModuleUnload(void* handle) {
  return Releasing("cuModuleUnload", [&](Context& context, Lock& lock) -> int {
    RunAll(context, lock);
    const auto found = context.modules.find(handle);
    if (found == context.modules.end()) {
      return kInvalidHandle;
    }
    for (auto& [name, kernel] : found->second->kernels) {
      context.kernels.erase(&kernel);
    }
    context.modules.erase(found);
    return kSuccess;
  });
}

NS_EXPORT int cuModuleGetFunction(void** function, void* handle, const char* name) {
  return InContext("cuModuleGetFunction", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    const auto found = context.modules.find(handle);
    if (function == nullptr || name == nullptr || found == context.modules.end()) {
      return kInvalidHandle;
    }
    const auto kernel = found->second->kernels.find(name);
    if (kernel == found->second->kernels.end()) {
      return kNotFound;
    }
    *function = &kernel->second;
    context.kernels.emplace(*function, &kernel->second);
    return kSuccess;
  });
}

NS_EXPORT int cuFuncLoad(void* function) {
  return InContext("cuFuncLoad", {kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int { return context.kernels.count(function) == 1 ? kSuccess : kInvalidHandle; });
}

NS_EXPORT int cuFuncSetAttribute(void* function, int attribute, int value) {
  return InContext("cuFuncSetAttribute", {kUnknown}, [&](Context& context, Lock&) -> int {
    const auto found = context.kernels.find(function);
    if (found == context.kernels.end()) {
      return kInvalidHandle;
    }
    if (attribute != kMostDynamicShared || value < 0 || value > MostShared()) {
      return kInvalidValue;
    }
    found->second->most_dynamic_shared = value;
    return kSuccess;
  });
}

NS_EXPORT int cuFuncGetAttribute(int* value, int attribute, void* function) {
  return InContext("cuFuncGetAttribute", {kUnknown}, [&](Context& context, Lock&) -> int {
    const auto found = context.kernels.find(function);
    if (found == context.kernels.end()) {
      return kInvalidHandle;
    }
    if (value == nullptr || attribute < 0 || attribute > kMostDynamicShared + 1) {
      return kInvalidValue;
    }
    *value = attribute == kMostThreadsPerBlock ? found->second->most_threads : attribute == kMostDynamicShared ? found->second->most_dynamic_shared : attribute == kRegisters ? 32 : 0;
    return kSuccess;
  });
}

NS_EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* function, int threads, size_t shared) {
  return InContext("cuOccupancyMaxActiveBlocksPerMultiprocessor", {kUnknown}, [&](Context& context, Lock&) -> int {
    if (blocks == nullptr || context.kernels.count(function) == 0 || threads < 1 || threads > 1024) {
      return kInvalidValue;
    }
    const size_t kept_back = 1 << 10, all = static_cast<size_t>(MostShared()) + kept_back;
    *blocks = std::min({32, 2048 / threads, static_cast<int>(all / (shared + kept_back))});
    return kSuccess;
  });
}

NS_EXPORT int cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, void* stream, void** arguments,
                             void** extra) {
  return InContext("cuLaunchKernel", {kOutOfMemory, kIllegalAddress, kLaunchFailed, kUnknown}, [&](Context& context, Lock& lock) -> int {
    if (extra != nullptr) {
      return kNotSupported;
    }
    return SubmitLaunch(context, {grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, nullptr, 0}, function, arguments, lock);
  });
}

NS_EXPORT int cuLaunchKernelEx(const LaunchConfig* config, void* function, void** arguments, void** extra) {
  return InContext("cuLaunchKernelEx", {kOutOfMemory, kIllegalAddress, kLaunchFailed, kUnknown}, [&](Context& context, Lock& lock) -> int {
    if (config == nullptr || (config->attribute_count > 0 && config->attributes == nullptr)) {
      return kInvalidValue;
    }
    for (unsigned i = 0; i < config->attribute_count; ++i) {
      const LaunchAttribute& attribute = config->attributes[i];
      if (attribute.id != kDependentLaunch) {
        AddProblem("a launch attribute " + std::to_string(attribute.id) + ", which is not emulated");
        return kNotSupported;
      }
      if (attribute.value.allowed != 0 && TheSettings().part < 90) {
        AddProblem("programmatic dependent launch on a part before sm_90");
        return kNotSupported;
      }
    }
    return extra != nullptr ? kNotSupported : SubmitLaunch(context, *config, function, arguments, lock);
  });
}
