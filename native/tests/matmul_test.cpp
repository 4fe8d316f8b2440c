// Matmul in every format on every level against float64, and the contract: a row has the same bits alone and among others.
#include "../../kernels/cpu/quantized.h"
#include "check.h"
#include "steps.h"

using check::Matrix;
using check::Random;

namespace {

std::vector<double> Reference(const std::vector<double>& w, const std::vector<float>& x, int64_t rows, int64_t in, int64_t out) {
  std::vector<double> y(static_cast<size_t>(rows * out));
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t k = 0; k < in; ++k) {
        y[t * out + o] += w[o * in + k] * x[t * in + k];
      }
    }
  }
  return y;
}

double HalfToDouble(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

/// The numbers that packed weights stand for, read from the layout's description.
template <int Bits>
std::vector<double> Unpack(const std::vector<uint8_t>& packed, int64_t out, int64_t in) {
  using Layout = nativespec::PackedLayout<Bits>;
  std::vector<double> w(static_cast<size_t>(out * in));
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t k = 0; k < in; ++k) {
      const uint8_t* super = packed.data() + o / 32 * Layout::PanelBytes(in) + k / 128 * Layout::kSuperBytes;
      const int64_t column = k % 128, block = column / Layout::kBlockColumns, group = column / 4;
      uint16_t scale;
      std::memcpy(&scale, super + (block * 32 + o % 32) * 2, 2);
      const uint8_t* data = super + Layout::kScaleBytes + (Bits == 8 ? group : group / 2) * 128;
      const uint8_t byte = data[o % 32 * 4 + column % 4];
      const int q = Bits == 8 ? byte : group % 2 == 0 ? byte & 15 : byte >> 4;
      w[o * in + k] = HalfToDouble(scale) * (q - Layout::kOffset);
    }
  }
  return w;
}

std::vector<float> MatMul(ns_backend* backend, const ns_weight* weight, const std::vector<float>& x, int64_t rows, int64_t out) {
  std::vector<float> y(static_cast<size_t>(rows * out));
  CHECK_OK(steps::Project(backend, weight, x.data(), y.data(), rows));
  return y;
}

void CheckInvariance(ns_backend* backend, const std::string& name, const ns_weight* weight, const std::vector<float>& x, int64_t in, int64_t out,
                     const std::vector<float>& alone_of_all) {
  const int64_t all = static_cast<int64_t>(x.size()) / in;
  for (int64_t rows = 1; rows <= all; rows += rows < 20 ? 1 : 7) {
    const auto y = MatMul(backend, weight, x, rows, out);
    CHECK(std::memcmp(y.data(), alone_of_all.data(), y.size() * sizeof(float)) == 0);
    if (check::failures != 0) {
      std::printf("%s: %lld rows of [%lld, %lld]\n", name.c_str(), static_cast<long long>(rows), static_cast<long long>(out),
                  static_cast<long long>(in));
      return;
    }
  }
}

