// What a test asks of the emulated driver beyond the driver's own functions.
#include <cstring>

#include "call.h"

using namespace nativespec::driver;

/// Changes a setting: the name of an environment variable without NATIVESPEC_CUDA_ (settings.h), and its value. 1 where both are known, else 0.
NS_EXPORT int nativespecCudaConfigure(const char* name, const char* value) {
  Lock lock(TheState().mutex);
  return name != nullptr && value != nullptr && Configure(name, value) ? 1 : 0;
}

/// How many things went wrong that no code told (report.h), and as many of their lines as there is room for.
NS_EXPORT int nativespecCudaProblems(char* text, int room) {
  std::string all;
  const int count = Problems(&all);
  if (text != nullptr && room > 0) {
    const size_t length = std::min(all.size(), static_cast<size_t>(room) - 1);
    std::memcpy(text, all.data(), length);
    text[length] = 0;
  }
  return count;
}

/// Forgets them, where a test has told of them or has made them.
NS_EXPORT void nativespecCudaForgetProblems() { ForgetProblems(); }

/// A counter by its name (report.cpp), or −1.
NS_EXPORT int64_t nativespecCudaCount(const char* name) { return name == nullptr ? -1 : Count(name); }
