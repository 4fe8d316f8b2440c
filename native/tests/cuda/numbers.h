// What the tests of kernels share: numbers of 16 bits, packed rows, matrices of every format, errors against float64.
#pragma once

#include <cstring>

#include "forward.h"

namespace nativespec::cuda {

/// Cases that would take the emulator minutes.
inline bool large_cases = false;
/// Whether sums that take the processor long are made in float64 too. Where all bits must be those of a run in which they were, they need not be.
inline bool against_float64 = true;

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

}  // namespace nativespec::cuda
