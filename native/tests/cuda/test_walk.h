// The walk along trees and the moves behind it, against a walk node by node.
#pragma once

#include "numbers.h"

namespace nativespec::cuda {

/// Trees of a round, side by side with rows that belong to none, and what a round has of them.
struct WalkCase {
  std::vector<RowList> trees;
  std::vector<int32_t> parents, logit_rows, tokens, kv_rows;
  std::vector<RowAnswer> answers;

  /// Random trees of up to so many rows with logits, over a cache of so many rows. Few different tokens, so that paths are long.
  WalkCase(check::Random& random, int bucket, int cache_rows) {
    constexpr int kTokens = 3;
    std::vector<int32_t> free;
    for (int row = 0; row < cache_rows; ++row) {
      free.push_back(row);
    }
    const auto below = [&](size_t limit) { return static_cast<int>(random.Below(static_cast<int64_t>(limit))); };
    const int most = below(4) == 0 ? bucket : 2 + below(static_cast<size_t>(bucket) / 2);
    for (int left = bucket; left > 1;) {
      const int count = std::min(left, 1 + below(static_cast<size_t>(most)));
      const bool walks = below(5) > 0;
      if (walks) {
        trees.push_back({static_cast<int>(logit_rows.size()), count});
      }
      const bool bushy = below(2) == 0;
      std::vector<int> its_tokens;
      std::vector<std::vector<int>> children(static_cast<size_t>(count));
      for (int node = 0; node < count; ++node) {
        for (int skipped = below(2); skipped > 0; --skipped) {  // rows of prompts, without logits
          tokens.push_back(below(kTokens));
          kv_rows.push_back(0);
        }
        const int parent = node == 0 ? -1 : bushy ? below(static_cast<size_t>(node)) : std::max(0, node - 1 - below(3));
        logit_rows.push_back(static_cast<int>(tokens.size()));
        tokens.push_back(below(kTokens));
        its_tokens.push_back(tokens.back());
        const size_t place = static_cast<size_t>(below(free.size()));
        kv_rows.push_back(free[place]);
        free.erase(free.begin() + static_cast<int>(place));
        parents.push_back(node > 0 && below(12) == 0 ? -1 : parent);  // some are only looked through
        if (node > 0) {
          children[static_cast<size_t>(parent)].push_back(node);
        }
      }
      for (int node = 0; node < count; ++node) {
        const auto& its = children[static_cast<size_t>(node)];
        const int chosen = !its.empty() && below(10) > 0 ? its_tokens[static_cast<size_t>(its[static_cast<size_t>(below(its.size()))])] : below(kTokens + 1) - 1;
        const float highest[] = {NAN, INFINITY, -INFINITY};
        const bool broken = below(20) == 0;
        answers.push_back({broken && below(2) == 0 ? -1 : chosen, broken ? highest[below(3)] : 1 + random.Float(), 0});
      }
      left -= count;
    }
  }

