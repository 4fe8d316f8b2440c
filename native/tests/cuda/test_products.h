// Products in every format, and SwiGLU.
#pragma once

#include "numbers.h"

namespace nativespec::cuda {

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
  for (int row = 0; against_float64 && row < kExact; ++row) {
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
  if (against_float64) {
    CHECK_ERROR(what, all, expected, 2e-5);
  }
  struct Case {
    int row, bucket, place;
  };
  for (const Case& c : {Case{0, 8, 0}, Case{63, 8, 3}, Case{17, 16, 9}, Case{30, 32, 31}, Case{5, 64, 62}, Case{9, 128, 127}, Case{40, 256, 130}, Case{50, 512, 400}}) {
    if (c.bucket < 8 * RowsOfParts(RowParts(format))) {
      continue;
    }
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

  // Among those of a prompt.
  constexpr int kPrompt = 256, kPlace = 140;
  const DeviceArray<uint16_t> prompt(PackRows(x, kRows, in, kPrompt, kPlace, bf16));
  const DeviceArray<uint8_t> its(static_cast<size_t>(ActivationBytes(hidden, kPrompt / 8)));
  MatMul(weight, kPrompt, reinterpret_cast<const uint8_t*>(prompt.data()), its.data(), 0.25f);
  Finish();
  const auto many = its.Download();
  for (const int row : {0, kRows - 1}) {
    CHECK_SAME(what + " in a prompt, row " + std::to_string(row), UnpackRow(many, kPlace + row, hidden, kPrompt / 8, bf16), UnpackRow(bytes, row, hidden, kRows / 8, bf16));
  }
}

}  // namespace nativespec::cuda
