// Gemm in every arrangement of its operands on every level against float64, and the contract: a row has the same bits alone and among others.
#include "check.h"

using check::Random;

namespace {

constexpr int64_t kPanel = 64;

/// A matrix somewhere in a larger one, whose other numbers are not to be used.
struct Spread {
  Spread(Random& random, int64_t rows, int64_t columns, int64_t gap) : stride(columns + gap), values(static_cast<size_t>(rows * stride), NAN) {
    for (int64_t i = 0; i < rows * columns; ++i) {
      values[static_cast<size_t>(i / columns * stride + i % columns)] = random.Float();
    }
  }
  int64_t stride;
  std::vector<float> values;
};

/// b in panels of 64 columns, the last one as it comes.
std::vector<float> Panels(const Spread& b, int64_t n, int64_t k) {
  std::vector<float> panels(static_cast<size_t>((n + kPanel - 1) / kPanel * kPanel * k), NAN);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      panels[static_cast<size_t>(j / kPanel * kPanel * k + i * kPanel + j % kPanel)] = b.values[static_cast<size_t>(i * b.stride + j)];
    }
  }
  return panels;
}

void AnyShape(ns_backend* backend, const std::string& level, int64_t m, int64_t n, int64_t k) {
  Random random(7);
  const Spread b(random, k, n, 3);
  const auto panels = Panels(b, n, k);
  for (const bool by_columns : {false, true}) {
    const Spread a(random, by_columns ? k : m, by_columns ? m : k, 5);
    const Spread before(random, m, n, 2);
    for (const bool accumulate : {false, true}) {
      std::vector<double> expected;
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = accumulate ? before.values[static_cast<size_t>(i * before.stride + j)] : 0;
          for (int64_t p = 0; p < k; ++p) {
            sum += double{a.values[static_cast<size_t>(by_columns ? p * a.stride + i : i * a.stride + p)]} *
                   b.values[static_cast<size_t>(p * b.stride + j)];
          }
          expected.push_back(sum);
        }
      }

      auto c = before.values;
      CHECK_OK(ns_gemm(backend, m, n, k, a.values.data(), a.stride, by_columns, b.values.data(), b.stride, kPanel, c.data(), before.stride,
                       accumulate));
      std::vector<float> inside;
      for (int64_t i = 0; i < m; ++i) {
        inside.insert(inside.end(), c.begin() + i * before.stride, c.begin() + i * before.stride + n);
        CHECK(i * before.stride + n == static_cast<int64_t>(c.size()) || std::isnan(c[static_cast<size_t>(i * before.stride + n)]));
      }
      CHECK_CLOSE(level + " " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k), inside, expected, 1e-5);

      auto other = before.values;
      CHECK_OK(ns_gemm(backend, m, n, k, a.values.data(), a.stride, by_columns, panels.data(), kPanel, kPanel * k, other.data(), before.stride,
                       accumulate));
      CHECK(std::memcmp(c.data(), other.data(), c.size() * sizeof(float)) == 0);

      for (int64_t i = 0; i < m; i += 5) {
        auto alone = before.values;
        const float* row = a.values.data() + (by_columns ? i : i * a.stride);
        CHECK_OK(ns_gemm(backend, 1, n, k, row, a.stride, by_columns, b.values.data(), b.stride, kPanel, alone.data() + i * before.stride, before.stride,
                         accumulate));
        CHECK(std::memcmp(c.data() + i * before.stride, alone.data() + i * before.stride, static_cast<size_t>(n) * sizeof(float)) == 0);
      }
    }
  }
}

void WhatCannotBeIsRefused(ns_backend* backend) {
  float a[64] = {}, b[64 * 8] = {}, c[64] = {};
  CHECK(ns_gemm(backend, 8, 8, 8, nullptr, 8, 0, b, 8, kPanel, c, 8, 0) == NS_INVALID_ARGUMENT);
  CHECK(ns_gemm(backend, 0, 8, 8, a, 8, 0, b, 8, kPanel, c, 8, 0) == NS_INVALID_ARGUMENT);
  CHECK(ns_gemm(backend, 8, 8, 8, a, 7, 0, b, 8, kPanel, c, 8, 0) == NS_INVALID_ARGUMENT);
  CHECK(ns_gemm(backend, 8, 8, 8, a, 8, 0, b, 7, kPanel, c, 8, 0) == NS_INVALID_ARGUMENT);
  CHECK(ns_gemm(backend, 8, 8, 8, a, 8, 0, b, 8, kPanel - 1, c, 8, 0) == NS_INVALID_ARGUMENT);
  CHECK(ns_gemm(backend, 8, 8, 8, a, 8, 0, b, 8, kPanel, c, 7, 0) == NS_INVALID_ARGUMENT);
}

}  // namespace

int main() {
  // Below, at and above tiles, vectors, panels, stretches of k and blocks of rows and of columns.
  constexpr int64_t kShapes[][3] = {{1, 1, 1},    {6, 64, 8},     {5, 15, 3},      {7, 17, 300},   {13, 130, 33},
                                    {130, 70, 5}, {250, 33, 257}, {31, 600, 40}, {3, 1029, 513}};
  check::OnEveryLevel([&](ns_backend* backend, const std::string& level) {
    for (const auto& shape : kShapes) {
      AnyShape(backend, level, shape[0], shape[1], shape[2]);
    }
    WhatCannotBeIsRefused(backend);
  });
  return check::Result();
}
