// The k highest logits of a row: radix selection over ranks, eight bits a pass from the top, until the digit decides exactly k of them; then a bitonic
// sort. Ranks differ from one another, so the result does not depend on the order in which threads count or collect.
#include "operations.h"
#include "rank.h"

namespace nativespec::cuda {
namespace {

struct TopKMemory {
  uint64_t chosen[kMostTopK];
  int32_t counts[2][256];
  int32_t digit, above, within, collected;
};

/// The smallest rank of the k highest, or a number between it and the next one below.
NS_DEVICE uint64_t Threshold(const TopKArguments& a, const float* logits, TopKMemory& memory) {
  uint64_t prefix = 0;
  int remaining = a.k;
  for (int shift = 56;; shift -= 8) {
    if (ThreadIndex() < 256) {
      memory.counts[0][ThreadIndex()] = 0;
    }
    SyncThreads();
    for (int id = ThreadIndex(); id < a.vocabulary; id += kTopKThreads) {
      const uint64_t rank = Rank(logits[id], id);
      if (shift == 56 || rank >> (shift + 8) == prefix) {
        AtomicAddShared(&memory.counts[0][rank >> shift & 255], 1);
      }
    }
    SyncThreads();
    // Counts of this digit and all above it.
    const int digit = ThreadIndex();
    int from = 0;
    for (int step = 1; step < 256; step *= 2, from ^= 1) {
      if (digit < 256) {
        memory.counts[from ^ 1][digit] = memory.counts[from][digit] + (digit + step < 256 ? memory.counts[from][digit + step] : 0);
      }
      SyncThreads();
    }
    if (digit < 256) {
      const int with = memory.counts[from][digit], above = digit < 255 ? memory.counts[from][digit + 1] : 0;
      if (above < remaining && with >= remaining) {
        memory.digit = digit;
        memory.above = above;
        memory.within = with - above;
      }
    }
    SyncThreads();
    prefix = prefix << 8 | (uint32_t)memory.digit;
    remaining -= memory.above;
    const bool decided = memory.within == remaining || shift == 0;
    SyncThreads();
    if (decided) {
      return prefix << shift;
    }
  }
}

NS_DEVICE void TopK(const TopKArguments& a) {
  TopKMemory& memory = *(TopKMemory*)SharedMemory();
  AllowKernelBehind();
  WaitForKernelInFront();
  const int row = BlockIndex(), thread = ThreadIndex();
  const float* logits = a.logits + (int64_t)row * a.vocabulary;
  const uint64_t threshold = Threshold(a, logits, memory);
  memory.chosen[thread] = 0;
  if (thread == 0) {
    memory.collected = 0;
  }
  SyncThreads();
  for (int id = thread; id < a.vocabulary; id += kTopKThreads) {
    const uint64_t rank = Rank(logits[id], id);
    if (rank >= threshold) {
      memory.chosen[AtomicAddShared(&memory.collected, 1)] = rank;
    }
  }
  SyncThreads();
  for (int size = 2; size <= kMostTopK; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      const int other = thread ^ stride;
      const uint64_t mine = memory.chosen[thread], its = memory.chosen[other];
      SyncThreads();
      const bool highest_first = (thread & size) == 0, first = thread < other;
      memory.chosen[thread] = (mine > its) == (highest_first == first) ? mine : its;
      SyncThreads();
    }
  }
  if (thread < a.k) {
    const int id = IdOf(memory.chosen[thread]);
    a.ids[(int64_t)row * a.k + thread] = id;
    a.values[(int64_t)row * a.k + thread] = logits[id];
  }
}

}  // namespace

static_assert(sizeof(TopKMemory) == kTopKBytes);

}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kTopKThreads, 1) top_k(const nativespec::cuda::TopKArguments a) { nativespec::cuda::TopK(a); }
