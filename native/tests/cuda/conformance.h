// What every kernel must do: results against float64, the same bits for a row alone and in any company, trees as chains. Runs on the emulator and
// on a part; sizes follow what each can do in time.
#pragma once

#include <cstring>
#include <map>

#include "forward.h"

namespace nativespec::cuda {

/// Cases that would take the emulator minutes.
inline bool large_cases = false;

/// All bits that were looked at, so that two parts can be compared.
struct Digest {
  uint64_t value = 0xcbf29ce484222325u;
  template <class T>
  void Add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
    for (size_t i = 0; i < values.size() * sizeof(T); ++i) {
      value = (value ^ bytes[i]) * 0x100000001b3u;
    }
  }
};

inline float HostBF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint16_t BitsBF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float HostF16(float value) {  // normal numbers and zero: what these tests use
  if (std::fabs(value) < 6.2e-5f) {
    return 0;
  }
  int exponent;
  const double significand = std::frexp(static_cast<double>(value), &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(significand, 11)), exponent - 11));
}
inline uint16_t BitsF16(float value) {
  value = HostF16(value);
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return value == 0 ? 0 : static_cast<uint16_t>((bits >> 16 & 0x8000u) | (((bits >> 13) & 0x3ffffu) - 0x1c000u));
}
inline float FromBits(uint16_t bits, bool bf16) {
  uint32_t word = static_cast<uint32_t>(bits) << 16;
  if (!bf16) {
    const uint32_t magnitude = bits & 0x7fffu;
    if (magnitude < 0x400) {
      return std::ldexp(static_cast<float>(magnitude), -24) * ((bits & 0x8000u) != 0 ? -1.0f : 1.0f);
    }
    word = (bits & 0x8000u) << 16 | ((magnitude << 13) + 0x38000000u);
  }
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

/// x [rows, in] as the kernels read it, row r at place (r + shift) of the bucket; other places hold rows of other numbers.
inline std::vector<uint16_t> PackRows(const std::vector<float>& x, int rows, int in, int bucket, int shift, bool bf16) {
  std::vector<uint16_t> packed(static_cast<size_t>(ActivationBytes(in, bucket / 8) / 2), 0);
  check::Random random(99);
  for (int place = 0; place < bucket; ++place) {
    const int row = place - shift;
    for (int column = 0; column < in; ++column) {
      const float value = row >= 0 && row < rows ? x[static_cast<size_t>(row) * static_cast<size_t>(in) + static_cast<size_t>(column)] : random.Float(100);
      packed[static_cast<size_t>(ActivationPiece(place, column, bucket / 8) * 8 + column % 8)] = bf16 ? BitsBF16(value) : BitsF16(value);
    }
  }
  return packed;
}
inline std::vector<float> UnpackRow(const std::vector<uint8_t>& packed, int row, int columns, int tiles, bool bf16) {
  std::vector<float> values;
  for (int column = 0; column < columns; ++column) {
    uint16_t bits;
    std::memcpy(&bits, packed.data() + ActivationPiece(row, column, tiles) * 16 + column % 8 * 2, 2);
    values.push_back(FromBits(bits, bf16));
  }
  return values;
}

/// A matrix in a format, and the numbers the kernels see.
struct TestMatrix {
  std::vector<uint8_t> source;
  std::vector<float> exact;  // [out, in]

  TestMatrix(Format format, int out, int in, uint64_t seed) : exact(static_cast<size_t>(out) * static_cast<size_t>(in)) {
    check::Random random(seed);
    if (format == Format::kQ8 || format == Format::kQ4) {
      const int bits = format == Format::kQ8 ? 8 : 4, offset = bits == 8 ? 128 : 8, block = bits == 8 ? 64 : 32;
      const int supers = (in + 127) / 128, panels = (out + 31) / 32, scale_bytes = 128 / block * 64, super_bytes = scale_bytes + 128 * 32 * bits / 8;
      source.resize(static_cast<size_t>(panels) * static_cast<size_t>(supers) * static_cast<size_t>(super_bytes));
      for (int o = 0; o < panels * 32; ++o) {
        for (int i = 0; i < supers * 128; ++i) {
          uint8_t* super = source.data() + (static_cast<size_t>(o / 32) * static_cast<size_t>(supers) + static_cast<size_t>(i / 128)) * static_cast<size_t>(super_bytes);
          const int inner = i % 128, group = inner / 4, output = o % 32;
          uint16_t scale;
          uint8_t* its_scale = super + (inner / block * 32 + output) * 2;
          if (inner % block == 0) {
            scale = BitsF16(0.02f * (1 + random.Float(0.5f)));
            std::memcpy(its_scale, &scale, 2);
          }
          std::memcpy(&scale, its_scale, 2);
          const int q = bits == 8 ? 1 + static_cast<int>(random.Below(255)) : static_cast<int>(random.Below(16));
          uint8_t* data = super + scale_bytes;
          if (bits == 8) {
            data[(group * 32 + output) * 4 + inner % 4] = static_cast<uint8_t>(q);
          } else {
            uint8_t& both = data[(group / 2 * 32 + output) * 4 + inner % 4];
            both = static_cast<uint8_t>(group % 2 == 0 ? (both & 0xf0) | q : (both & 15) | q << 4);
          }
          if (o < out && i < in) {
            exact[static_cast<size_t>(o) * static_cast<size_t>(in) + static_cast<size_t>(i)] = HostF16(static_cast<float>(q - offset) * FromBits(scale, false));
          }
        }
      }
      return;
    }
    source.resize(exact.size() * (format == Format::kF32 ? 4 : 2));
    for (size_t i = 0; i < exact.size(); ++i) {
      const float value = random.Float(0.5f);
      if (format == Format::kF32) {
        std::memcpy(&source[i * 4], &value, 4);
        exact[i] = HostBF16(value) + HostBF16(value - HostBF16(value));
      } else {
        const uint16_t bits = format == Format::kBF16 ? BitsBF16(value) : BitsF16(value);
        std::memcpy(&source[i * 2], &bits, 2);
        exact[i] = FromBits(bits, format == Format::kBF16);
      }
    }
  }
};

/// ‖actual − expected‖ / ‖expected‖; what is not a number counts as 1e30.
inline double RelativeError(const std::vector<float>& actual, const std::vector<double>& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double off = actual[i] - expected[i];
    error += off == off ? off * off : 1e30;
    norm += expected[i] * expected[i];
  }
  return std::sqrt(error / norm);
}

