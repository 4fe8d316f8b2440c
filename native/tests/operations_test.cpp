// The row-wise operations on every level against float64.
#include "check.h"
#include "steps.h"

using check::Matrix;
using check::Random;

namespace {

void RmsNorm(ns_backend* backend, const std::string& level) {
  Random random(1);
  for (const int64_t width : {1, 9, 64, 192, 2048}) {
    const int64_t rows = 40;
    const auto x = random.Floats(rows * width, 3), gain = random.Floats(width);
    std::vector<float> y(x.size());
    std::vector<double> expected(x.size());
    for (int64_t row = 0; row < rows; ++row) {
      double squares = 0;
      for (int64_t i = 0; i < width; ++i) {
        squares += static_cast<double>(x[row * width + i]) * x[row * width + i];
      }
      for (int64_t i = 0; i < width; ++i) {
        expected[row * width + i] = x[row * width + i] / std::sqrt(squares / static_cast<double>(width) + 1e-5) * gain[i];
      }
    }
    CHECK_OK(steps::Norm(backend, x.data(), gain.data(), 1e-5f, y.data(), rows, width));
    CHECK_CLOSE(level, y, expected, 2e-6);
  }
}

void SwiGlu(ns_backend* backend, const std::string& level) {
  Random random(2);
  for (const int64_t width : {1, 17, 172, 2048}) {
    for (const float amplitude : {0.1f, 10.0f, 200.0f}) {
      const int64_t rows = 5;
      const auto gate_up = random.Floats(rows * 2 * width, amplitude);
      std::vector<float> y(static_cast<size_t>(rows * width));
      std::vector<double> expected(y.size());
      for (int64_t i = 0; i < rows * width; ++i) {
        const double gate = gate_up[i / width * 2 * width + i % width], up = gate_up[i / width * 2 * width + width + i % width];
        expected[i] = gate / (1 + std::exp(-gate)) * up;
      }
      steps::SwiGlu(backend, gate_up.data(), y.data(), rows, width);
      CHECK_CLOSE(level, y, expected, 2e-6);
    }
  }

  std::vector<float> gate_up(80, 0.5f), y(40);
  gate_up[7] = NAN;
  steps::SwiGlu(backend, gate_up.data(), y.data(), 1, 40);
  CHECK(std::isnan(y[7]) && !std::isnan(y[6]));
}

void AddSilu(ns_backend* backend, const std::string& level) {
  Random random(5);
  for (const int64_t width : {1, 17, 172, 2048}) {
    const int64_t rows = 3;
    const auto y = random.Floats(rows * width, 10.0f);
    auto x = random.Floats(rows * width);
    std::vector<double> expected(x.size());
    for (int64_t i = 0; i < rows * width; ++i) {
      const double value = y[i];
      expected[i] = x[i] + value / (1 + std::exp(-value));
    }
    steps::AddSilu(backend, x.data(), y.data(), rows, width);
    CHECK_CLOSE(level, x, expected, 2e-6);
  }
}

void Embed(ns_backend* backend, const std::string&) {
  Random random(3);
  for (const int32_t type : {NS_F32, NS_F16, NS_BF16}) {
    const Matrix table(type, 10, 37, random.Floats(370));
    const int32_t tokens[] = {9, 0, 4};
    ns_batch batch{};
    batch.tokens = tokens;
    batch.rows = 3;
    std::vector<float> x(3 * 37);
    CHECK_OK(steps::Embed(backend, &table.part, 37, &batch, x.data()));
    for (int i = 0; i < 3; ++i) {
      CHECK(std::memcmp(&x[i * 37], &table.exact[tokens[i] * 37], 37 * sizeof(float)) == 0);
    }
    for (const int32_t token : {-1, 10, INT32_MAX}) {
      batch.tokens = &token;
      batch.rows = 1;
      CHECK(steps::Embed(backend, &table.part, 37, &batch, x.data()) == NS_OUT_OF_RANGE);
    }
  }
}

/// Every binary16, special ones too, as a weight.
void AllHalves(ns_backend* backend, const std::string& level) {
  std::vector<uint16_t> halves(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) {
    halves[i] = static_cast<uint16_t>(i);
  }
  const ns_part table{halves.data(), 1 << 12, NS_F16, 0};
  std::vector<int32_t> tokens(1 << 12);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(i);
  }
  ns_batch batch{};
  batch.tokens = tokens.data();
  batch.rows = 1 << 12;
  std::vector<float> x(1 << 16);
  CHECK_OK(steps::Embed(backend, &table, 16, &batch, x.data()));
  for (size_t i = 0; i < x.size(); ++i) {
    const int exponent = i >> 10 & 31, fraction = i & 1023;
    double expected = exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                      : exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    expected = i & 0x8000 ? -expected : expected;
    if (!(x[i] == expected || (std::isnan(x[i]) && std::isnan(expected)))) {
      check::Fail(__FILE__, __LINE__, level + ": binary16 number " + std::to_string(i) + " read as " + std::to_string(x[i]));
      return;
    }
  }
}

void GatherRows(ns_backend* backend) {
  const int32_t wanted[] = {4, 1};
  ns_batch batch{};
  batch.rows = 5;
  batch.logit_rows = wanted;
  batch.logit_count = 2;
  std::vector<float> x(35), y(14);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i);
  }
  CHECK_OK(steps::Gather(backend, &batch, x.data(), y.data(), 7));
  CHECK(y[0] == 28 && y[6] == 34 && y[7] == 7 && y[13] == 13);
}

}  // namespace

int main() {
  check::OnEveryLevel([](ns_backend* backend, const std::string& level) {
    RmsNorm(backend, level);
    SwiGlu(backend, level);
    AddSilu(backend, level);
    Embed(backend, level);
    AllHalves(backend, level);
    GatherRows(backend);
  });
  return check::Result();
}
