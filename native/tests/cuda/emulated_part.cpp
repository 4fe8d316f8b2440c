// The conformance suite on one emulated part; the build compiles this once for each.
#include <string>

#include "conformance.h"
#if NATIVESPEC_CUDA_EMULATOR == 90
#include "bench.h"
#endif

#define NS_JOIN(a, b) a##b
#define NS_NAME(name, part) NS_JOIN(name, part)

uint64_t NS_NAME(RunOnPart, NATIVESPEC_CUDA_EMULATOR)(int order, const std::string& only) {
  nativespec::cuda::schedule = {static_cast<nativespec::emulator::Order>(order), 1, 2};
  return nativespec::cuda::RunConformance(only);
}

#if NATIVESPEC_CUDA_EMULATOR == 90
/// The benchmark runs; what it prints here are times of the emulator.
void BenchOnPart90() {
  nativespec::cuda::Bench({1, 64, 64, 2, 1, 32, 100}, {nativespec::cuda::Format::kQ4}, {40}, {300}, {128}, true, 1);
}
#endif
