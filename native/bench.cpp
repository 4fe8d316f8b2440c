// Times the matmuls of a whole forward on synthetic weights of a model's shapes, so that nothing is read twice within a pass:
//
//     nativespec_bench [--shape 1.1b|110m|15m] [--weights f32|f16|bf16|q8|q4] [--nodes 1,2,4,8,16] [--threads 2] [--level NAME] [--repeats 7]
//
// Cases are interleaved matrix by matrix, with the machine's read bandwidth and the peak of its arithmetic among them, and the medians of
// each pass's ratios printed: memory, like the clock, moves from second to second on shared machines, and only ratios within a pass mean
// anything. The floor of a case is the longer of reading the weights and multiplying at that peak.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "backend.h"
#include "nativespec.h"
#include "tests/steps.h"

namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

[[noreturn]] void Stop(const std::string& why) {
  std::fprintf(stderr, "nativespec_bench: %s\n", why.c_str());
  std::exit(1);
}

void Require(ns_status status) {
  if (status != NS_OK) {
    Stop(ns_last_error());
  }
}

struct Shape {
  const char* name;
  int64_t layers, hidden, inner, key_value, vocabulary;
};

constexpr Shape kShapes[] = {
    {"1.1b", 22, 2048, 5632, 256, 32000},
    {"110m", 12, 768, 2048, 768, 32000},
    {"15m", 6, 288, 768, 288, 32000},
};

struct Options {
  Shape shape = kShapes[0];
  std::string weights = "bf16";
  std::vector<int64_t> nodes = {1, 2, 4, 8, 16};
  int32_t threads = 2;
  int32_t level = ns_default_level();
  int repeats = 7;
};

Options Parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    if (i + 1 == count) {
      Stop(name + " needs a value");
    }

    const std::string value = arguments[i + 1];
    if (name == "--shape") {
      const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return value == s.name; });
      if (shape == std::end(kShapes)) {
        Stop("no shape " + value);
      }
      options.shape = *shape;
    } else if (name == "--weights") {
      options.weights = value;
    } else if (name == "--nodes") {
      options.nodes.clear();
      for (const char* at = value.c_str(); *at != 0; at += *at == ',') {
        char* end;
        options.nodes.push_back(std::strtoll(at, &end, 10));
        if (end == at || options.nodes.back() < 1 || options.nodes.back() > 4096) {
          Stop("nodes are numbers from 1 to 4096, separated by commas");
        }
        at = end;
      }
    } else if (name == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else if (name == "--repeats") {
      options.repeats = std::max(std::atoi(value.c_str()), 1);
    } else if (name == "--level") {
      for (options.level = 0; ns_level_name(options.level) != nullptr && value != ns_level_name(options.level);) {
        ++options.level;
      }
    } else {
      Stop("no option " + name);
    }
  }
  return options;
}

/// Weights of all layers and the head, each matrix memory of its own.
class Model {
 public:
  Model(ns_backend* backend, const Options& options) {
    const Shape& s = options.shape;
    for (int64_t layer = 0; layer < s.layers; ++layer) {
      Add(backend, options.weights, s.hidden + 2 * s.key_value, s.hidden);
      Add(backend, options.weights, s.hidden, s.hidden);
      Add(backend, options.weights, 2 * s.inner, s.hidden);
      Add(backend, options.weights, s.hidden, s.inner);
    }
    Add(backend, options.weights, s.vocabulary, s.hidden);
  }

  void MatMul(ns_backend* backend, size_t matrix, const float* x, float* y, int64_t rows) const {
    Require(steps::Project(backend, weights_[matrix], x, y, rows));
  }

  void Read(ns_backend* backend, size_t matrix) const {
    Require(ns_read(backend, memory_[matrix].data.data(), memory_[matrix].bytes));
  }

  /// Whether products are of bytes.
  bool bytewise() const { return bytewise_; }
  size_t matrices() const { return weights_.size(); }
  int64_t bytes() const { return bytes_; }
  int64_t weights() const { return count_; }

 private:
  struct Memory {
    nativespec::AlignedBytes data;
    int64_t bytes;
  };

