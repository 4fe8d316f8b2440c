// Attention of trees, against float64, of nodes alone and as chains.
#pragma once

#include <functional>

#include <memory>

#include "numbers.h"

namespace nativespec::cuda {

/// What attention gives of rows, [rows][heads · width]: as the next product reads it, in F16, and its units folded in float64 here.
struct AttentionResult {
  std::vector<float> packed, folded;
};

/// A sequence of a trunk and a random tree on a pool of random keys and values, which tests read by position.
class AttentionCase {
 public:
  AttentionCase(int heads, int kv_heads, int width, int trunk, int nodes, int window, Format kv, uint64_t seed)
      : heads_(heads), kv_heads_(kv_heads), width_(width), trunk_(trunk), window_(window), kv_(kv), random_(seed) {
    const int pages = (trunk + nodes) / kPageRows + 2;
    for (int page = 0; page < pages; ++page) {
      pages_.push_back(page * 2 + 1);  // others' pages lie between
    }
    pool_rows_ = 2 * pages * kPageRows;
    for (auto* plane : {&keys_, &values_}) {
      for (int i = 0; i < pool_rows_ * kv_heads * width; ++i) {
        plane->push_back(Number());
      }
    }
    // Node 0 follows the trunk; a node's parent comes before it.
    for (int node = 0; node < nodes; ++node) {
      parents_.push_back(node == 0 ? -1 : static_cast<int>(random_.Below(node)));
    }
    for (int i = 0; i < nodes * heads * width; ++i) {
      q_.push_back(Number());
    }
    pool_ = std::make_unique<DevicePool>(Pool(keys_), Pool(values_));
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

  /// Attention of some nodes in a batch. as_chain: the only node's path lies in its own slots.
  AttentionResult Run(const std::vector<int>& nodes, int most_rounds, bool as_chain, Digest* digest) {
    const int rows = static_cast<int>(nodes.size()), bucket = (rows + 7) / 8 * 8;
    Rows batch;
    batch.BeginSequence(pages_);
    std::vector<float> q;
    for (const int node : nodes) {
      const int position = trunk_ + Depth(node);
      batch.Add(0, position, NodeRow(node), as_chain ? position + 1 : trunk_, as_chain ? std::vector<int32_t>() : Path(node));
      q.insert(q.end(), q_.begin() + static_cast<int64_t>(node) * heads_ * width_, q_.begin() + static_cast<int64_t>(node + 1) * heads_ * width_);
    }
    std::unique_ptr<DevicePool> committed;
    if (as_chain) {  // as if the path had been committed
      std::vector<float> keys = keys_, values = values_;
      const auto path = Path(nodes[0]);
      for (size_t i = 0; i < path.size(); ++i) {
        const int slot = trunk_ + static_cast<int>(i), to = pages_[static_cast<size_t>(slot / kPageRows)] * kPageRows + slot % kPageRows;
        for (int number = 0; number < kv_heads_ * width_; ++number) {
          const size_t source = static_cast<size_t>(path[i] * kv_heads_ * width_ + number), target = static_cast<size_t>(to * kv_heads_ * width_ + number);
          keys[target] = keys_[source];
          values[target] = values_[source];
        }
      }
      committed = std::make_unique<DevicePool>(Pool(keys), Pool(values));
    }
    const DevicePool& pool = as_chain ? *committed : *pool_;
    batch.path_rows.push_back(0);
    const DeviceArray<uint16_t> device_q(InParts(q));
    const DeviceArray<int32_t> positions(batch.positions), trunk(batch.trunk), page_start(batch.page_start), pages(batch.pages), path_start(batch.path_start), path_rows(batch.path_rows);
    const int units = UnitOf(trunk_ + 64) + 1;
    const DeviceArray<Pair> maxima_sums(static_cast<size_t>(units * bucket * heads_));
    const DeviceArray<float> weighted(maxima_sums.size() * static_cast<size_t>(width_));
    const auto items = PlanAttention(batch.sequences, heads_, kv_heads_, window_, most_rounds);
    const DeviceArray<AttentionItem> list(items);
    const DeviceArray<int32_t> count(std::vector<int32_t>{static_cast<int32_t>(items.size())});
    TreeAttention({device_q.data(), reinterpret_cast<const uint8_t*>(pool.keys.data()), reinterpret_cast<const uint8_t*>(pool.values.data()), maxima_sums.data(), weighted.data(),
                   positions.data(), trunk.data(), page_start.data(), pages.data(), path_start.data(), path_rows.data(), list.data(), count.data(), static_cast<int32_t>(items.size()), bucket, heads_, kv_heads_, window_, Scale()},
                  width_, kv_);
    Finish();
    const int parts = RowParts(kv_ == Format::kF32 ? kv_ : Format::kF16), tiles = bucket / 8 * RowsOfParts(parts);
    DeviceArray<uint8_t> y(static_cast<size_t>(ActivationBytes(heads_ * width_, tiles)));
    y.Fill(0);
    AttentionFold({maxima_sums.data(), weighted.data(), positions.data(), y.data(), bucket, heads_, width_, width_, window_, tiles, parts}, rows);
    Finish();
    const auto bytes = y.Download();
    if (digest != nullptr) {
      digest->Add(bytes);
    }
    AttentionResult result;
    const auto units_of = maxima_sums.Download();
    const auto weighted_of = weighted.Download();
    for (int row = 0; row < rows; ++row) {
      auto values_of_row = UnpackRow(bytes, row, heads_ * width_, tiles, parts > 0);
      if (parts == 2) {
        const auto rest = UnpackRow(bytes, bucket + row, heads_ * width_, tiles, true);
        std::transform(values_of_row.begin(), values_of_row.end(), rest.begin(), values_of_row.begin(), std::plus<float>());
      }
      result.packed.insert(result.packed.end(), values_of_row.begin(), values_of_row.end());
      const int position = batch.positions[static_cast<size_t>(row)], first = window_ > 0 ? UnitOf(std::max(0, position - window_ + 1)) : 0;
      for (int head = 0; head < heads_; ++head) {
        auto at = [&](int unit) { return static_cast<size_t>((unit * bucket + row) * heads_ + head); };
        float highest = -INFINITY;
        for (int unit = first; unit <= UnitOf(position); ++unit) {
          highest = std::max(highest, units_of[at(unit)].x);
        }
        for (int i = 0; i < width_; ++i) {
          double total = 0, sum = 0;
          for (int unit = first; unit <= UnitOf(position); ++unit) {
            const double factor = std::exp2(static_cast<double>(units_of[at(unit)].x) - highest);
            total += factor * units_of[at(unit)].y;
            sum += factor * weighted_of[at(unit) * static_cast<size_t>(width_) + static_cast<size_t>(i)];
          }
          result.folded.push_back(static_cast<float>(sum / total));
        }
      }
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
          score += static_cast<double>(q_[static_cast<size_t>((node * heads_ + head) * width_ + i)]) * keys_[static_cast<size_t>((row * kv_heads_ + kv_head) * width_ + i)];
        }
        scores.push_back(score * Scale() / 1.4426950408889634);
        highest = std::max(highest, scores.back());
      }
      for (size_t k = 0; k < rows.size(); ++k) {
        const double p = std::exp(scores[k] - highest);
        total += p;
        for (int i = 0; i < width_; ++i) {
          sums[static_cast<size_t>(i)] += p * values_[static_cast<size_t>((rows[k] * kv_heads_ + kv_head) * width_ + i)];
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
  /// Keys and values in the cache's layout.
  struct DevicePool {
    DevicePool(const std::vector<uint16_t>& its_keys, const std::vector<uint16_t>& its_values) : keys(its_keys), values(its_values) {}
    DeviceArray<uint16_t> keys, values;
  };

  float Scale() const { return 1.4426950408889634f / std::sqrt(static_cast<float>(width_)); }
  /// A number that the format holds; one of F32 whole, also what its parts leave out.
  float Number() {
    const float number = random_.Float(2);
    return kv_ == Format::kF32 ? number : HostBF16(number);
  }
  /// From [row][number] of heads to [row][part][number].
  std::vector<uint16_t> InParts(const std::vector<float>& plain) const {
    const size_t width = static_cast<size_t>(width_), parts = static_cast<size_t>(KvParts(kv_));
    std::vector<uint16_t> in_parts(plain.size() * parts);
    for (size_t i = 0; i < plain.size(); ++i) {
      float left = plain[i];
      for (size_t part = 0; part < parts; ++part, left -= HostBF16(left)) {
        in_parts[(i / width * parts + part) * width + i % width] = BitsBF16(left);
      }
    }
    return in_parts;
  }
  /// From [row][head][number] to the cache's layout.
  std::vector<uint16_t> Pool(const std::vector<float>& plain) const {
    const auto in_parts = InParts(plain);
    const int width = width_ * KvParts(kv_);
    std::vector<uint16_t> pool(in_parts.size());
    for (int row = 0; row < pool_rows_; ++row) {
      for (int head = 0; head < kv_heads_; ++head) {
        for (int piece = 0; piece < width / 8; ++piece) {
          std::memcpy(&pool[static_cast<size_t>(KvPiece(row, head, piece, kv_heads_, width) * 8)], &in_parts[static_cast<size_t>((row * kv_heads_ + head) * width + piece * 8)], 16);
        }
      }
    }
    return pool;
  }

  int heads_, kv_heads_, width_, trunk_, window_, pool_rows_ = 0;
  Format kv_;
  check::Random random_;
  std::vector<int32_t> pages_;
  std::vector<float> keys_, values_, q_;
  std::vector<int> parents_;
  std::unique_ptr<DevicePool> pool_;
};

inline void AttentionConformance(int heads, int kv_heads, int width, int trunk, int nodes, int window, Format kv, Digest& digest) {
  const std::string what = "attention, " + std::to_string(heads) + "/" + std::to_string(kv_heads) + " heads of " + std::to_string(width) + ", trunk " + std::to_string(trunk) + ", " + std::to_string(nodes) +
                           " nodes, window " + std::to_string(window) + ", keys and values in " + Name(kv);
  if (!Attends(width, kv)) {
    std::printf("%s: not on this part, a block of which has %d bytes of shared memory\n", what.c_str(), SharedBytesOfBlock());
    return;
  }
  AttentionCase attention(heads, kv_heads, width, trunk, nodes, window, kv, static_cast<uint64_t>(trunk + nodes));
  std::vector<int> all(static_cast<size_t>(nodes));
  for (int i = 0; i < nodes; ++i) {
    all[static_cast<size_t>(i)] = i;
  }
  const AttentionResult wide = attention.Run(all, 0, false, &digest);
  auto check_same = [&](const std::string& case_of, const AttentionResult& actual, int first) {
    const auto row = [&](const std::vector<float>& rows) { return std::vector<float>(rows.begin() + first, rows.begin() + first + static_cast<int64_t>(actual.packed.size())); };
    CHECK_SAME(what + case_of, actual.packed, row(wide.packed));
    CHECK_SAME(what + case_of + ", folded", actual.folded, row(wide.folded));
  };
  check_same(", 16 pairs at a time", attention.Run(all, 1 << 20, false, nullptr), 0);
  AttentionResult actual;
  std::vector<double> expected;
  for (const int node : {0, nodes / 2, nodes - 1}) {
    const int first = node * heads * width;
    for (auto [from, to] : {std::pair(&wide.packed, &actual.packed), std::pair(&wide.folded, &actual.folded)}) {
      to->insert(to->end(), from->begin() + first, from->begin() + first + heads * width);
    }
    if (against_float64) {
      const auto values = attention.Expected(node);
      expected.insert(expected.end(), values.begin(), values.end());
    }
    check_same(", node " + std::to_string(node) + " alone", attention.Run({node}, 1, false, nullptr), first);
    check_same(", node " + std::to_string(node) + " as a chain", attention.Run({node}, 1, true, nullptr), first);
  }
  if (against_float64) {
    CHECK_ERROR(what, actual.packed, expected, kv == Format::kF32 ? 3e-5 : 4e-3);
    CHECK_ERROR(what + ", folded", actual.folded, expected, kv == Format::kF32 ? 2e-5 : 4e-3);
  }
}

}  // namespace nativespec::cuda
