// The few things that the native tests share: a check that says what failed, random numbers from a seed, and the levels to run on.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "../nativespec.h"

namespace check {

inline int failures = 0;

inline void Fail(const char* file, int line, const std::string& what) {
  std::printf("%s:%d: %s\n", file, line, what.c_str());
  ++failures;
}

#define CHECK(condition)                                  \
  do {                                                    \
    if (!(condition)) {                                   \
      check::Fail(__FILE__, __LINE__, "not " #condition); \
    }                                                     \
  } while (false)

#define CHECK_OK(call)                                                                 \
  do {                                                                                 \
    if ((call) != NS_OK) {                                                             \
      check::Fail(__FILE__, __LINE__, std::string(#call ": ") + ns_last_error());      \
      std::exit(1);                                                                    \
    }                                                                                  \
  } while (false)

/// SplitMix64 (Steele et al., 2014): the same seed gives the same numbers everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  int64_t Below(int64_t limit) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(limit)); }
  float Float(float amplitude = 1) { return (static_cast<float>(Next() >> 40) / 8388608.0f - 1) * amplitude; }

  std::vector<float> Floats(int64_t count, float amplitude = 1) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) {
      value = Float(amplitude);
    }
    return values;
  }

 private:
  uint64_t state_;
};

/// The largest difference is within tolerance of the largest expected magnitude.
inline void Close(const char* file, int line, const std::string& what, const std::vector<float>& actual, const std::vector<double>& expected,
                  double tolerance) {
  double scale = 0, worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    scale = std::fmax(scale, std::fabs(expected[i]));
    const double off = std::fabs(actual[i] - expected[i]);
    worst = off <= worst ? worst : off;  // what is not a number is the worst
  }
  if (!(worst <= tolerance * scale)) {
    Fail(file, line, what + ": largest error " + std::to_string(worst) + " at scale " + std::to_string(scale));
  }
}

#define CHECK_CLOSE(what, actual, expected, tolerance) check::Close(__FILE__, __LINE__, what, actual, expected, tolerance)

/// Runs a test on every level of this processor, with one thread and with three.
inline void OnEveryLevel(const std::function<void(ns_backend*, const std::string&)>& test) {
  for (int32_t level = 0; ns_level_name(level) != nullptr; ++level) {
    if (ns_level_runs(level) == 0) {
      std::printf("%s does not run here\n", ns_level_name(level));
      continue;
    }
    for (const int32_t threads : {1, 3}) {
      ns_backend* backend;
      CHECK_OK(ns_backend_create(threads, level, &backend));
      test(backend, ns_level_name(level));
      ns_backend_destroy(backend);
    }
  }
}

/// A matrix in an element type, and the numbers it really holds.
struct Matrix {
  Matrix(int32_t element_type, int64_t rows, int64_t columns, const std::vector<float>& values) : type(element_type), exact(values) {
    part = {nullptr, rows, type, 0};
    bytes.resize(values.size() * (type == NS_F32 ? 4 : 2));
    for (size_t i = 0; i < values.size(); ++i) {
      Set(i, values[i]);
    }
    part.data = bytes.data();
    in = columns;
  }
  Matrix(const Matrix&) = delete;

  int32_t type;
  int64_t in = 0;
  std::vector<float> exact;
  std::vector<uint8_t> bytes;
  ns_part part;

 private:
  void Set(size_t i, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (type == NS_F32) {
      std::memcpy(&bytes[i * 4], &value, 4);
      return;
    }

    uint16_t half;
    if (type == NS_BF16) {
      bits = (bits + 0x8000u) & 0xFFFF0000u;
      half = static_cast<uint16_t>(bits >> 16);
    } else {
      // Cut to the ten bits a binary16 has; the values of these tests lie in its normal range, or are zero.
      bits &= 0xFFFFE000u;
      half = static_cast<uint16_t>((bits >> 16 & 0x8000u) | ((bits & 0x7FFFFFFFu) == 0 ? 0 : ((bits >> 13) & 0x3FFFFu) - 0x1C000u));
      if ((bits & 0x7FFFFFFFu) < 0x38800000u) {
        half = 0;
        bits = 0;
      }
    }
    std::memcpy(&bytes[i * 2], &half, 2);
    std::memcpy(&exact[i], &bits, 4);
  }
};

inline int Result() {
  std::printf(failures == 0 ? "passed\n" : "%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace check
