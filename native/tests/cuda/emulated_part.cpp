// The conformance suite on one emulated part; the build compiles this once for each.
#include "bench.h"
#include "conformance.h"

#define NS_JOIN(a, b) a##b
#define NS_NAME(part) NS_JOIN(RunOnPart, part)

uint64_t NS_NAME(NATIVESPEC_CUDA_EMULATOR)(int order, uint64_t seed) {
  nativespec::cuda::schedule = {static_cast<nativespec::emulator::Order>(order), seed, 2};
  nativespec::cuda::Bench({1, 64, 64, 2, 1, 32, 100}, {nativespec::cuda::Format::kQ4}, {40}, {300}, true, 1);
  return nativespec::cuda::RunConformance();
}
