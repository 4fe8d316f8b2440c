// What is measured must be done: every byte read, every product made.
#pragma once

#include "numbers.h"

namespace nativespec::cuda {

inline void ReadBytesConformance() {
  constexpr int kBlocks = 3, kThreads = 256, kVectors = kBlocks * kThreads * 8 * 2 + 77;
  check::Random random(31);
  std::vector<uint32_t> words(kVectors * 4);
  uint32_t expected = 0;
  for (uint32_t& word : words) {
    word = static_cast<uint32_t>(random.Next());
    expected ^= word;
  }
  const DeviceArray<uint32_t> data(words), folded(kBlocks * kThreads);
  Launch(read_bytes, kBlocks, 1, kThreads, 0, CeilingArguments{reinterpret_cast<const Vector*>(data.data()), folded.data(), kVectors, 0});
  Finish();
  uint32_t actual = 0;
  for (const uint32_t word : folded.Download()) {
    actual ^= word;
  }
  CHECK(actual == expected);
}

inline void MultiplyTilesConformance() {
  constexpr int kBlocks = 2, kThreads = 256, kRounds = 3;
  const DeviceArray<uint32_t> ones(std::vector<uint32_t>(64, 0x3f803f80u));  // pairs of 1 in BF16
  const DeviceArray<float> sums(kBlocks * kThreads);
  Launch(multiply_tiles, kBlocks, 1, kThreads, 0, CeilingArguments{reinterpret_cast<const Vector*>(ones.data()), reinterpret_cast<uint32_t*>(sums.data()), 16, kRounds});
  Finish();
  CHECK(sums.Download() == std::vector<float>(sums.size(), kRounds * 8 * 4 * 16.0f));  // sums of a thread, each of 16 products
}

}  // namespace nativespec::cuda
