// Devices, their attributes and primary contexts; errors as text.
#include <cstdio>

#include "call.h"
#include "guard.h"

using namespace nativespec::driver;

namespace {

/// An attribute by its number in enum CUdevice_attribute, or −1. The emulated part has few multiprocessors, so that few blocks run, and the shared memory
/// of the real one.
int AttributeOf(int part, int attribute) {
  const bool newer = part >= 90;
  switch (attribute) {
    case 1: return 1024;                            // threads of a block
    case 2: case 3: return 1024;                    // in x, y
    case 4: return 64;                              // in z
    case 5: return 0x7fffffff;                      // blocks of a grid in x
    case 6: case 7: return 65535;                   // in y, z
    case 8: return 48 << 10;                        // shared memory of a block
    case 9: return 64 << 10;                        // constant memory
    case 10: return 32;                             // threads of a warp
    case 12: return 65536;                          // registers of a block
    case 13: return 1000000;                        // clock, kHz
    case 14: return 512;                            // alignment of textures
    case 15: return 1;                              // copies beside kernels
    case 16: return 4;                              // multiprocessors
    case 17: case 18: case 20: case 35: return 0;   // time limit, integrated, compute mode, TCC
    case 19: return 1;                              // maps pinned memory
    case 31: return 1;                              // concurrent kernels
    case 32: return 0;                              // ECC
    case 33: case 34: return 0;                     // PCI bus and device
    case 36: return 1000000;                        // memory clock, kHz
    case 37: return 64;                             // memory bus, bits
    case 38: return 4 << 20;                        // L2
    case 39: return 2048;                           // threads of a multiprocessor
    case 40: return 2;                              // copy engines
    case 41: return 1;                              // one address space
    case 75: return part / 10;                      // compute capability
    case 76: return part % 10;
    case 81: return (newer ? 228 : 164) << 10;      // shared memory of a multiprocessor
    case 82: return 65536;                          // registers of a multiprocessor
    case 83: return 0;                              // managed memory
    case 97: return (newer ? 227 : 163) << 10;      // shared memory of a block, where a function asks for it
    case 106: return 32;                            // blocks of a multiprocessor
    case 111: return 1 << 10;                       // shared memory kept back for each block
    default: return -1;
  }
}

bool IsDevice(int device) { return device >= 0 && device < TheSettings().devices; }

}  // namespace

NS_EXPORT int cuInit(unsigned flags) {
  Lock lock(TheState().mutex);
  if (flags != 0) {
    return kInvalidValue;
  }
  if (const auto fault = Draw("cuInit", {kUnknown, kOutOfMemory})) {
    return *fault;
  }
  if (TheSettings().devices == 0) {
    return kNoDevice;
  }
  for (int device = 0; device < 8; ++device) {
    TheState().contexts[device].device = device;
  }
  if (!TheState().initialized) {
    InstallGuard();
  }
  TheState().initialized = true;
  return 0;
}

NS_EXPORT int cuDriverGetVersion(int* version) {
  Lock lock(TheState().mutex);
  if (version == nullptr) {
    return kInvalidValue;
  }
  *version = TheSettings().version;
  return 0;
}

NS_EXPORT int cuDeviceGetCount(int* count) {
  return InDriver("cuDeviceGetCount", {kUnknown}, [&](Lock&) {
    if (count == nullptr) {
      return kInvalidValue;
    }
    *count = TheSettings().devices;
    return kSuccess;
  });
}

NS_EXPORT int cuDeviceGet(int* device, int ordinal) {
  return InDriver("cuDeviceGet", {kUnknown}, [&](Lock&) {
    if (device == nullptr) {
      return kInvalidValue;
    }
    if (!IsDevice(ordinal)) {
      return kInvalidDevice;
    }
    *device = ordinal;
    return kSuccess;
  });
}

NS_EXPORT int cuDeviceGetName(char* name, int length, int device) {
  return InDriver("cuDeviceGetName", {kUnknown}, [&](Lock&) {
    if (!IsDevice(device)) {
      return kInvalidDevice;
    }
    if (name == nullptr || length < 1) {
      return kInvalidValue;
    }
    std::snprintf(name, static_cast<size_t>(length), "emulated sm_%d", TheSettings().part);
    return kSuccess;
  });
}

NS_EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  return InDriver("cuDeviceTotalMem_v2", {kUnknown}, [&](Lock&) {
    if (!IsDevice(device)) {
      return kInvalidDevice;
    }
    if (bytes == nullptr) {
      return kInvalidValue;
    }
    *bytes = TheSettings().memory;
    return kSuccess;
  });
}

NS_EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  return InDriver("cuDeviceGetAttribute", {kUnknown}, [&](Lock&) {
    if (!IsDevice(device)) {
      return kInvalidDevice;
    }
    const int its = AttributeOf(TheSettings().part, attribute);
    if (value == nullptr || its < 0) {
      return kInvalidValue;
    }
    *value = its;
    return kSuccess;
  });
}

NS_EXPORT int cuDevicePrimaryCtxRetain(void** handle, int device) {
  return InDriver("cuDevicePrimaryCtxRetain", {kOutOfMemory, kUnknown}, [&](Lock&) {
    if (!IsDevice(device)) {
      return kInvalidDevice;
    }
    if (handle == nullptr) {
      return kInvalidValue;
    }
    Context& context = TheState().contexts[device];
    ++context.references;
    *handle = &context;
    return kSuccess;
  });
}

NS_EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
  return InDriver("cuDevicePrimaryCtxRelease_v2", {}, [&](Lock& lock) {
    if (!IsDevice(device)) {
      return kInvalidDevice;
    }
    Context& context = TheState().contexts[device];
    if (context.references == 0) {
      return kInvalidContext;
    }
    if (--context.references == 0) {
      Destroy(context, lock);
    }
    return kSuccess;
  });
}

NS_EXPORT int cuCtxSetCurrent(void* handle) {
  return InDriver("cuCtxSetCurrent", {}, [&](Lock&) {
    if (handle == nullptr) {
      current = {};
      return kSuccess;
    }
    for (Context& context : TheState().contexts) {
      if (&context == handle && context.references > 0) {
        current = {&context, context.generation};
        return kSuccess;
      }
    }
    return kInvalidContext;
  });
}

NS_EXPORT int cuCtxGetCurrent(void** handle) {
  return InDriver("cuCtxGetCurrent", {}, [&](Lock&) {
    if (handle == nullptr) {
      return kInvalidValue;
    }
    *handle = current.context;
    return kSuccess;
  });
}

NS_EXPORT int cuCtxSynchronize() {
  return InContext("cuCtxSynchronize", {kIllegalAddress, kLaunchFailed, kUnknown}, [](Context& context, Lock& lock) {
    if (const int code = RefuseInCapture(context, nullptr, true); code != 0) {
      return code;
    }
    ++counters.synchronizations;
    RunAll(context, lock);
    return 0;
  });
}

NS_EXPORT int cuGetErrorName(int code, const char** text) {
  *text = NameOf(code);
  return *text == nullptr ? kInvalidValue : kSuccess;
}

NS_EXPORT int cuGetErrorString(int code, const char** text) {
  *text = TextOf(code);
  return *text == nullptr ? kInvalidValue : kSuccess;
}
