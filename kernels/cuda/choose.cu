// What a row of logits answers: its token, its highest logit, and log-sum-exp. The token is the highest logit, or the highest of
// (logit − highest) / temperature + Gumbel noise, which draws from the softmax (noise.h), in float64 and tie for tie as the engine computes it
// (src/NativeSpec/Sampling/GumbelMax.cs).
//
// A row is read twice: first for its highest logit; then for the sum, and for the draw, where the token with the highest logit sets a mark that most
// others cannot reach whatever their noise's other 32 bits are. Only who might reach it computes in float64.
#include "noise.h"
#include "operations.h"
#include "rank.h"

namespace nativespec::cuda {
namespace {

struct ChooseMemory {
  uint64_t words[32];
  double sums[32];
  int32_t ids[32];
};
static_assert(sizeof(ChooseMemory) <= kChooseBytes);

/// The highest number of a block, the same on each thread.
NS_DEVICE uint64_t BlockMaximum(uint64_t value, uint64_t* warps) {
  NS_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const uint64_t other = ShuffleXor(value, lanes);
    value = other > value ? other : value;
  }
  if (Lane() == 0) {
    warps[Warp()] = value;
  }
  SyncThreads();
  for (int warp = 0; warp < BlockThreads() / 32; ++warp) {
    value = warps[warp] > value ? warps[warp] : value;
  }
  return value;
}

/// A token and its sum; the better of two has the greater sum, or the lower id.
struct Candidate {
  double sum;
  int id;
  NS_DEVICE void Take(double its_sum, int its_id) {
    if (its_sum > sum || (its_sum == sum && its_id < id)) {
      sum = its_sum;
      id = its_id;
    }
  }
};

/// The race of one row.
struct Race {
  const ChoiceRule& rule;
  float highest, inverse;
  Candidate best;

  NS_DEVICE double Sum(float logit, int id, uint32_t prefix) const {
    return Add(Divide(Add((double)logit, -(double)highest), (double)rule.temperature), GumbelNoise(rule.seed, rule.position, id, prefix));
  }
  /// The likeliest token begins.
  NS_DEVICE void Begin(int likeliest) {
    const uint32_t prefix = Prefix(NoisePrefixes(rule.seed, rule.position, likeliest / kPrefixIds), likeliest % kPrefixIds);
    best = {Sum(highest, likeliest, prefix), likeliest};
  }
  /// Eight ids of a group, as far as the vocabulary goes.
  NS_DEVICE void Enter(const float (&logits)[kPrefixIds], int group, int vocabulary) {
    const Words prefixes = NoisePrefixes(rule.seed, rule.position, group);
    NS_UNROLL
    for (int i = 0; i < kPrefixIds; ++i) {
      const int id = group * kPrefixIds + i;
      // Widened by far more than what rounding can have taken from it.
      const float most = Add(Multiply(Multiply(Add(logits[i], -highest), inverse), 0.99999f), Add(NoiseBound(Prefix(prefixes, i)), 1e-3f));
      if (id < vocabulary && !(most < (float)best.sum)) {
        best.Take(Sum(logits[i], id, Prefix(prefixes, i)), id);
      }
    }
  }
};

NS_DEVICE void Choose(const ChooseArguments& a) {
  ChooseMemory& memory = *(ChooseMemory*)SharedMemory();
  AllowKernelBehind();
  WaitForKernelInFront();
  const int row = BlockIndex(), groups = (a.vocabulary + kPrefixIds - 1) / kPrefixIds;
  const float* logits = a.logits + (int64_t)row * a.vocabulary;

  uint64_t best = 0;
  bool broken = false;  // something that is not a number
  for (int id = ThreadIndex(); id < a.vocabulary; id += BlockThreads()) {
    const float value = logits[id];
    const uint64_t rank = Rank(value, id);
    best = rank > best ? rank : best;
    broken = broken || value != value;
  }
  // What is not a number ranks below everything, so it is told by a rank above everything.
  best = BlockMaximum(Any(broken) ? ~(uint64_t)0 : best, memory.words);
  if (best == ~(uint64_t)0) {
    if (ThreadIndex() == 0) {
      a.answers[row] = {-1, Bits(0x7fc00000u), 0};
    }
    return;
  }
  const int likeliest = IdOf(best);
  const float highest = logits[likeliest];
  const ChoiceRule rule = a.rules[row];
  const bool draws = rule.is_asked != 0 && rule.temperature > 0;

  Race race{rule, highest, draws ? Divide(1.0f, rule.temperature) : 0, {0, likeliest}};
  if (draws) {
    race.Begin(likeliest);
  }
  double sum = 0;
  for (int group = ThreadIndex(); group < groups; group += BlockThreads()) {
    float values[kPrefixIds];
    NS_UNROLL
    for (int i = 0; i < kPrefixIds; ++i) {
      const int id = group * kPrefixIds + i;
      values[i] = id < a.vocabulary ? logits[id] : Bits(0xff800000u);
    }
    float of_group = 0;
    NS_UNROLL
    for (int i = 0; i < kPrefixIds; ++i) {
      of_group = Add(of_group, Exp2(Multiply(Add(values[i], -highest), 1.4426950408889634f)));
    }
    sum = Add(sum, (double)of_group);
    if (draws) {
      race.Enter(values, group, a.vocabulary);
    }
  }

  // The sum in a fixed tree; of the candidates the best in any order.
  NS_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    sum = Add(sum, Bits(ShuffleXor(BitsOf(sum), lanes)));
    const double other = Bits(ShuffleXor(BitsOf(race.best.sum), lanes));
    race.best.Take(other, (int)ShuffleXor((uint32_t)race.best.id, lanes));
  }
  SyncThreads();  // everybody has read the maxima, whose place is taken
  if (Lane() == 0) {
    memory.sums[Warp()] = sum;
    memory.words[Warp()] = BitsOf(race.best.sum);
    memory.ids[Warp()] = race.best.id;
  }
  SyncThreads();
  if (ThreadIndex() == 0) {
    for (int warp = 1; warp < BlockThreads() / 32; ++warp) {
      sum = Add(sum, memory.sums[warp]);
      race.best.Take(Bits(memory.words[warp]), memory.ids[warp]);
    }
    a.answers[row] = {rule.is_asked != 0 ? race.best.id : -1, highest, Add((double)highest, Log(sum))};
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kMostChooseThreads, 1) choose(const nativespec::cuda::ChooseArguments a) { nativespec::cuda::Choose(a); }