  /// The path along a tree, node by node.
  std::vector<int32_t> PathOf(const RowList& tree) const {
    std::vector<int32_t> path = {0};
    const auto at = [&](int node) { return static_cast<size_t>(tree.first + node); };
    const auto is_finite = [&](int node) { return std::isfinite(answers[at(node)].highest); };
    for (int child = 1; child < tree.count && is_finite(0); ++child) {  // the first that is next; those behind it are looked through for the one after it
      if (parents[at(child)] == path.back() && tokens[static_cast<size_t>(logit_rows[at(child)])] == answers[at(path.back())].chosen) {
        if (!is_finite(child)) {
          break;
        }
        path.push_back(child);
      }
    }
    return path;
  }
};

/// Thousands of random forests: paths, and the cache after the moves.
inline void WalkConformance(Digest& digest) {
  constexpr int kMostRows = 128, kCacheRows = 3 * kPageRows, kWidth = 64, kPieces = kWidth / 8;
  check::Random random(12);
  std::vector<uint64_t> plane(kCacheRows * kWidth / 4);
  for (uint64_t& bits : plane) {
    bits = random.Next();
  }
  DeviceArray<uint64_t> keys(plane.size()), values(plane.size());
  const DeviceArray<uint8_t*> planes(std::vector<uint8_t*>{reinterpret_cast<uint8_t*>(keys.data()), reinterpret_cast<uint8_t*>(values.data())});
  DeviceArray<RowList> trees(kMostRows), lists(kMostRows);
  DeviceArray<KvMove> moves(kMostRows);
  DeviceArray<int32_t> tree_count(1), parents(kMostRows), logit_rows(kMostRows), tokens(2 * kMostRows), kv_rows(2 * kMostRows);
  DeviceArray<int32_t> paths(kMostRows);
  DeviceArray<RowAnswer> answers(kMostRows);
  int longest = 0, moved = 0;
  for (int round = 0; round < 2500; ++round) {
    const int bucket = std::min(kMostRows, 8 << random.Below(5));
    const WalkCase its(random, bucket, kCacheRows);
    trees.Upload(its.trees);
    tree_count.Upload({static_cast<int32_t>(its.trees.size())});
    parents.Upload(its.parents);
    logit_rows.Upload(its.logit_rows);
    tokens.Upload(its.tokens);
    kv_rows.Upload(its.kv_rows);
    answers.Upload(its.answers);
    paths.Upload(std::vector<int32_t>(kMostRows, -7));
    keys.Upload(plane);
    values.Upload(plane);
    // As a graph has it: as many blocks as there might be trees.
    Launch(walk_trees, bucket, 1, 32, kWalkBytes * bucket,
           WalkTreesArguments{trees.data(), tree_count.data(), parents.data(), logit_rows.data(), tokens.data(), kv_rows.data(), answers.data(), paths.data(), moves.data(), lists.data()});
    Launch(move_kv_rows, 2, kMoveBlocks, 32, 0, MoveKvRowsArguments{planes.data(), moves.data(), lists.data(), tree_count.data(), 1, kWidth});
    Finish();

    std::vector<int32_t> expected_paths(kMostRows, -7);
    auto expected = plane;
    for (const RowList& tree : its.trees) {
      const auto path = its.PathOf(tree);
      const auto row_of = [&](int node) { return its.kv_rows[static_cast<size_t>(its.logit_rows[static_cast<size_t>(tree.first + node)])]; };
      for (int i = 0; i < tree.count; ++i) {
        const bool is_on = static_cast<size_t>(i) < path.size();
        expected_paths[static_cast<size_t>(tree.first + i)] = is_on ? path[static_cast<size_t>(i)] : -1;
        for (int piece = 0; is_on && path[static_cast<size_t>(i)] != i && piece < kPieces; ++piece) {
          const auto source = KvPiece(row_of(path[static_cast<size_t>(i)]), 0, piece, 1, kWidth), target = KvPiece(row_of(i), 0, piece, 1, kWidth);
          std::memcpy(&expected[static_cast<size_t>(target * 2)], &expected[static_cast<size_t>(source * 2)], 16);
          ++moved;
        }
      }
      longest = std::max(longest, static_cast<int>(path.size()));
    }
    const auto actual_paths = paths.Download();
    const auto actual_keys = keys.Download();
    if (actual_paths != expected_paths || actual_keys != expected || values.Download() != expected) {
      check::Fail(__FILE__, __LINE__, "walk_trees, forest " + std::to_string(round));
      return;
    }
    digest.Add(actual_paths);
    digest.Add(actual_keys);
  }
  if (longest <= 12 || moved <= 5000 * kPieces) {
    check::Fail(__FILE__, __LINE__, "walk_trees: the longest path has " + std::to_string(longest) + " nodes, " + std::to_string(moved / kPieces) + " were moved");
  }
}

}  // namespace nativespec::cuda
