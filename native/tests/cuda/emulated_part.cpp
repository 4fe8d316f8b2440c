// The conformance suite on one emulated part; the build compiles this once for each.
#include <string>

#include "conformance.h"

#define NS_JOIN(a, b) a##b
#define NS_NAME(name, part) NS_JOIN(name, part)

uint64_t NS_NAME(RunOnPart, NATIVESPEC_CUDA_EMULATOR)(int order, const std::string& only) {
  nativespec::cuda::schedule = {static_cast<nativespec::emulator::Order>(order), 1, 2};
  return nativespec::cuda::RunConformance(only);
}