#define CHECK_ERROR(what, actual, expected, most)                                                                             \
  do {                                                                                                                        \
    const double error_ = RelativeError(actual, expected);                                                                    \
    if (!(error_ <= (most))) {                                                                                                \
      check::Fail(__FILE__, __LINE__, std::string(what) + ": error " + std::to_string(error_ * 1e6) + "e-6, most " + #most); \
    }                                                                                                                         \
  } while (false)
#define CHECK_SAME(what, a, b)                                                                     \
  do {                                                                                             \
    if (std::memcmp((a).data(), (b).data(), (b).size() * sizeof((b)[0])) != 0 || (a).size() != (b).size()) { \
      check::Fail(__FILE__, __LINE__, std::string(what) + ": bits differ");                        \
    }                                                                                              \
  } while (false)

/// Segments summed left to right, as the kernels behind do.
inline std::vector<float> SumSegments(const std::vector<float>& partials, int segments, int bucket, int out) {
  std::vector<float> sums(partials.begin(), partials.begin() + static_cast<int64_t>(bucket) * out);
  for (size_t i = 0; i < sums.size(); ++i) {
    for (int s = 1; s < segments; ++s) {
      sums[i] += partials[static_cast<size_t>(s) * sums.size() + i];
    }
  }
  return sums;
}

inline void MatMulConformance(Format format, int out, int in, Digest& digest) {
  const std::string what = std::string("matmul ") + Name(format) + " " + std::to_string(out) + "x" + std::to_string(in);
  const bool bf16 = Sizes(format).bf16;
  const TestMatrix matrix(format, out, in, 5);
  const DeviceArray<uint8_t> source(matrix.source);
  Weight weight(format, out, in, false);
  weight.Pack(source.data(), format);
  constexpr int kRows = 64;
  check::Random random(6);
  std::vector<float> x = random.Floats(static_cast<int64_t>(kRows) * in, 2);
  for (float& value : x) {
    value = bf16 ? HostBF16(value) : HostF16(value);
  }
  constexpr int kExact = 8;  // rows that are compared with float64; the others are with these by their bits
  std::vector<double> expected(static_cast<size_t>(kExact) * static_cast<size_t>(out));
  for (int row = 0; row < kExact; ++row) {
    for (int o = 0; o < out; ++o) {
      double sum = 0;
      for (int i = 0; i < in; ++i) {
        sum += static_cast<double>(matrix.exact[static_cast<size_t>(o) * static_cast<size_t>(in) + static_cast<size_t>(i)]) * x[static_cast<size_t>(row) * static_cast<size_t>(in) + static_cast<size_t>(i)];
      }
      expected[static_cast<size_t>(row) * static_cast<size_t>(out) + static_cast<size_t>(o)] = sum;
    }
  }

  auto run = [&](const std::vector<float>& rows, int count, int bucket, int shift) {
    const DeviceArray<uint16_t> packed(PackRows(rows, count, in, bucket, shift, bf16));
    const DeviceArray<float> y(static_cast<size_t>(weight.segments) * static_cast<size_t>(bucket) * static_cast<size_t>(out));
    MatMul(weight, bucket, reinterpret_cast<const uint8_t*>(packed.data()), y.data());
    Finish();
    const auto sums = SumSegments(y.Download(), weight.segments, bucket, out);
    return std::vector<float>(sums.begin() + static_cast<int64_t>(shift) * out, sums.begin() + static_cast<int64_t>(shift + count) * out);
  };
  const std::vector<float> all = run(x, kRows, 64, 0);
  digest.Add(all);
  CHECK_ERROR(what, all, expected, 2e-5);
  struct Case {
    int row, bucket, place;
  };
  for (const Case& c : {Case{0, 8, 0}, Case{63, 8, 3}, Case{17, 16, 9}, Case{30, 32, 31}, Case{5, 64, 62}}) {
    const std::vector<float> row(x.begin() + static_cast<int64_t>(c.row) * in, x.begin() + static_cast<int64_t>(c.row + 1) * in);
    const std::vector<float> among(all.begin() + static_cast<int64_t>(c.row) * out, all.begin() + static_cast<int64_t>(c.row + 1) * out);
    CHECK_SAME(what + ", row " + std::to_string(c.row) + " in a bucket of " + std::to_string(c.bucket), run(row, 1, c.bucket, c.place), among);
  }
}

/// Gate and up in turns with SwiGLU: y = silu(gate) · up.
inline void SwiGluConformance(Format format, int hidden, int in, Digest& digest) {
  const std::string what = std::string("swiglu ") + Name(format);
  const bool bf16 = Sizes(format).bf16;
  const TestMatrix matrix(format, 2 * hidden, in, 7);
  const DeviceArray<uint8_t> source(matrix.source);
  Weight weight(format, 2 * hidden, in, true);
  weight.Pack(source.data(), format);
  constexpr int kRows = 16;
  check::Random random(8);
  std::vector<float> x = random.Floats(static_cast<int64_t>(kRows) * in, 1);
  for (float& value : x) {
    value = bf16 ? HostBF16(value) : HostF16(value);
  }
  const DeviceArray<uint16_t> packed(PackRows(x, kRows, in, kRows, 0, bf16));
  DeviceArray<uint8_t> y(static_cast<size_t>(ActivationBytes(hidden, kRows / 8)));
  y.Fill(0);
  MatMul(weight, kRows, reinterpret_cast<const uint8_t*>(packed.data()), y.data(), 0.25f);
  Finish();
  const auto bytes = y.Download();
  digest.Add(bytes);
  std::vector<float> actual;
  std::vector<double> expected;
  for (int row = 0; row < kRows; ++row) {
    const auto values = UnpackRow(bytes, row, hidden, kRows / 8, bf16);
    actual.insert(actual.end(), values.begin(), values.end());
    for (int o = 0; o < hidden; ++o) {
      double sums[2] = {};
      for (int part = 0; part < 2; ++part) {
        for (int i = 0; i < in; ++i) {
          sums[part] += static_cast<double>(matrix.exact[static_cast<size_t>(o + part * hidden) * static_cast<size_t>(in) + static_cast<size_t>(i)]) * x[static_cast<size_t>(row) * static_cast<size_t>(in) + static_cast<size_t>(i)];
        }
      }
      expected.push_back(sums[0] / (1 + std::exp(-sums[0])) * sums[1] * 0.25);
    }
  }
  CHECK_ERROR(what, actual, expected, 4e-3);
}

inline void RmsNormConformance(Digest& digest) {
  constexpr int kRows = 11, kBucket = 16;
  for (const int width : {72, 2080}) {
    for (const int variant : {0, 1, 2, 3}) {  // plain, after the product, chosen rows, F16 without a gain
      check::Random random(static_cast<uint64_t>(width + variant));
      const int segments = variant == 0 ? 0 : 4;
      const auto x = random.Floats(kRows * width, 3), partials = random.Floats(4 * kBucket * width), post = random.Floats(width), gain = random.Floats(width);
      const std::vector<int32_t> chosen = {7, 0, 10};
      const DeviceArray<float> device_x(x), device_partials(partials), device_post(post), device_gain(gain);
      const DeviceArray<int32_t> device_chosen(chosen);
      DeviceArray<uint8_t> y(static_cast<size_t>(ActivationBytes(width, 2)));
      y.Fill(0);
      const bool bf16 = variant != 3;
      const int rows = variant == 2 ? 3 : kRows;
      RmsNorm({device_x.data(), device_partials.data(), variant == 1 ? device_post.data() : nullptr, variant == 3 ? nullptr : device_gain.data(),
               variant == 2 ? device_chosen.data() : nullptr, y.data(), segments, kBucket, 2, width, bf16, 1e-5f},
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
        const auto values = UnpackRow(bytes, row, width, 2, bf16);
        for (int i = 0; i < width; ++i) {
          actual.push_back(values[static_cast<size_t>(i)]);
          expected.push_back(variant == 3 ? sum[static_cast<size_t>(i)] : sum[static_cast<size_t>(i)] * root * gain[static_cast<size_t>(i)]);
          residual.push_back(after[static_cast<size_t>(from * width + i)]);
          expected_residual.push_back(variant == 2 ? x[static_cast<size_t>(from * width + i)] : sum[static_cast<size_t>(i)]);
        }
      }
      CHECK_ERROR("rms_norm " + std::to_string(variant), actual, expected, 3e-3);
      CHECK_ERROR("rms_norm, residual " + std::to_string(variant), residual, expected_residual, 1e-6);
    }
  }
}

inline void RopeAppendConformance(Digest& digest) {
  constexpr int kRows = 5, kBucket = 8, kHeads = 6, kKvHeads = 2, kSegments = 2, kCacheRows = 3 * kPageRows;
  for (const int head_width : {40, 128}) {
    const int width = head_width <= 64 ? 64 : 128, rotated = head_width == 40 ? 24 : 128, all = kHeads + 2 * kKvHeads, wide = all * head_width;
    check::Random random(static_cast<uint64_t>(head_width));
    const auto partials = random.Floats(kSegments * kBucket * wide), bias = random.Floats(wide), q_gain = random.Floats(head_width), k_gain = random.Floats(head_width);
    std::vector<float> cos, sin;
    for (int i = 0; i < kRows * rotated / 2; ++i) {
      cos.push_back(std::cos(static_cast<float>(i)));
      sin.push_back(std::sin(static_cast<float>(i)));
    }
    const std::vector<int32_t> kv_rows = {130, 3, 64, 191, 17};
    const DeviceArray<float> device_partials(partials), device_bias(bias), device_q_gain(q_gain), device_k_gain(k_gain), device_cos(cos), device_sin(sin);
    const DeviceArray<int32_t> device_kv_rows(kv_rows);
    DeviceArray<uint16_t> q(static_cast<size_t>(kRows * kHeads * width));
    DeviceArray<uint8_t> keys(static_cast<size_t>(kCacheRows * kKvHeads * width * 2)), values(keys.size());
    keys.Fill(0);
    values.Fill(0);
    RopeAppend({device_partials.data(), device_bias.data(), device_q_gain.data(), device_k_gain.data(), device_cos.data(), device_sin.data(), device_kv_rows.data(), q.data(), keys.data(), values.data(),
                kSegments, kBucket, kHeads, kKvHeads, head_width, width, rotated, 1e-5f},
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
            const double c = cos[static_cast<size_t>(row * rotated / 2 + i)], s = sin[static_cast<size_t>(row * rotated / 2 + i)];
            const size_t low = static_cast<size_t>(i), high = static_cast<size_t>(i + rotated / 2);
            v[low] = before[low] * c - before[high] * s;
            v[high] = before[high] * c + before[low] * s;
          }
        }
        for (int i = 0; i < width; ++i) {
          uint16_t bits;
          if (head < kHeads) {
            bits = q_bits[static_cast<size_t>((row * kHeads + head) * width + i)];
          } else {
            const int64_t piece = KvPiece(kv_rows[static_cast<size_t>(row)], (head - kHeads) % kKvHeads, i / 8, kKvHeads, width);
            std::memcpy(&bits, (is_key ? key_bytes : value_bytes).data() + piece * 16 + i % 8 * 2, 2);
          }
          actual.push_back(FromBits(bits, true));
          expected.push_back(i < head_width ? v[static_cast<size_t>(i)] : 0);
        }
      }
    }
    CHECK_ERROR("rope_append " + std::to_string(head_width), actual, expected, 3e-3);
  }
}

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

