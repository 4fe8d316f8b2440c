// What is done row by row between products: norms, epilogues, rotation, and rows of the cache that move.
#pragma once

#include <functional>

#include "numbers.h"

namespace nativespec::cuda {

inline void RmsNormConformance(Digest& digest) {
  constexpr int kRows = 11, kBucket = 16;
  for (const int width : {72, 2080, 25600}) {
    for (const int variant : {0, 1, 2, 3, 4}) {  // plain, after the product, chosen rows, F16 without a gain, two parts
      if (width > 24000 && variant != 3) {  // too wide for shared memory, which norms alone need
        continue;
      }
      check::Random random(static_cast<uint64_t>(width + variant));
      const int segments = variant == 0 ? 0 : 4;
      const auto x = random.Floats(kRows * width, 3), partials = random.Floats(4 * kBucket * width), post = random.Floats(width), gain = random.Floats(width);
      const std::vector<int32_t> chosen = {7, 0, 10};
      const DeviceArray<float> device_x(x), device_partials(partials), device_post(post), device_gain(gain);
      const DeviceArray<int32_t> device_chosen(chosen);
      const int parts = variant == 3 ? 0 : variant == 4 ? 2 : 1, tiles = kBucket / 8 * RowsOfParts(parts);
      DeviceArray<uint8_t> y(static_cast<size_t>(ActivationBytes(width, tiles)));
      y.Fill(0);
      const int rows = variant == 2 ? 3 : kRows;
      RmsNorm({device_x.data(), device_partials.data(), variant == 1 ? device_post.data() : nullptr, variant == 3 ? nullptr : device_gain.data(),
               variant == 2 ? device_chosen.data() : nullptr, y.data(), segments, kBucket, tiles, width, parts, 1e-5f},
              rows);
      Finish();
      const auto bytes = y.Download();
      const auto after = device_x.Download();
      digest.Add(bytes);
      std::vector<float> actual, residual;
      std::vector<double> expected, expected_residual;
      for (int row = 0; row < rows; ++row) {
        const int from = variant == 2 ? chosen[static_cast<size_t>(row)] : row;
        std::vector<double> sum(static_cast<size_t>(width));
        double squares = 0;
        for (int i = 0; i < width; ++i) {
          for (int s = 0; s < segments; ++s) {
            sum[static_cast<size_t>(i)] += partials[static_cast<size_t>((s * kBucket + from) * width + i)];
          }
          squares += sum[static_cast<size_t>(i)] * sum[static_cast<size_t>(i)];
        }
        const double post_root = 1 / std::sqrt(squares / width + 1e-5);
        squares = 0;
        for (int i = 0; i < width; ++i) {
          double& value = sum[static_cast<size_t>(i)];
          value = x[static_cast<size_t>(from * width + i)] + (variant == 1 ? value * post_root * post[static_cast<size_t>(i)] : value);
          squares += value * value;
        }
        const double root = 1 / std::sqrt(squares / width + 1e-5);
        auto values = UnpackRow(bytes, row, width, tiles, parts > 0);
        if (parts == 2) {
          const auto rest = UnpackRow(bytes, kBucket + row, width, tiles, true);
          std::transform(values.begin(), values.end(), rest.begin(), values.begin(), std::plus<float>());
        }
        for (int i = 0; i < width; ++i) {
          actual.push_back(values[static_cast<size_t>(i)]);
          expected.push_back(variant == 3 ? sum[static_cast<size_t>(i)] : sum[static_cast<size_t>(i)] * root * gain[static_cast<size_t>(i)]);
          residual.push_back(after[static_cast<size_t>(from * width + i)]);
          expected_residual.push_back(variant == 2 ? x[static_cast<size_t>(from * width + i)] : sum[static_cast<size_t>(i)]);
        }
      }
      CHECK_ERROR("rms_norm " + std::to_string(variant), actual, expected, parts == 2 ? 6e-6 : 3e-3);
      CHECK_ERROR("rms_norm, residual " + std::to_string(variant), residual, expected_residual, 1e-6);
    }
  }
}

inline void RopeAppendConformance(Format kv, Digest& digest) {
  constexpr int kRows = 5, kBucket = 8, kHeads = 6, kKvHeads = 2, kSegments = 2, kCacheRows = 3 * kPageRows;
  const int parts = KvParts(kv);
  for (const int head_width : {40, 128}) {
    const int width = head_width <= 64 ? 64 : 128, rotated = head_width == 40 ? 24 : 128, all = kHeads + 2 * kKvHeads, wide = all * head_width;
    check::Random random(static_cast<uint64_t>(head_width));
    const auto partials = random.Floats(kSegments * kBucket * wide), bias = random.Floats(wide), q_gain = random.Floats(head_width), k_gain = random.Floats(head_width);
    const std::vector<int32_t> positions = {2, 0, 6, -1, 6};  // the fourth row only fills a bucket
    std::vector<float> cos, sin;
    for (int i = 0; i < 7 * rotated / 2; ++i) {
      cos.push_back(std::cos(static_cast<float>(i)));
      sin.push_back(std::sin(static_cast<float>(i)));
    }
    const std::vector<int32_t> kv_rows = {130, 3, 64, 191, 17};
    const DeviceArray<float> device_partials(partials), device_bias(bias), device_q_gain(q_gain), device_k_gain(k_gain), device_cos(cos), device_sin(sin);
    const DeviceArray<int32_t> device_kv_rows(kv_rows), device_positions(positions);
    DeviceArray<uint16_t> q(static_cast<size_t>(kRows * kHeads * parts * width));
    DeviceArray<uint8_t> keys(static_cast<size_t>(kCacheRows * kKvHeads * parts * width * 2)), values(keys.size());
    keys.Fill(0);
    values.Fill(0);
    RopeAppend({device_partials.data(), device_bias.data(), device_q_gain.data(), device_k_gain.data(), device_cos.data(), device_sin.data(), device_positions.data(), device_kv_rows.data(), q.data(), keys.data(), values.data(),
                kSegments, kBucket, kHeads, kKvHeads, head_width, width, rotated, parts, 1e-5f},
               kRows);
    Finish();
    const auto q_bits = q.Download();
    const auto key_bytes = keys.Download(), value_bytes = values.Download();
    digest.Add(q_bits);
    digest.Add(key_bytes);
    std::vector<float> actual;
    std::vector<double> expected;
    for (int row = 0; row < kRows; ++row) {
      for (int head = 0; head < all; ++head) {
        const bool is_value = head >= kHeads + kKvHeads, is_key = head >= kHeads && !is_value;
        std::vector<double> v(static_cast<size_t>(head_width));
        double squares = 0;
        for (int i = 0; i < head_width; ++i) {
          double& number = v[static_cast<size_t>(i)];
          number = bias[static_cast<size_t>(head * head_width + i)];
          for (int s = 0; s < kSegments; ++s) {
            number += partials[static_cast<size_t>((s * kBucket + row) * wide + head * head_width + i)];
          }
          squares += number * number;
        }
        if (!is_value) {
          const auto before = [&] {
            std::vector<double> normed = v;
            for (int i = 0; i < head_width; ++i) {
              normed[static_cast<size_t>(i)] *= (is_key ? k_gain : q_gain)[static_cast<size_t>(i)] / std::sqrt(squares / head_width + 1e-5);
            }
            return normed;
          }();
          v = before;
          for (int i = 0; i < rotated / 2; ++i) {
            const size_t angle = static_cast<size_t>(std::max(0, positions[static_cast<size_t>(row)]) * rotated / 2 + i);
            const double c = cos[angle], s = sin[angle];
            const size_t low = static_cast<size_t>(i), high = static_cast<size_t>(i + rotated / 2);
            v[low] = before[low] * c - before[high] * s;
            v[high] = before[high] * c + before[low] * s;
          }
        }
        for (int i = 0; i < width; ++i) {
          float sum = 0;
          for (int part = 0; part < parts; ++part) {
            uint16_t bits;
            if (head < kHeads) {
              bits = q_bits[static_cast<size_t>(((row * kHeads + head) * parts + part) * width + i)];
            } else {
              const int64_t piece = KvPiece(kv_rows[static_cast<size_t>(row)], (head - kHeads) % kKvHeads, part * width / 8 + i / 8, kKvHeads, parts * width);
              std::memcpy(&bits, (is_key ? key_bytes : value_bytes).data() + piece * 16 + i % 8 * 2, 2);
            }
            sum += FromBits(bits, true);
          }
          actual.push_back(sum);
          expected.push_back(i < head_width ? v[static_cast<size_t>(i)] : 0);
        }
      }
    }
    CHECK_ERROR("rope_append " + std::to_string(head_width) + ", " + Name(kv), actual, expected, kv == Format::kF32 ? 6e-6 : 3e-3);
  }
}

/// Every epilogue, in place and into chosen rows, with and without a norm.
inline void FinishRowsConformance(Digest& digest) {
  constexpr int kRows = 11, kBucket = 16, kSegments = 4;
  for (const int width : {72, 2080, 301, 25000, 25001}) {  // the last are too wide for shared memory, or no multiple of four
    check::Random random(static_cast<uint64_t>(width) + 50);
    const auto x = random.Floats(kRows * width, 3), partials = random.Floats(kSegments * kBucket * 2 * width), bias = random.Floats(2 * width), gain = random.Floats(width);
    const std::vector<int32_t> chosen = {7, 0, 10};
    struct Case {
      int epilogue, segments;
      bool has_x, has_bias, norms, chooses;
    };
    for (const Case& c : {Case{kAdd, kSegments, true, true, false, false}, Case{kStore, kSegments, false, true, false, false}, Case{kAddSilu, kSegments, true, true, false, false},
                          Case{kSwiGlu, kSegments, false, true, false, false}, Case{kStore, 0, true, false, true, false}, Case{kStore, kSegments, true, false, true, true},
                          Case{kStore, 0, true, false, false, true}}) {
      const bool is_shared = c.norms || c.chooses;
      if (is_shared && width != 72 && width != 2080) {
        continue;
      }
      const std::string what = "finish_rows " + std::to_string(c.epilogue) + (c.norms ? ", norm" : "") + (c.chooses ? ", chosen rows" : "");
      const int rows = c.chooses ? 3 : kRows, of_product = c.epilogue == kSwiGlu ? 2 * width : width;
      const DeviceArray<float> device_x(x), device_partials(partials), device_bias(bias), device_gain(gain), separate(static_cast<size_t>(rows * width));
      const DeviceArray<int32_t> device_chosen(chosen);
      const bool in_place = c.has_x && !c.chooses;
      const DeviceArray<float>& y = in_place ? device_x : separate;
      Launch(finish_rows, rows, is_shared ? 1 : FinishBlocks(width), NormThreads(width), is_shared ? NormBytes(width) : 0,
             FinishRowsArguments{c.has_x ? device_x.data() : nullptr, device_partials.data(), c.has_bias ? device_bias.data() : nullptr, c.norms ? device_gain.data() : nullptr,
                                 c.chooses ? device_chosen.data() : nullptr, y.data(), c.segments, kBucket, width, c.epilogue, 1e-5f});
      Finish();
      const auto actual = y.Download();
      digest.Add(actual);
      std::vector<double> expected;
      for (int row = 0; row < rows; ++row) {
        const int from = c.chooses ? chosen[static_cast<size_t>(row)] : row;
        auto product = [&](int i) {
          double sum = c.has_bias ? bias[static_cast<size_t>(i)] : 0;
          for (int s = 0; s < c.segments; ++s) {
            sum += partials[static_cast<size_t>((s * kBucket + from) * of_product + i)];
          }
          return sum;
        };
        auto silu = [](double v) { return v / (1 + std::exp(-v)); };
        double squares = 0;
        for (int i = 0; i < width; ++i) {
          const double base = c.has_x ? x[static_cast<size_t>(from * width + i)] : 0;
          expected.push_back(c.epilogue == kSwiGlu ? silu(product(i)) * product(width + i) : base + (c.epilogue == kAddSilu ? silu(product(i)) : product(i)));
          squares += expected.back() * expected.back();
        }
        for (int i = 0; c.norms && i < width; ++i) {
          expected[static_cast<size_t>(row * width + i)] *= gain[static_cast<size_t>(i)] / std::sqrt(squares / width + 1e-5);
        }
      }
      CHECK_ERROR(what, actual, expected, 1e-6);
    }
  }
}

/// width: of a row of one KV head, all its parts.
inline void MoveConformance(int width) {
  constexpr int kKvHeads = 3, kRows = 2 * kPageRows;
  check::Random random(4);
  std::vector<uint16_t> plane(static_cast<size_t>(kRows * kKvHeads * width));
  for (uint16_t& bits : plane) {
    bits = static_cast<uint16_t>(random.Next());
  }
  // 70 is read before it is overwritten, 20 after; the other lists, more than there are blocks for, have one move each, and nothing to do with it.
  std::vector<KvMove> moves = {{70, 20}, {90, 21}, {71, 70}, {20, 127}};
  std::vector<RowList> lists = {{0, 4}};
  for (int i = 0; i < 2 * kMoveBlocks + 1; ++i) {
    lists.push_back({static_cast<int>(moves.size()), i % 5 == 3 ? 0 : 1});
    moves.push_back({100 - i, 30 + i});
  }
  const DeviceArray<KvMove> device_moves(moves);
  const DeviceArray<int32_t> list_count(std::vector<int32_t>{static_cast<int>(lists.size())});
  const DeviceArray<RowList> device_lists(lists);
  for (const bool all : {false, true}) {
    const DeviceArray<uint16_t> first(plane), second(plane);
    const DeviceArray<uint8_t*> planes(std::vector<uint8_t*>{reinterpret_cast<uint8_t*>(first.data()), reinterpret_cast<uint8_t*>(second.data())});
    Launch(move_kv_rows, 2, all ? kMoveBlocks : 1, 256, 0,
           MoveKvRowsArguments{planes.data(), device_moves.data(), device_lists.data(), all ? list_count.data() : nullptr, kKvHeads, width});
    Finish();
    auto expected = plane;
    for (size_t list = 0; list < (all ? lists.size() : 1); ++list) {
      for (int i = lists[list].first; i < lists[list].first + lists[list].count; ++i) {
        const auto [source, target] = moves[static_cast<size_t>(i)];
        for (int j = 0; j < kKvHeads * width / 8; ++j) {
          std::memcpy(&expected[static_cast<size_t>(KvPiece(target, j % kKvHeads, j / kKvHeads, kKvHeads, width) * 8)],
                      &expected[static_cast<size_t>(KvPiece(source, j % kKvHeads, j / kKvHeads, kKvHeads, width) * 8)], 16);
        }
      }
    }
    CHECK_SAME("move_kv_rows", first.Download(), expected);
    CHECK_SAME("move_kv_rows, second plane", second.Download(), expected);
  }
}

}  // namespace nativespec::cuda
