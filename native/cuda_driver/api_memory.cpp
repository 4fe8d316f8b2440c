// Memory of the device and of the host, and copies between them.
#include <cstring>

#include "call.h"

using namespace nativespec::driver;

namespace {

/// Checked when a copy is asked for, and again when it runs, since a graph may be launched after its memory was freed.
bool Holds(uint64_t device, size_t bytes, const Context& context, const char* what) {
  const bool holds = TheState().device.Holds(device, bytes, &context);
  if (!holds) {
    AddProblem(std::string(what) + " of " + std::to_string(bytes) + " bytes is not within one allocation");
  }
  return holds;
}

Operation CopyOperation(const char* what, Context& context, uint64_t device, size_t bytes, std::function<void()> copy) {
  return {what, [what, &context, device, bytes, copy = std::move(copy)]() -> int {
            {
              Lock lock(TheState().mutex);
              if (!Holds(device, bytes, context, what)) {
                return kIllegalAddress;
              }
            }
            copy();
            return 0;
          }};
}

/// Submits a copy or a fill of device memory.
template <class F>
int SubmitCopy(const char* call, Context& context, void* handle, uint64_t device, size_t bytes, Lock& lock, F copy) {
  const auto stream = FindStream(context, handle);
  if (stream == nullptr) {
    return kInvalidHandle;
  }
  if (!Holds(device, bytes, context, call)) {
    return kInvalidValue;
  }
  return Submit(context, stream, CopyOperation(call, context, device, bytes, copy), lock);
}

constexpr int kCopyFault = kIllegalAddress;

}  // namespace

NS_EXPORT int cuMemGetInfo_v2(size_t* free, size_t* total) {
  return InContext("cuMemGetInfo_v2", {kUnknown}, [&](Context& context, Lock&) {
    if (free == nullptr || total == nullptr) {
      return kInvalidValue;
    }
    *total = TheSettings().memory;
    *free = *total - std::min(*total, TheState().device.Used(&context));
    return kSuccess;
  });
}

NS_EXPORT int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  return InContext("cuMemAlloc_v2", {kOutOfMemory, kOutOfMemory, kIllegalAddress}, [&](Context& context, Lock&) -> int {
    if (address == nullptr || bytes == 0) {
      return kInvalidValue;
    }
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    const size_t used = TheState().device.Used(&context), memory = TheSettings().memory;
    if (bytes > memory || used > memory - bytes) {
      return kOutOfMemory;
    }
    ++counters.allocations;
    *address = TheState().device.Allocate(bytes, &context);
    return *address == 0 ? kOutOfMemory : kSuccess;
  });
}

NS_EXPORT int cuMemFree_v2(uint64_t address) {
  return Releasing("cuMemFree_v2", [&](Context& context, Lock& lock) -> int {
    if (address == 0) {
      return kSuccess;
    }
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    RunAll(context, lock);  // a free waits for the device
    if (!TheState().device.Free(address, &context)) {
      AddProblem("cuMemFree of what was not allocated, or freed before");
      return kInvalidValue;
    }
    return kSuccess;
  });
}

NS_EXPORT int cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
  return InContext("cuMemHostAlloc", {kOutOfMemory, kOutOfMemory, kUnknown}, [&](Context& context, Lock&) -> int {
    if (address == nullptr || bytes == 0 || flags > 7) {
      return kInvalidValue;
    }
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    *address = TheState().host.Allocate(bytes, &context);
    return *address == nullptr ? kOutOfMemory : kSuccess;
  });
}

NS_EXPORT int cuMemAllocHost_v2(void** address, size_t bytes) { return cuMemHostAlloc(address, bytes, 0); }

NS_EXPORT int cuMemFreeHost(void* address) {
  return Releasing("cuMemFreeHost", [&](Context& context, Lock& lock) -> int {
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    RunAll(context, lock);
    if (!TheState().host.Free(address, &context)) {
      AddProblem("cuMemFreeHost of what was not allocated, or freed before");
      return kInvalidValue;
    }
    return kSuccess;
  });
}

NS_EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* handle) {
  return InContext("cuMemcpyHtoDAsync_v2", {kCopyFault, kUnknown}, [&](Context& context, Lock& lock) -> int {
    auto counted = [bytes] {
      ++counters.uploads;
      counters.upload_bytes += static_cast<int64_t>(bytes);
    };
    if (TheState().host.Holds(from, bytes)) {
      return SubmitCopy("cuMemcpyHtoDAsync_v2", context, handle, to, bytes, lock, [=] {
        counted();
        std::memcpy(reinterpret_cast<void*>(to), from, bytes);
      });
    }
    // What is not pinned is taken before the call returns, so there is nothing that a graph could take again.
    const auto stream = FindStream(context, handle);
    if (stream != nullptr && stream->capture != nullptr) {
      AddProblem("a copy from memory that is not pinned was captured");
      return RefuseInCapture(context, stream.get(), false);
    }
    if (from == nullptr) {
      return kInvalidValue;
    }
    std::vector<uint8_t> taken(static_cast<const uint8_t*>(from), static_cast<const uint8_t*>(from) + bytes);
    return SubmitCopy("cuMemcpyHtoDAsync_v2", context, handle, to, bytes, lock, [=] {
      counted();
      std::memcpy(reinterpret_cast<void*>(to), taken.data(), bytes);
    });
  });
}

NS_EXPORT int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* handle) {
  return InContext("cuMemcpyDtoHAsync_v2", {kCopyFault, kUnknown}, [&](Context& context, Lock& lock) -> int {
    const auto stream = FindStream(context, handle);
    const bool pinned = TheState().host.Holds(to, bytes);
    if (to == nullptr) {
      return kInvalidValue;
    }
    if (!pinned && stream != nullptr && stream->capture != nullptr) {
      AddProblem("a copy to memory that is not pinned was captured");
      return RefuseInCapture(context, stream.get(), false);
    }
    const int code = SubmitCopy("cuMemcpyDtoHAsync_v2", context, handle, from, bytes, lock, [=] {
      ++counters.downloads;
      counters.download_bytes += static_cast<int64_t>(bytes);
      std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    });
    if (code == 0 && !pinned) {
      Run(context, stream, lock);  // such a copy has ended when the call returns
    }
    return code;
  });
}

NS_EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* handle) {
  return InContext("cuMemcpyDtoDAsync_v2", {kCopyFault, kUnknown}, [&](Context& context, Lock& lock) -> int {
    if (!Holds(from, bytes, context, "cuMemcpyDtoDAsync_v2, source")) {
      return kInvalidValue;
    }
    return SubmitCopy("cuMemcpyDtoDAsync_v2", context, handle, to, bytes, lock, [=] { std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
  });
}

NS_EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* handle) {
  return InContext("cuMemsetD8Async", {kCopyFault, kUnknown}, [&](Context& context, Lock& lock) -> int {
    return SubmitCopy("cuMemsetD8Async", context, handle, to, bytes, lock, [=] { std::memset(reinterpret_cast<void*>(to), value, bytes); });
  });
}
