// The driver's results that this one gives (CUDA driver API, enum CUresult).
#pragma once

namespace nativespec::driver {

enum Code : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kDeinitialized = 4,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kEccUncorrectable = 214,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
  kOperatingSystem = 304,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kContextIsDestroyed = 709,
  kAssert = 710,
  kHardwareStackError = 714,
  kIllegalInstruction = 715,
  kMisalignedAddress = 716,
  kInvalidAddressSpace = 717,
  kInvalidPc = 718,
  kLaunchFailed = 719,
  kNotSupported = 801,
  kStreamCaptureUnsupported = 900,
  kStreamCaptureInvalidated = 901,
  kStreamCaptureUnmatched = 903,
  kStreamCaptureImplicit = 906,
  kStreamCaptureWrongThread = 908,
  kUnknown = 999,
};

/// Faults after which a context answers nothing but the fault.
constexpr bool IsSticky(int code) {
  return code == kEccUncorrectable || code == kIllegalAddress || code == kLaunchTimeout || code == kAssert || (code >= kHardwareStackError && code <= kLaunchFailed) || code == kUnknown;
}

const char* NameOf(int code);
const char* TextOf(int code);

}  // namespace nativespec::driver
