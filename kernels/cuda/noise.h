// The noise that makes the choice of a token random: a function of (seed, position, id) alone, so that no order of work and no other row changes
// what is drawn.
#pragma once

#include "device.h"

namespace nativespec::cuda {

/// 32 random bits of a counter: SplitMix64's finalizer (Steele et al., 2014) over seed, position and id.
NS_DEVICE uint32_t RandomBits(uint64_t seed, int position, int id) {
  uint64_t z = seed + 0x9E3779B97F4A7C15u * (((uint64_t)(uint32_t)position << 32 | (uint32_t)id) + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/// −ln(−ln u), u uniform in (0, 1): the highest of log p + noise is distributed as p (Gumbel, 1954).
NS_DEVICE float GumbelNoise(uint64_t seed, int position, int id) {
  constexpr float kLn2 = 0.69314718055994531f;
  const float u = MultiplyAdd((float)(RandomBits(seed, position, id) >> 8), 5.9604644775390625e-8f, 2.98023223876953125e-8f);
  return Multiply(Log2(Multiply(Log2(u), -kLn2)), -kLn2);
}

}  // namespace nativespec::cuda
