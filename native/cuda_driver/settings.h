// Which part is emulated and what is to go wrong. Read from the environment when the library is loaded (NATIVESPEC_CUDA_PART and so on), and changed
// by nativespecCudaConfigure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "../cuda_emulator/emulator.h"

namespace nativespec::driver {

struct Settings {
  int part = 90;                     // PART: sm_80 or sm_90
  int devices = 1;                   // DEVICES: 0 to 8
  int version = 13000;               // VERSION: of the driver, 1000 · major + 10 · minor
  size_t memory = size_t{1} << 30;   // MEMORY: of a device, in MiB
  emulator::Schedule schedule{emulator::Order::kAscending, 1, 1};  // ORDER: ascending, descending, random[,SEED]; WORKERS: threads that run blocks
  uint64_t fault_seed = 0;           // FAULTS: SEED,RATE: any call fails with this probability
  double fault_rate = 0;
  std::string fail_call;             // FAIL: CALL,N,CODE: the N-th of these calls from now on fails
  int64_t fail_number = 0;
  int fail_code = 0;
};

/// Under the lock of State.
Settings& TheSettings();

/// Changes one; false where the name is unknown or the value is not one.
bool Configure(const std::string& name, const std::string& value);

/// The code with which this call is to fail: one of codes, those that fit the call, which are none for calls that never fail by chance; or the one that was asked
/// for, which may be 0: then it does nothing and says that all is well, as a call that failed looks to whoever does not look at its code.
std::optional<int> DrawFault(const char* call, const int* codes, size_t count);

}  // namespace nativespec::driver