  void Add(ns_backend* backend, const std::string& format, int64_t out, int64_t in) {
    const bool packed = format == "q8" || format == "q4";
    bytewise_ = packed;
    const int32_t type = format == "f32" ? NS_F32 : format == "f16" ? NS_F16 : NS_BF16;
    if (!packed && format != "f32" && format != "f16" && format != "bf16") {
      Stop("no weights " + format);
    }

    nativespec::AlignedBytes plain(out * in * (type == NS_F32 ? 4 : 2));
    uint64_t state = static_cast<uint64_t>(count_) + 1;
    for (int64_t i = 0; i < out * in; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      // A number of either sign around 2^-5, in whichever type.
      const uint32_t sign = static_cast<uint32_t>(state >> 63), fraction = static_cast<uint32_t>(state >> 40 & 0xFFFF);
      if (type == NS_F32) {
        reinterpret_cast<uint32_t*>(plain.data())[i] = sign << 31 | 0x3D000000u | fraction << 7;
      } else {
        reinterpret_cast<uint16_t*>(plain.data())[i] =
            static_cast<uint16_t>(type == NS_BF16 ? sign << 15 | 0x3D00u | fraction >> 9 : sign << 15 | 0x2800u | fraction >> 6);
      }
    }

    count_ += out * in;
    ns_weight* weight;
    const ns_part part{plain.data(), out, type, 0};
    if (packed) {
      const int32_t bits = format == "q8" ? NS_Q8 : NS_Q4;
      const int64_t bytes = ns_packed_bytes(out, in, bits);
      memory_.push_back({nativespec::AlignedBytes(bytes), bytes});
      Require(ns_quantize(backend, &part, 1, in, bits, memory_.back().data.data(), bytes));
      Require(ns_weight_from_packed(memory_.back().data.data(), bytes, out, in, nullptr, bits, &weight));
    } else {
      Require(ns_weight_create(backend, &part, 1, in, nullptr, NS_AS_STORED, &weight));
      memory_.push_back({std::move(plain), out * in * (type == NS_F32 ? 4 : 2)});
    }
    bytes_ += memory_.back().bytes;
    weights_.push_back(weight);
  }

  std::vector<Memory> memory_;
  std::vector<ns_weight*> weights_;
  bool bytewise_ = false;
  int64_t bytes_ = 0;
  int64_t count_ = 0;
};

void Multiply(ns_backend* backend, bool bytes, int64_t items) {
  float seen = 0;
  const nativespec::PeakArguments a{bytes, static_cast<int32_t>(items % 7 + 1), &seen};
  backend->Run(backend->operations.peak, &a, items, nativespec::kPeakMultiplyAdds);
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = Parse(count, arguments);
  ns_backend* backend;
  Require(ns_backend_create(options.threads, options.level, &backend));
  const Model model(backend, options);
  const int64_t most = *std::max_element(options.nodes.begin(), options.nodes.end());
  std::vector<float> x(static_cast<size_t>(most * std::max(options.shape.inner, options.shape.hidden)), 0.5f);
  std::vector<float> y(static_cast<size_t>(most * std::max(options.shape.vocabulary, 2 * options.shape.inner)));

  // Case 0 reads, case 1 is arithmetic alone; the others multiply. In each step every case takes another matrix, as far apart as can be: a
  // pass takes each case over the whole model, all see the same weather, and between two uses of a matrix the whole model's bytes have
  // gone through the caches.
  constexpr size_t kFirst = 2;
  const size_t cases = options.nodes.size() + kFirst;
  std::vector<std::vector<double>> times(cases), bandwidth(cases), growth(cases), floors(cases);
  const int64_t peak_items = 48 * options.threads;
  const double step_arithmetic = static_cast<double>(peak_items * nativespec::kPeakMultiplyAdds);
  for (int repeat = -1; repeat < options.repeats; ++repeat) {
    std::vector<double> spent(cases);
    for (size_t step = 0; step < model.matrices(); ++step) {
      for (size_t c = 0; c < cases; ++c) {
        const size_t matrix = (step + c * model.matrices() / cases) % model.matrices();
        const auto began = Clock::now();
        if (c == 0) {
          model.Read(backend, matrix);
        } else if (c == 1) {
          Multiply(backend, model.bytewise(), peak_items);
        } else {
          model.MatMul(backend, matrix, x.data(), y.data(), options.nodes[c - kFirst]);
        }
        spent[c] += Seconds(began);
      }
    }
    const double arithmetic = spent[1] / (step_arithmetic * static_cast<double>(model.matrices())) * static_cast<double>(model.weights());
    for (size_t c = 0; repeat >= 0 && c < cases; ++c) {
      times[c].push_back(spent[c]);
      bandwidth[c].push_back(spent[0] / spent[c]);
      growth[c].push_back(spent[c] / spent[kFirst]);
      floors[c].push_back(std::max(spent[0], c < kFirst ? 0 : arithmetic * static_cast<double>(options.nodes[c - kFirst])) / spent[c]);
    }
  }

  const double read = Median(times[0]);
  std::printf("%s %s %s, %d threads: %.0f MB of weights, read at %.1f GB/s; arithmetic alone %.0f G mul-add/s\n", options.shape.name,
              options.weights.c_str(), ns_level_name(options.level), options.threads, static_cast<double>(model.bytes()) / 1e6,
              static_cast<double>(model.bytes()) / read / 1e9, step_arithmetic * static_cast<double>(model.matrices()) / Median(times[1]) / 1e9);
  std::printf("%6s %10s %14s %10s %10s %12s\n", "nodes", "ms", "of bandwidth", "of floor", "T(n)/T(1)", "G mul-add/s");
  for (size_t c = kFirst; c < cases; ++c) {
    const double time = Median(times[c]);
    const int64_t nodes = options.nodes[c - kFirst];
    std::printf("%6lld %10.2f %14.3f %10.3f %10.2f %12.1f\n", static_cast<long long>(nodes), time * 1e3, Median(bandwidth[c]), Median(floors[c]),
                Median(growth[c]), static_cast<double>(model.weights() * nodes) / time / 1e9);
  }
  ns_backend_destroy(backend);
  return 0;
}