inline void ChooseConformance(Digest& digest) {
  constexpr int kRows = 4, kVocabulary = 9000;
  check::Random random(3);
  auto logits = random.Floats(kRows * kVocabulary, 5);
  logits[17] = logits[8000] = 7;                // a tie goes to the lowest id
  logits[kVocabulary + 5] = NAN;                // and what is not a number to nobody
  std::vector<float> inverse_temperature = {0, 0, 1, 1}, floor = {0, 0, 4.9f, -100};
  const DeviceArray<float> device_logits(logits), device_inverse(inverse_temperature), device_floor(floor);
  const DeviceArray<uint64_t> seeds(std::vector<uint64_t>{1, 2, 3, 4});
  const DeviceArray<int32_t> positions(std::vector<int32_t>{10, 11, 12, 13});
  DeviceArray<uint64_t> best(kRows);
  best.Fill(0);
  Launch(choose, (kVocabulary + kChoosePiece - 1) / kChoosePiece, kRows, 256, 0,
         ChooseArguments{device_logits.data(), device_inverse.data(), device_floor.data(), seeds.data(), positions.data(), best.data(), kVocabulary});
  Finish();
  const auto ranks = best.Download();
  auto chosen = [&](int row) { return static_cast<int>(~static_cast<uint32_t>(ranks[static_cast<size_t>(row)])); };
  CHECK(chosen(0) == 17);
  int highest = 0;
  for (int id = 0; id < kVocabulary; ++id) {
    highest = logits[static_cast<size_t>(kVocabulary + id)] > logits[static_cast<size_t>(kVocabulary + highest)] ? id : highest;
  }
  CHECK(chosen(1) == highest);
  CHECK(logits[static_cast<size_t>(2 * kVocabulary + chosen(2))] >= 4.9f);
  digest.Add(std::vector<int>{chosen(0), chosen(1)});

  // Draws of 2000 seeds over three ids follow their distribution: 0.6652, 0.2447, 0.0900.
  constexpr int kDraws = 2000;
  const std::vector<float> three = {2, 1, 0};
  std::vector<float> many, ones(kDraws, 1), none(kDraws, -100);
  std::vector<uint64_t> many_seeds;
  std::vector<int32_t> same_position(kDraws, 5);
  for (int i = 0; i < kDraws; ++i) {
    many.insert(many.end(), three.begin(), three.end());
    many_seeds.push_back(random.Next());
  }
  const DeviceArray<float> device_many(many), device_ones(ones), device_none(none);
  const DeviceArray<uint64_t> device_seeds(many_seeds);
  const DeviceArray<int32_t> device_positions(same_position);
  DeviceArray<uint64_t> draws(kDraws);
  draws.Fill(0);
  Launch(choose, 1, kDraws, 256, 0, ChooseArguments{device_many.data(), device_ones.data(), device_none.data(), device_seeds.data(), device_positions.data(), draws.data(), 3});
  Finish();
  int counts[3] = {};
  for (const uint64_t rank : draws.Download()) {
    ++counts[std::min(2u, ~static_cast<uint32_t>(rank))];
  }
  const double expected[3] = {0.66524, 0.24473, 0.09003};
  for (int id = 0; id < 3; ++id) {
    CHECK(std::fabs(counts[id] - expected[id] * kDraws) < 4.5 * std::sqrt(kDraws * expected[id] * (1 - expected[id])));
  }
}

