// The choice of tokens.
#pragma once

#include "../../../kernels/cuda/noise.h"
#include "numbers.h"

namespace nativespec::cuda {

/// The noise against vectors of the engine (tests/NativeSpec.Tests/Sampling/GumbelNoiseTests.cs pins the same): one draw, one text on every back end.
inline void NoiseConformance() {
  struct Vector {
    uint64_t seed;
    int64_t position;
    int id;
    uint64_t bits;
  };
  for (const Vector& v : {Vector{0, 0, 0, 0x3FCDC5F3377C75EC}, Vector{42, 7, 31999, 0xBFF7948A851FBF9D}, Vector{~uint64_t{0}, int64_t{1} << 40, 128255, 0xBFC308B663A7A30E}}) {
    const uint32_t prefix = Prefix(NoisePrefixes(v.seed, v.position, v.id / kPrefixIds), v.id % kPrefixIds);
    CHECK(BitsOf(GumbelNoise(v.seed, v.position, v.id, prefix)) == v.bits);
  }
  for (uint32_t prefix = 0; prefix < 65536; prefix += prefix < 65000 ? 97 : 1) {
    CHECK(NoiseBound(prefix) >= NoiseAt(uint64_t{prefix} << 32 | 0xffffffffu));
  }
}

/// Answers of rows: the choice in float64 among all ids, which the kernel must find among those it looks at; the highest; the sum.
inline void ChooseConformance(Digest& digest) {
  NoiseConformance();
  constexpr int kRows = 9, kVocabulary = 9003;
  check::Random random(3);
  auto logits = random.Floats(kRows * kVocabulary, 5);
  auto at = [&](int row, int id) -> float& { return logits[static_cast<size_t>(row) * kVocabulary + static_cast<size_t>(id)]; };
  at(0, 17) = at(0, 8000) = 7;  // a tie goes to the lowest id
  at(2, 5) = NAN;               // a row with what is not a number is none
  for (int id = 0; id < kVocabulary; ++id) {
    at(3, id) = id % 2 == 0 ? -0.0f : id == 4001 ? 0.0f : -1;  // two zeros
    at(4, id) = -INFINITY;                                     // all ids but a few ruled out
    at(5, id) = 0;                                             // noise alone
  }
  at(4, 8999) = at(4, 9002) = -3;
  for (int id = 0; id < kVocabulary; ++id) {
    at(6, id) *= 100;  // exponentials that vanish
  }
  const float temperatures[kRows] = {0, 0, 1, 0, 0.7f, 1, 1.3f, 2.5f, 1e-30f};
  std::vector<ChoiceRule> rules;
  for (int row = 0; row < kRows; ++row) {
    rules.push_back({random.Next(), int64_t{1} << (row * 5), temperatures[row], row == 7 ? 0 : 1});
  }
  const DeviceArray<float> device_logits(logits);
  const DeviceArray<ChoiceRule> device_rules(rules);
  const DeviceArray<RowAnswer> answers(kRows);
  Launch(choose, kRows, 1, ChooseThreads(kVocabulary), kChooseBytes, ChooseArguments{device_logits.data(), device_rules.data(), answers.data(), kVocabulary});
  Finish();
  const auto all = answers.Download();
  for (int row = 0; row < kRows; ++row) {
    const RowAnswer& answer = all[static_cast<size_t>(row)];
    if (row == 2) {
      CHECK(answer.highest != answer.highest);
      continue;
    }
    const float highest = *std::max_element(logits.begin() + row * kVocabulary, logits.begin() + (row + 1) * kVocabulary);
    double sum = 0, best = -INFINITY;
    int expected = -1;
    for (int id = 0; id < kVocabulary; ++id) {
      sum += std::exp(static_cast<double>(at(row, id)) - highest);
      double value = at(row, id);
      if (temperatures[row] > 0) {
        const ChoiceRule& rule = rules[static_cast<size_t>(row)];
        value = (value - static_cast<double>(highest)) / static_cast<double>(rule.temperature) +
                GumbelNoise(rule.seed, rule.position, id, Prefix(NoisePrefixes(rule.seed, rule.position, id / kPrefixIds), id % kPrefixIds));
      }
      if (value > best) {
        best = value;
        expected = id;
      }
    }
    CHECK(answer.highest == highest);
    CHECK(std::fabs(answer.log_sum - (highest + std::log(sum))) < 2e-6 * std::fmax(1, std::fabs(highest)));
    CHECK(answer.chosen == (row == 7 ? -1 : expected));
  }
  CHECK(all[0].chosen == 17 && all[3].chosen == 0);
  for (const RowAnswer& answer : all) {
    digest.Add(std::vector<int>{answer.chosen});
  }
  // A row in other company.
  const DeviceArray<float> alone(std::vector<float>(logits.begin() + 8 * kVocabulary, logits.end()));
  const DeviceArray<ChoiceRule> its_rule(std::vector<ChoiceRule>{rules[8]});
  const DeviceArray<RowAnswer> its_answer(1);
  Launch(choose, 1, 1, ChooseThreads(kVocabulary), kChooseBytes, ChooseArguments{alone.data(), its_rule.data(), its_answer.data(), kVocabulary});
  Finish();
  const std::vector<RowAnswer> among = {all[8]};
  CHECK_SAME("choose, alone", its_answer.Download(), among);

  // Noise alone over so many ids that several share the highest prefix: the other bits decide.
  constexpr int kMany = 60000;
  const DeviceArray<float> zeros(std::vector<float>(kMany * 5, 0));
  std::vector<ChoiceRule> equal_rules;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    equal_rules.push_back({seed, 3, 1, 1});
  }
  const DeviceArray<ChoiceRule> device_equal_rules(equal_rules);
  const DeviceArray<RowAnswer> equal_answers(5);
  Launch(choose, 5, 1, ChooseThreads(kMany), kChooseBytes, ChooseArguments{zeros.data(), device_equal_rules.data(), equal_answers.data(), kMany});
  Finish();
  for (uint64_t seed = 0; seed < 5; ++seed) {
    int most = 0;
    double noise = -INFINITY;
    for (int id = 0; id < kMany; ++id) {
      const uint32_t prefix = Prefix(NoisePrefixes(seed, 3, id / kPrefixIds), id % kPrefixIds);
      if (prefix >= 65000) {
        const double its = GumbelNoise(seed, 3, id, prefix);
        most = its > noise ? id : most;
        noise = std::fmax(noise, its);
      }
    }
    CHECK(equal_answers.Download()[seed].chosen == most);
  }