/// Every row alone, one after another.
std::vector<float> OneByOne(ns_backend* backend, const ns_weight* weight, const std::vector<float>& x, int64_t in, int64_t out) {
  std::vector<float> all;
  for (size_t at = 0; at < x.size(); at += static_cast<size_t>(in)) {
    const std::vector<float> row(x.begin() + static_cast<int64_t>(at), x.begin() + static_cast<int64_t>(at) + in);
    const auto y = MatMul(backend, weight, row, 1, out);
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

void FloatFormats(ns_backend* backend, const std::string& level) {
  Random random(1);
  for (const int32_t type : {NS_F32, NS_F16, NS_BF16}) {
    for (const int64_t in : {1, 12, 64, 172, 1100}) {
      for (const int64_t out : {1, 5, 97}) {
        const Matrix w(type, out, in, random.Floats(out * in));
        ns_weight* weight;
        CHECK_OK(ns_weight_create(backend, &w.part, 1, in, nullptr, NS_AS_STORED, &weight));
        const auto x = random.Floats(37 * in);
        const auto y = OneByOne(backend, weight, x, in, out);
        const std::string name = level + " type " + std::to_string(type);
        // With BF16 dot products the activations are rounded too: to 2^-9 of each.
        const double tolerance = level == "avx512bf16" && type == NS_BF16 ? 4e-3 : 2e-6 * std::sqrt(static_cast<double>(in));
        CHECK_CLOSE(name, y, Reference({w.exact.begin(), w.exact.end()}, x, 37, in, out), tolerance);
        CheckInvariance(backend, name, weight, x, in, out, y);
        ns_weight_destroy(weight);
      }
    }
  }
}

template <int Bits>
void PackedFormat(ns_backend* backend, const std::string& level) {
  Random random(2);
  for (const int64_t in : {1, 40, 128, 700}) {
    for (const int64_t out : {1, 16, 97}) {
      const Matrix w(NS_BF16, out, in, random.Floats(out * in));
      std::vector<uint8_t> packed(static_cast<size_t>(ns_packed_bytes(out, in, Bits)));
      CHECK_OK(ns_quantize(backend, &w.part, 1, in, Bits, packed.data(), static_cast<int64_t>(packed.size())));
      const auto unpacked = Unpack<Bits>(packed, out, in);
      const std::string name = level + " q" + std::to_string(Bits);
      // Half a step of a block's largest magnitude. The 4-bit scale may be a ninth of it, and then its negative is clipped by two steps.
      CHECK_CLOSE(name, w.exact, unpacked, Bits == 8 ? 0.5 / 126 : 2.0 / 9);

      ns_weight *weight, *in_place;
      CHECK_OK(ns_weight_create(backend, &w.part, 1, in, nullptr, Bits, &weight));
      CHECK_OK(ns_weight_from_packed(packed.data(), static_cast<int64_t>(packed.size()), out, in, nullptr, Bits, &in_place));
      const auto x = random.Floats(37 * in);
      const auto y = OneByOne(backend, weight, x, in, out);
      // What is left is the rounding of activations to 7 bits and a sign.
      CHECK_CLOSE(name, y, Reference(unpacked, x, 37, in, out), 0.01);
      CHECK(y == OneByOne(backend, in_place, x, in, out));
      CheckInvariance(backend, name, weight, x, in, out, y);
      ns_weight_destroy(weight);
      ns_weight_destroy(in_place);
    }
  }
}

void StackedPartsWithBias(ns_backend* backend, const std::string& level) {
  Random random(3);
  const int64_t in = 200;
  const Matrix first(NS_F32, 50, in, random.Floats(50 * in)), second(NS_BF16, 7, in, random.Floats(7 * in)),
      third(NS_BF16, 40, in, random.Floats(40 * in));
  const ns_part parts[] = {first.part, second.part, third.part};
  std::vector<float> exact;
  for (const Matrix* part : {&first, &second, &third}) {
    exact.insert(exact.end(), part->exact.begin(), part->exact.end());
  }
  const auto bias = random.Floats(97), x = random.Floats(3 * in), before = random.Floats(3 * 97);
  auto expected = Reference({exact.begin(), exact.end()}, x, 3, in, 97);
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] += bias[i % 97] + before[i];
  }
  for (const int32_t format : {NS_AS_STORED, NS_Q8, NS_Q4}) {
    ns_weight* weight;
    CHECK_OK(ns_weight_create(backend, parts, 3, in, bias.data(), format, &weight));
    auto y = before;
    CHECK_OK(steps::Project(backend, weight, x.data(), y.data(), 3, NS_ADD));
    CHECK_CLOSE(level, y, expected, format == NS_Q4 ? 0.1 : format == NS_Q8 || level == "avx512bf16" ? 0.02 : 1e-5);
    ns_weight_destroy(weight);
  }
}

