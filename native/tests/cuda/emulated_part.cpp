// The conformance suite on one emulated part; the build compiles this once for each.
#include "conformance.h"

#define NS_JOIN(a, b) a##b
#define NS_NAME(part) NS_JOIN(RunOnPart, part)

uint64_t NS_NAME(NATIVESPEC_CUDA_EMULATOR)(int order, uint64_t seed) {
  nativespec::cuda::schedule = {static_cast<nativespec::emulator::Order>(order), seed, 2};
  return nativespec::cuda::RunConformance();
}
