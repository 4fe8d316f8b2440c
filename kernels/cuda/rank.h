// Logits and ids as one whole number each, whose order is that of the logits, and among equals the lower id first.
#pragma once

#include "device.h"

namespace nativespec::cuda {

/// Greater for a higher value, then for a lower id; the two zeros are equal. What is not a number is below everything.
NS_DEVICE uint64_t Rank(float value, int id) {
  const uint32_t bits = BitsOf(Add(value, 0.0f)), order = value != value ? 0 : (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return (uint64_t)order << 32 | (uint32_t)~id;
}
NS_DEVICE int IdOf(uint64_t rank) { return (int)~(uint32_t)rank; }

}  // namespace nativespec::cuda