/// A norm before a projection and SwiGLU or SiLU after it give the bits of the operations one after another.
void FusionsChangeNoBit(ns_backend* backend, const std::string& level) {
  Random random(11);
  const int64_t rows = 5;
  for (const auto& [half, in] : {std::pair<int64_t, int64_t>{32, 64}, {96, 200}, {33, 70}, {700, 40}}) {
    for (const int32_t format : {NS_AS_STORED, NS_Q8, NS_Q4}) {
      const int64_t out = 2 * half;
      const Matrix gate(NS_BF16, half, in, random.Floats(half * in)), up(NS_BF16, half, in, random.Floats(half * in));
      const auto x = random.Floats(rows * in), gain = random.Floats(in), bias = random.Floats(out), before = random.Floats(rows * out);
      const ns_part parts[] = {gate.part, up.part};
      ns_weight* weight;
      CHECK_OK(ns_weight_create(backend, parts, 2, in, bias.data(), format, &weight));
      std::vector<float> normed(x.size()), wide(before.size()), apart(static_cast<size_t>(rows * half)), fused(apart.size()), work(x.size()),
          room(before.size());
      CHECK_OK(steps::Norm(backend, x.data(), gain.data(), 1e-5f, normed.data(), rows, in));
      CHECK_OK(steps::Project(backend, weight, normed.data(), wide.data(), rows));
      steps::SwiGlu(backend, wide.data(), apart.data(), rows, half);
      CHECK_OK(steps::Project(backend, weight, x.data(), fused.data(), rows, NS_SWIGLU, room.data(), gain.data(), work.data()));
      if (fused != apart) {
        check::Fail(__FILE__, __LINE__, level + ": SwiGLU in a projection of " + std::to_string(out) + " differs, format " + std::to_string(format));
      }

      auto added = before, expected = before;
      steps::AddSilu(backend, expected.data(), wide.data(), rows, out);
      CHECK_OK(steps::Project(backend, weight, x.data(), added.data(), rows, NS_ADD_SILU, room.data(), gain.data(), work.data()));
      CHECK(added == expected);
      CHECK_OK(steps::Project(backend, weight, normed.data(), added.data(), rows, NS_STORE, nullptr, nullptr, nullptr, 0.5f));
      CHECK(added[7] == wide[7] * 0.5f && added.back() == wide.back() * 0.5f);
      ns_weight_destroy(weight);
    }
  }
}

/// A value that is not finite must be seen in the result, never turned into an ordinary number.
void BrokenValuesAreSeen(ns_backend* backend, const std::string&) {
  const int64_t in = 130;
  for (const int32_t format : {NS_AS_STORED, NS_Q8, NS_Q4}) {
    for (const float broken : {NAN, INFINITY}) {
      std::vector<float> values(static_cast<size_t>(20 * in), 0.5f), x(static_cast<size_t>(in), 1.0f);
      ns_weight* weight;
      const Matrix whole(NS_F32, 20, in, values);
      CHECK_OK(ns_weight_create(backend, &whole.part, 1, in, nullptr, format, &weight));
      x[129] = broken;
      CHECK(!std::isfinite(MatMul(backend, weight, x, 1, 20)[3]));
      ns_weight_destroy(weight);

      values[3 * in + 77] = broken;
      x[129] = 1;
      const Matrix torn(NS_F32, 20, in, values);
      CHECK_OK(ns_weight_create(backend, &torn.part, 1, in, nullptr, format, &weight));
      const auto y = MatMul(backend, weight, x, 1, 20);
      CHECK(!std::isfinite(y[3]) && std::isfinite(y[4]));
      ns_weight_destroy(weight);
    }
  }
}

}  // namespace

int main() {
  check::OnEveryLevel([](ns_backend* backend, const std::string& level) {
    FusionsChangeNoBit(backend, level);
    FloatFormats(backend, level);
    PackedFormat<8>(backend, level);
    PackedFormat<4>(backend, level);
    StackedPartsWithBias(backend, level);
    BrokenValuesAreSeen(backend, level);
  });
  return check::Result();
}