inline void MoveConformance() {
  constexpr int kKvHeads = 3, kWidth = 64, kRows = 2 * kPageRows, kNumbers = kRows * kKvHeads * kWidth;
  check::Random random(4);
  std::vector<uint16_t> plane(kNumbers);
  for (uint16_t& bits : plane) {
    bits = static_cast<uint16_t>(random.Next());
  }
  const std::vector<int32_t> from = {70, 90, 71, 20}, to = {20, 21, 70, 127};  // 70 is read before it is overwritten, 20 after
  const DeviceArray<uint16_t> first(plane), second(plane);
  const DeviceArray<uint8_t*> planes(std::vector<uint8_t*>{reinterpret_cast<uint8_t*>(first.data()), reinterpret_cast<uint8_t*>(second.data())});
  const DeviceArray<int32_t> device_from(from), device_to(to), count(std::vector<int32_t>{4});
  Launch(move_kv_rows, 2, 1, 256, 0, MoveKvRowsArguments{planes.data(), device_from.data(), device_to.data(), count.data(), kKvHeads, kWidth});
  Finish();
  auto expected = plane;
  for (size_t i = 0; i < from.size(); ++i) {
    for (int head = 0; head < kKvHeads; ++head) {
      for (int piece = 0; piece < kWidth / 8; ++piece) {
        std::memcpy(&expected[static_cast<size_t>(KvPiece(to[i], head, piece, kKvHeads, kWidth) * 8)], &expected[static_cast<size_t>(KvPiece(from[i], head, piece, kKvHeads, kWidth) * 8)], 16);
      }
    }
  }
  CHECK_SAME("move_kv_rows", first.Download(), expected);
  CHECK_SAME("move_kv_rows, second plane", second.Download(), expected);
}