  // Draws of 2000 seeds over three ids follow their distribution: 0.6652, 0.2447, 0.0900.
  constexpr int kDraws = 2000;
  std::vector<float> many;
  std::vector<ChoiceRule> many_rules;
  for (int i = 0; i < kDraws; ++i) {
    many.insert(many.end(), {2, 1, 0});
    many_rules.push_back({random.Next(), 5, 1, 1});
  }
  const DeviceArray<float> device_many(many);
  const DeviceArray<ChoiceRule> device_many_rules(many_rules);
  const DeviceArray<RowAnswer> draws(kDraws);
  Launch(choose, kDraws, 1, ChooseThreads(3), kChooseBytes, ChooseArguments{device_many.data(), device_many_rules.data(), draws.data(), 3});
  Finish();
  int counts[3] = {};
  for (const RowAnswer& answer : draws.Download()) {
    CHECK(answer.chosen >= 0 && answer.chosen < 3);
    ++counts[std::min(2u, static_cast<uint32_t>(answer.chosen))];
  }
  const double expected[3] = {0.66524, 0.24473, 0.09003};
  for (int id = 0; id < 3; ++id) {
    CHECK(std::fabs(counts[id] - expected[id] * kDraws) < 4.5 * std::sqrt(kDraws * expected[id] * (1 - expected[id])));
  }
}

inline void TopKConformance(Digest& digest) {
  constexpr int kRows = 3, kVocabulary = 5000;
  check::Random random(9);
  auto logits = random.Floats(kRows * kVocabulary, 5);
  for (int id = 0; id < kVocabulary; ++id) {
    logits[static_cast<size_t>(kVocabulary + id)] = static_cast<float>(random.Below(3));  // ties beyond every k
  }
  const DeviceArray<float> device_logits(logits);
  for (const int k : {1, 50, 1024}) {
    const DeviceArray<float> values(static_cast<size_t>(kRows * k));
    const DeviceArray<int32_t> ids(static_cast<size_t>(kRows * k));
    Launch(top_k, kRows, 1, kTopKThreads, kTopKBytes, TopKArguments{device_logits.data(), values.data(), ids.data(), kVocabulary, k});
    Finish();
    std::vector<int32_t> expected_ids;
    std::vector<float> expected;
    for (int row = 0; row < kRows; ++row) {
      const float* its = logits.data() + row * kVocabulary;
      std::vector<int32_t> order(kVocabulary);
      for (int id = 0; id < kVocabulary; ++id) {
        order[static_cast<size_t>(id)] = id;
      }
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return its[a] > its[b]; });
      expected_ids.insert(expected_ids.end(), order.begin(), order.begin() + k);
      for (int i = 0; i < k; ++i) {
        expected.push_back(its[order[static_cast<size_t>(i)]]);
      }
    }
    CHECK_SAME("top_k " + std::to_string(k) + ", ids", ids.Download(), expected_ids);
    CHECK_SAME("top_k " + std::to_string(k) + ", values", values.Download(), expected);
    digest.Add(ids.Download());
  }
}

}  // namespace nativespec::cuda
