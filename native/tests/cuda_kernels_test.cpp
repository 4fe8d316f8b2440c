// The CUDA kernels on the emulator: conformance on two emulated parts, which must give the same bits: one with bulk copies and products of four
// warps, one without.
#include "check.h"

uint64_t RunOnPart80(int order, uint64_t seed);
uint64_t RunOnPart90(int order, uint64_t seed);

int main() {
  const uint64_t old_part = RunOnPart80(0, 1), new_part = RunOnPart90(1, 1);
  CHECK(old_part == new_part);
  return check::Result();
}
