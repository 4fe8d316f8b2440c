// Attention of trees, against float64, of nodes alone and as chains.
#pragma once

#include "numbers.h"

namespace nativespec::cuda {

/// A sequence of a trunk and a random tree on a pool of random keys and values, which tests read by position.
class AttentionCase {
 public:
  AttentionCase(int heads, int kv_heads, int width, int trunk, int nodes, int window, uint64_t seed)
      : heads_(heads), kv_heads_(kv_heads), width_(width), trunk_(trunk), window_(window), random_(seed) {
    const int pages = (trunk + nodes) / kPageRows + 2;
    for (int page = 0; page < pages; ++page) {
      pages_.push_back(page * 2 + 1);  // others' pages lie between
    }
    pool_rows_ = 2 * pages * kPageRows;
    for (auto* plane : {&keys_, &values_}) {
      for (int i = 0; i < pool_rows_ * kv_heads * width; ++i) {
        plane->push_back(BitsBF16(random_.Float(2)));
      }
    }
    // Node 0 follows the trunk; a node's parent comes before it.
    for (int node = 0; node < nodes; ++node) {
      parents_.push_back(node == 0 ? -1 : static_cast<int>(random_.Below(node)));
    }
    q_ = std::vector<uint16_t>(static_cast<size_t>(nodes * heads * width));
    for (uint16_t& bits : q_) {
      bits = BitsBF16(random_.Float(2));
    }
  }

  int Depth(int node) const { return parents_[static_cast<size_t>(node)] < 0 ? 0 : Depth(parents_[static_cast<size_t>(node)]) + 1; }
  /// A node's cache row: slots after the trunk, in the order of the nodes.
  int NodeRow(int node) const {
    const int slot = trunk_ + node;
    return pages_[static_cast<size_t>(slot / kPageRows)] * kPageRows + slot % kPageRows;
  }
  std::vector<int32_t> Path(int node) const {
    std::vector<int32_t> path;
    for (int at = node; at >= 0; at = parents_[static_cast<size_t>(at)]) {
      path.insert(path.begin(), NodeRow(at));
    }
    return path;
  }
  /// Where a node's key at a position lies.
  int KeyRowOf(int node, int position) const {
    return position < trunk_ ? pages_[static_cast<size_t>(position / kPageRows)] * kPageRows + position % kPageRows : Path(node)[static_cast<size_t>(position - trunk_)];
  }

  /// Attention of some nodes in a batch, [nodes][heads · width] in BF16. as_chain: the only node's path lies in its own slots.
  std::vector<float> Run(const std::vector<int>& nodes, int most_rounds, bool as_chain, Digest* digest) {
    const int rows = static_cast<int>(nodes.size()), bucket = (rows + 7) / 8 * 8;
    Rows batch;
    batch.BeginSequence(pages_);
    std::vector<uint16_t> q, keys = keys_, values = values_;
    for (const int node : nodes) {
      const int position = trunk_ + Depth(node);
      batch.Add(0, position, NodeRow(node), as_chain ? position + 1 : trunk_, as_chain ? std::vector<int32_t>() : Path(node));
      q.insert(q.end(), q_.begin() + static_cast<int64_t>(node) * heads_ * width_, q_.begin() + static_cast<int64_t>(node + 1) * heads_ * width_);
    }
    if (as_chain) {  // as if the path had been committed
      const auto path = Path(nodes[0]);
      for (size_t i = 0; i < path.size(); ++i) {
        const int slot = trunk_ + static_cast<int>(i), to = pages_[static_cast<size_t>(slot / kPageRows)] * kPageRows + slot % kPageRows;
        for (int number = 0; number < kv_heads_ * width_; ++number) {
          const size_t source = static_cast<size_t>(path[i] * kv_heads_ * width_ + number), target = static_cast<size_t>(to * kv_heads_ * width_ + number);
          keys[target] = keys_[source];
          values[target] = values_[source];
        }
      }
    }
    batch.path_rows.push_back(0);
    const DeviceArray<uint16_t> device_q(q), device_keys(Swizzled(keys)), device_values(Swizzled(values));
    const DeviceArray<int32_t> positions(batch.positions), trunk(batch.trunk), page_start(batch.page_start), pages(batch.pages), path_start(batch.path_start), path_rows(batch.path_rows);
    const int units = UnitOf(trunk_ + 64) + 1;
    const DeviceArray<Pair> maxima_sums(static_cast<size_t>(units * bucket * heads_));
    const DeviceArray<float> weighted(maxima_sums.size() * static_cast<size_t>(width_));
    const auto items = PlanAttention(batch.sequences, heads_, kv_heads_, window_, most_rounds);
    const DeviceArray<AttentionItem> list(items);
    const DeviceArray<int32_t> count(std::vector<int32_t>{static_cast<int32_t>(items.size())});
    TreeAttention({device_q.data(), reinterpret_cast<const uint8_t*>(device_keys.data()), reinterpret_cast<const uint8_t*>(device_values.data()), maxima_sums.data(), weighted.data(),
                   positions.data(), trunk.data(), page_start.data(), pages.data(), path_start.data(), path_rows.data(), list.data(), count.data(), static_cast<int32_t>(items.size()), bucket, heads_, kv_heads_, window_, Scale()},
                  width_);
    Finish();
    DeviceArray<uint8_t> y(static_cast<size_t>(ActivationBytes(heads_ * width_, bucket / 8)));
    y.Fill(0);
    AttentionFold({maxima_sums.data(), weighted.data(), positions.data(), y.data(), bucket, heads_, width_, width_, window_, bucket / 8, 0}, rows);
    Finish();
    const auto bytes = y.Download();
    if (digest != nullptr) {
      digest->Add(bytes);
    }
    std::vector<float> result;
    for (int row = 0; row < rows; ++row) {
      const auto values_of_row = UnpackRow(bytes, row, heads_ * width_, bucket / 8, false);
      result.insert(result.end(), values_of_row.begin(), values_of_row.end());
    }
    return result;
  }

