// The CUDA kernels on the emulator: conformance on two emulated parts, one with bulk copies and products of four warps, one without, threads in
// different orders. Both must give the same bits.
#include <string>

#include "check.h"

uint64_t RunOnPart80(int order, const std::string& only);
uint64_t RunOnPart90(int order, const std::string& only);

int main() {
  const uint64_t old_part = RunOnPart80(0, ""), new_part = RunOnPart90(2, "");
  CHECK(old_part == new_part);
  return check::Result();
}
