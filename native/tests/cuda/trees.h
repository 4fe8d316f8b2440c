// Rows of random trees and of prompts, over a cache whose keys nobody need have computed.
#pragma once

#include "forward.h"

namespace nativespec::cuda {

/// Adds a random tree of so many nodes on a trunk, as one more sequence.
inline void AddRandomTree(Rows& rows, int trunk, int nodes, const std::vector<int32_t>& pages, int vocabulary, uint64_t seed) {
  auto slot = [&](int position) { return pages[static_cast<size_t>(position / kPageRows)] * kPageRows + position % kPageRows; };
  check::Random random(seed);
  rows.BeginSequence(pages);
  std::vector<std::vector<int32_t>> paths;
  for (int node = 0; node < nodes; ++node) {
    std::vector<int32_t> path = node == 0 ? std::vector<int32_t>() : paths[static_cast<size_t>(random.Below(node))];
    path.push_back(slot(trunk + node));
    paths.push_back(path);
    rows.Add(static_cast<int>(random.Below(vocabulary)), trunk + static_cast<int>(path.size()) - 1, slot(trunk + node), nodes == 1 ? trunk + 1 : trunk, path);
  }
}
inline Rows RandomTree(int trunk, int nodes, const std::vector<int32_t>& pages, int vocabulary) {
  Rows rows;
  AddRandomTree(rows, trunk, nodes, pages, vocabulary, static_cast<uint64_t>(nodes));
  return rows;
}

/// One row of a tree over these pages, for a forward of its own: its path is found in the cache.
inline Rows RowAlone(const Rows& all, int row, const std::vector<int32_t>& pages) {
  const size_t r = static_cast<size_t>(row);
  const auto begin = all.path_rows.begin() + all.path_start[r], end = r + 1 < all.path_start.size() ? all.path_rows.begin() + all.path_start[r + 1] : all.path_rows.end();
  Rows rows;
  rows.BeginSequence(pages);
  rows.Add(all.tokens[r], all.positions[r], all.kv_rows[r], all.trunk[r], std::vector<int32_t>(begin, end));
  return rows;
}

/// Tokens from a position on, as a chain whose front is in the cache.
inline Rows Prompt(int from, int count, const std::vector<int32_t>& pages, int vocabulary) {
  Rows rows;
  rows.BeginSequence(pages);
  for (int i = from; i < from + count; ++i) {
    check::Random random(static_cast<uint64_t>(i));
    rows.Add(static_cast<int>(random.Below(vocabulary)), i, pages[static_cast<size_t>(i / kPageRows)] * kPageRows + i % kPageRows, i + 1, {});
  }
  return rows;
}

}  // namespace nativespec::cuda