  std::vector<double> Expected(int node) const {
    const int position = trunk_ + Depth(node), first = window_ > 0 ? std::max(0, position - window_ + 1) : 0;
    std::vector<double> y;
    std::vector<int> rows;
    for (int p = first; p <= position; ++p) {
      rows.push_back(KeyRowOf(node, p));
    }
    for (int head = 0; head < heads_; ++head) {
      const int kv_head = head / (heads_ / kv_heads_);
      std::vector<double> scores, sums(static_cast<size_t>(width_));
      double highest = -1e300, total = 0;
      for (const int row : rows) {
        double score = 0;
        for (int i = 0; i < width_; ++i) {
          score += static_cast<double>(FromBits(q_[static_cast<size_t>((node * heads_ + head) * width_ + i)], true)) * FromBits(keys_[static_cast<size_t>((row * kv_heads_ + kv_head) * width_ + i)], true);
        }
        scores.push_back(score * Scale() / 1.4426950408889634);
        highest = std::max(highest, scores.back());
      }
      for (size_t k = 0; k < rows.size(); ++k) {
        const double p = std::exp(scores[k] - highest);
        total += p;
        for (int i = 0; i < width_; ++i) {
          sums[static_cast<size_t>(i)] += p * FromBits(values_[static_cast<size_t>((rows[k] * kv_heads_ + kv_head) * width_ + i)], true);
        }
      }
      for (const double sum : sums) {
        y.push_back(sum / total);
      }
    }
    return y;
  }

  int nodes() const { return static_cast<int>(parents_.size()); }

 private:
  float Scale() const { return 1.4426950408889634f / std::sqrt(static_cast<float>(width_)); }
  /// From [row][head][number] to the cache's layout.
  std::vector<uint16_t> Swizzled(const std::vector<uint16_t>& plain) const {
    std::vector<uint16_t> pool(plain.size());
    for (int row = 0; row < pool_rows_; ++row) {
      for (int head = 0; head < kv_heads_; ++head) {
        for (int piece = 0; piece < width_ / 8; ++piece) {
          std::memcpy(&pool[static_cast<size_t>(KvPiece(row, head, piece, kv_heads_, width_) * 8)], &plain[static_cast<size_t>((row * kv_heads_ + head) * width_ + piece * 8)], 16);
        }
      }
    }
    return pool;
  }

  int heads_, kv_heads_, width_, trunk_, window_, pool_rows_ = 0;
  check::Random random_;
  std::vector<int32_t> pages_;
  std::vector<uint16_t> keys_, values_, q_;
  std::vector<int> parents_;
};

inline void AttentionConformance(int heads, int kv_heads, int width, int trunk, int nodes, int window, Digest& digest) {
  const std::string what = "attention, " + std::to_string(heads) + "/" + std::to_string(kv_heads) + " heads of " + std::to_string(width) + ", trunk " + std::to_string(trunk) + ", " + std::to_string(nodes) +
                           " nodes, window " + std::to_string(window);
  AttentionCase attention(heads, kv_heads, width, trunk, nodes, window, static_cast<uint64_t>(trunk + nodes));
  std::vector<int> all(static_cast<size_t>(nodes));
  for (int i = 0; i < nodes; ++i) {
    all[static_cast<size_t>(i)] = i;
  }
  const auto wide = attention.Run(all, 0, false, &digest);
  CHECK_SAME(what + ", 16 pairs at a time", attention.Run(all, 1 << 20, false, nullptr), wide);
  std::vector<float> actual;
  std::vector<double> expected;
  for (const int node : {0, nodes / 2, nodes - 1}) {
    const auto begin = wide.begin() + static_cast<int64_t>(node) * heads * width;
    const std::vector<float> among(begin, begin + heads * width);
    const auto values = attention.Expected(node);
    actual.insert(actual.end(), among.begin(), among.end());
    expected.insert(expected.end(), values.begin(), values.end());
    CHECK_SAME(what + ", node " + std::to_string(node) + " alone", attention.Run({node}, 1, false, nullptr), among);
    CHECK_SAME(what + ", node " + std::to_string(node) + " as a chain", attention.Run({node}, 1, true, nullptr), among);
  }
  CHECK_ERROR(what, actual, expected, 4e-3);
}

}  // namespace nativespec::cuda
