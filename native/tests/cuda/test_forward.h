// A whole forward.
#pragma once

#include "numbers.h"

namespace nativespec::cuda {

/// A whole forward: a tree's rows give the logits of their paths decoded one token at a time, in any bucket.
inline void ForwardConformance(Format format, Format kv, Digest& digest) {
  const std::string what = std::string("forward ") + Name(format) + ", keys and values in " + Name(kv);
  const ModelShape shape = large_cases ? ModelShape{4, 512, 1024, 8, 2, 64, 3000} : ModelShape{2, 128, 192, 4, 2, 32, 300};
  constexpr int kPages = 12;
  const std::vector<int32_t> pages = {3, 1, 7, 0};
  auto slot = [&](int position) { return pages[static_cast<size_t>(position / kPageRows)] * kPageRows + position % kPageRows; };
  Forward forward(shape, format, kv, kPages, 4 * kPageRows, 11, 128);
  // A prompt of 70 tokens as a chain, eight and more at a time; then a tree on it.
  check::Random random(12);
  std::vector<int> tokens;
  for (int i = 0; i < 90; ++i) {
    tokens.push_back(static_cast<int>(random.Below(shape.vocabulary)));
  }
  auto chain = [&](int from, int count, const std::vector<int>& its_tokens, int bucket) {
    Rows rows;
    rows.BeginSequence(pages);
    for (int i = 0; i < count; ++i) {
      rows.Add(its_tokens[static_cast<size_t>(i)], from + i, slot(from + i), from + i + 1, {});
    }
    forward.Upload(rows, bucket);
    forward.Run();
    Finish();
    return forward.Logits();
  };
  const int vocabulary = shape.vocabulary;
  auto row_of = [&](const std::vector<float>& logits, int row) {
    return std::vector<float>(logits.begin() + static_cast<int64_t>(row) * vocabulary, logits.begin() + static_cast<int64_t>(row + 1) * vocabulary);
  };
  constexpr int kTrunk = 70;
  std::vector<float> last;
  for (int from = 0; from < kTrunk; from += 32) {
    const int count = std::min(32, kTrunk - from);
    last = row_of(chain(from, count, std::vector<int>(tokens.begin() + from, tokens.begin() + from + count), 32), count - 1);
  }
  CHECK_SAME(what + ", the prompt in one pass", row_of(chain(0, kTrunk, tokens, 128), kTrunk - 1), last);
  // Tokens of the tree by node; node 0 is the root.
  const int parents[] = {-1, 0, 0, 1, 1, 3, 2, 5, 4};
  constexpr int kNodes = 9;
  Rows tree;
  tree.BeginSequence(pages);
  std::vector<std::vector<int>> paths;
  for (int node = 0; node < kNodes; ++node) {
    std::vector<int> path = parents[node] < 0 ? std::vector<int>() : paths[static_cast<size_t>(parents[node])];
    path.push_back(node);
    paths.push_back(path);
    std::vector<int32_t> rows;
    for (const int at : path) {
      rows.push_back(slot(kTrunk + at));
    }
    tree.Add(tokens[static_cast<size_t>(kTrunk + node)], kTrunk + static_cast<int>(path.size()) - 1, slot(kTrunk + node), kTrunk, rows);
  }
  forward.Upload(tree, 16);
  forward.Run();
  Finish();
  const auto logits = forward.Logits();
  const auto chosen = forward.Chosen();
  digest.Add(logits);
  forward.Upload(tree, 64);
  forward.Run();
  Finish();
  const auto wide = forward.Logits();
  for (int node = 0; node < kNodes; ++node) {
    const auto row = row_of(logits, node);
    CHECK_SAME(what + ", node " + std::to_string(node) + " in a bucket of 64", row_of(wide, node), row);
    CHECK(chosen[static_cast<size_t>(node)] == static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin()));
    CHECK(*std::max_element(row.begin(), row.end()) > *std::min_element(row.begin(), row.end()));
  }
  for (const int node : {4, 7}) {
    const auto& path = paths[static_cast<size_t>(node)];
    for (size_t depth = 0; depth < path.size(); ++depth) {
      const auto alone = chain(kTrunk + static_cast<int>(depth), 1, {tokens[static_cast<size_t>(kTrunk + path[depth])]}, 8);
      CHECK_SAME(what + ", node " + std::to_string(path[depth]) + " decoded", row_of(alone, 0), row_of(logits, path[depth]));
    }
  }
}

}  // namespace nativespec::cuda