/// A whole forward: a tree's rows give the logits of their paths decoded one token at a time, in any bucket.
inline void ForwardConformance(Format format, Digest& digest) {
  const std::string what = std::string("forward ") + Name(format);
  const ModelShape shape = large_cases ? ModelShape{4, 512, 1024, 8, 2, 64, 3000} : ModelShape{2, 128, 192, 4, 2, 32, 300};
  constexpr int kPages = 12;
  const std::vector<int32_t> pages = {3, 1, 7, 0};
  auto slot = [&](int position) { return pages[static_cast<size_t>(position / kPageRows)] * kPageRows + position % kPageRows; };
  Forward forward(shape, format, kPages, 4 * kPageRows, 11);
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
  for (int from = 0; from < kTrunk; from += 32) {
    const int count = std::min(32, kTrunk - from);
    chain(from, count, std::vector<int>(tokens.begin() + from, tokens.begin() + from + count), 32);
  }
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
  forward.ClearBest();
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

/// All tests, or those of one kernel; the digest of what they computed.
inline uint64_t RunConformance(const std::string& only = "") {
  Digest digest;
  auto wanted = [&](const char* what) { return only.empty() || only == what; };
  if (wanted("matmul")) {
    for (const Format format : {Format::kBF16, Format::kF16, Format::kF32, Format::kQ8, Format::kQ4}) {
      MatMulConformance(format, 200, 300, digest);
      if (large_cases) {
        MatMulConformance(format, 1024, 4096, digest);
        MatMulConformance(format, 6144, 4096, digest);
      }
      SwiGluConformance(format, 136, 160, digest);
    }
    MatMulConformance(Format::kQ4, 136, 2100, digest);  // more stages than the ring holds
  }
  if (wanted("rms_norm")) {
    RmsNormConformance(digest);
  }
  if (wanted("rope_append")) {
    RopeAppendConformance(digest);
  }
  if (wanted("tree_attention")) {
    AttentionConformance(4, 1, 64, 275, 9, 0, digest);
    AttentionConformance(6, 2, 128, 130, 24, 0, digest);
    AttentionConformance(4, 2, 64, 300, 40, 90, digest);
    AttentionConformance(2, 2, 64, 0, 5, 0, digest);
    if (large_cases) {
      AttentionConformance(32, 8, 128, 1000, 64, 0, digest);
      AttentionConformance(32, 8, 128, 9300, 64, 0, digest);
      AttentionConformance(28, 4, 128, 2500, 33, 600, digest);
    }
  }
  if (wanted("choose")) {
    ChooseConformance(digest);
  }
  if (wanted("move_kv_rows")) {
    MoveConformance();
  }
  if (wanted("forward")) {
    for (const Format format : {Format::kBF16, Format::kQ8, Format::kQ4}) {
      ForwardConformance(format, digest);
    }
  }
  return digest.value;
}

}  // namespace nativespec::cuda
