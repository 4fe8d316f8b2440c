// Times of kernels and of whole forwards. On a part they mean something; on the emulator the benchmark only shows that it runs.
#pragma once

#include "trees.h"

namespace nativespec::cuda {

/// What the part does at most: bytes that it copies and reads, products of what lies in registers, of random numbers about 1.
inline void BenchCeilings(size_t bytes, int rounds, int repeats) {
  check::Random random(41);
  std::vector<uint16_t> numbers(1 << 16);
  for (uint16_t& number : numbers) {
    number = static_cast<uint16_t>(0x3f00u | (random.Next() & 0x80ffu));
  }
  const int blocks = 2 * Multiprocessors();
  constexpr int kThreads = 256;
  DeviceArray<uint16_t> data(bytes / 2);
  data.Repeat(numbers);
  const DeviceArray<uint32_t> folded(static_cast<size_t>(4 * blocks) * kThreads);
  const CeilingArguments a{reinterpret_cast<const Vector*>(data.data()), folded.data(), static_cast<int64_t>(bytes / 16), rounds};
  std::printf("copies: %.0f GB/s, read and written;", CopyBandwidth(bytes) / 1e9);
  std::printf(" reads: %.0f GB/s;", static_cast<double>(bytes) / Time([&] { Launch(read_bytes, 4 * blocks, 1, kThreads, 0, a); }, repeats) / 1e3);
  const double flops = 2.0 * 16 * 8 * 16 * 8 * rounds * blocks * (kThreads / 32.0);
  std::printf(" mma.sync of BF16 from registers: %.0f TFLOP/s\n", flops / Time([&] { Launch(multiply_tiles, blocks, 1, kThreads, 0, a); }, repeats) / 1e6);
  std::fflush(stdout);
}

/// What a kernel costs that has nothing to do, within a graph.
inline void BenchGaps(int repeats) {
  DeviceArray<int32_t> zeros(4);
  zeros.Fill(0);
  constexpr int kKernels = 256;
  auto nothing = [&] {
    for (int i = 0; i < kKernels; ++i) {
      Launch(move_kv_rows, 1, 1, 256, 0, MoveKvRowsArguments{reinterpret_cast<uint8_t* const*>(zeros.data()), reinterpret_cast<const KvMove*>(zeros.data()), reinterpret_cast<const RowList*>(zeros.data()), nullptr, 1, 64});
    }
  };
  std::printf("a kernel with nothing to do: %.2f us", Time(nothing, repeats) / kKernels);
  if (HasDependentLaunch()) {
    dependent_launch = true;
    std::printf(", with dependent launch %.2f us", Time(nothing, repeats) / kKernels);
    dependent_launch = false;
  }
  std::printf("\n");
}

/// The walk along trees and the moves behind it, where each has three rows that are moved; and as many moves in one list, one after the other.
inline void BenchWalk(const ModelShape& shape, int repeats) {
  constexpr int kNodes = 8, kMoved = 3, kMostTrees = 16, kRows = kNodes * kMostTrees;
  const size_t plane = static_cast<size_t>(kRows) * static_cast<size_t>(shape.kv_heads * shape.Width() * 2);
  DeviceArray<uint8_t> cache(static_cast<size_t>(2 * shape.layers) * plane);
  cache.Fill(0);
  std::vector<uint8_t*> planes;
  for (int i = 0; i < 2 * shape.layers; ++i) {
    planes.push_back(cache.data() + static_cast<size_t>(i) * plane);
  }
  std::vector<RowList> trees;
  std::vector<int32_t> parents, tokens, rows;
  std::vector<RowAnswer> answers;
  std::vector<KvMove> one_each;
  for (int row = 0; row < kRows; ++row) {
    const int node = row % kNodes;  // a chain from node 2 on, which is the root's second child
    if (node == 0) {
      trees.push_back({row, kNodes});
    }
    parents.push_back(node == 0 ? -1 : node <= 2 ? 0 : node - 1);
    tokens.push_back(node);
    answers.push_back({node == 0 ? 2 : node < 1 + kMoved ? node + 1 : -1, 1, 0});
    rows.push_back(row);
    one_each.push_back({row, row});
  }
  const DeviceArray<uint8_t*> device_planes(planes);
  const DeviceArray<RowList> device_trees(trees), lists(kMostTrees), one_list(std::vector<RowList>{{0, kMoved * kMostTrees}});
  const DeviceArray<int32_t> device_parents(parents), device_tokens(tokens), device_rows(rows), paths(kRows);
  const DeviceArray<KvMove> moves(kRows), one_row_each(one_each);
  const DeviceArray<RowAnswer> device_answers(answers);
  for (const int count : {0, 1, kMostTrees}) {
    const DeviceArray<int32_t> tree_count(std::vector<int32_t>{count});
    const double us = Time([&] {
      Launch(walk_trees, std::max(8, count * kNodes), 1, 32, kWalkBytes * kRows,
             WalkTreesArguments{device_trees.data(), tree_count.data(), device_parents.data(), device_rows.data(), device_tokens.data(), device_rows.data(), device_answers.data(), paths.data(), moves.data(),
                                lists.data()});
      Launch(move_kv_rows, 2 * shape.layers, kMoveBlocks, 256, 0,
             MoveKvRowsArguments{device_planes.data(), moves.data(), lists.data(), tree_count.data(), shape.kv_heads, shape.Width()});
    }, repeats);
    std::printf("%s %d trees %.2f us", count == 0 ? "walk and moves:" : ",", count, us);
  }
  const double us = Time([&] {
    Launch(move_kv_rows, 2 * shape.layers, 1, 256, 0, MoveKvRowsArguments{device_planes.data(), one_row_each.data(), one_list.data(), nullptr, shape.kv_heads, shape.Width()});
  }, repeats);
  std::printf("; %d moves in one list %.2f us\n", kMoved * kMostTrees, us);
}

/// Each kernel of a layer a few times, for a profiler.
inline void Profile(const ModelShape& shape, Format format, int rows, int context) {
  std::vector<int32_t> pages;
  for (int page = 0; page <= (context + 64) / kPageRows; ++page) {
    pages.push_back(page);
  }
  Forward forward({2, shape.hidden, shape.feed_forward, shape.heads, shape.kv_heads, shape.head_width, shape.vocabulary}, format, Format::kBF16, static_cast<int>(pages.size()) + 1, context + 64, 1);
  forward.Upload(RandomTree(context, rows, pages, shape.vocabulary), std::max(8, rows));
  forward.Run();
  Finish();
}

/// What is timed of a shape.
struct BenchPlan {
  std::vector<int> rows, kernel_rows, contexts, attention_contexts, prompts;
  int repeats;
};

/// Each kernel of a layer alone, in a graph with the same of the other layers, and its share of their sum; then those that stand in a row, where dependent launch lets one begin in the other.
inline void BenchKernels(Forward& forward, const ModelShape& shape, const char* name, int rows, int repeats) {
  const int layers = shape.layers;
  auto each = [&](auto step) {
    return Time([&] {
      for (int layer = 0; layer < layers; ++layer) {
        step(layer);
      }
    }, repeats) / layers;
  };
  struct Part {
    const char* what;
    double us;
    int times;
  };
  const std::vector<Part> parts = {
      {"qkv", each([&](int layer) { forward.Qkv(layer); }), layers},
      {"o", each([&](int layer) { forward.Output(layer); }), layers},
      {"gate_up", each([&](int layer) { forward.GateUp(layer); }), layers},
      {"down", each([&](int layer) { forward.Down(layer); }), layers},
      {"norm", each([&](int) { forward.Norm(forward.DownSegments()); }), 2 * layers + 1},
      {"rope", each([&](int layer) { forward.Rope(layer); }), layers},
      {"attention", each([&](int layer) { forward.Attention(layer); }), layers},
      {"fold", each([&](int) { forward.Fold(); }), layers},
      {"head", Time([&] { forward.Head(); }, repeats), 1},
      {"choose", Time([&] { forward.Choose(); }, repeats), 1},
  };
  double sum = 0;
  for (const Part& part : parts) {
    sum += part.us * part.times;
  }
  std::printf("%s kernels, %2d rows, us and share:", name, rows);
  for (const Part& part : parts) {
    std::printf(" %s %.2f (%.1f %%)", part.what, part.us, part.us * part.times / sum * 100);
  }
  std::printf("\n%s in a row, %2d rows, us:", name, rows);
  auto in_a_row = [&](const char* what, auto step) {
    std::printf(" %s %.2f", what, each(step));
    if (HasDependentLaunch()) {
      dependent_launch = true;
      std::printf(", dependent %.2f", each(step));
      dependent_launch = false;
    }
  };
  in_a_row("norm qkv", [&](int layer) { forward.Norm(forward.DownSegments()); forward.Qkv(layer); });
  in_a_row("rope attention", [&](int layer) { forward.Rope(layer); forward.Attention(layer); });
  in_a_row("fold o", [&](int layer) { forward.Fold(); forward.Output(layer); });
  in_a_row("norm gate_up down", [&](int layer) { forward.Norm(forward.DownSegments()); forward.GateUp(layer); forward.Down(layer); });
  std::printf("\n");
  std::fflush(stdout);
}

/// A forward as a graph, plain and with dependent launch; the time of the better is returned, in microseconds.
inline double BenchForward(Forward& forward, const char* name, int rows, int context, double one_row, double bytes, int repeats) {
  const double plain = Time([&] { forward.Run(); }, repeats);
  double best = plain;
  std::printf("%s forward, %2d rows, context %5d: plain %.3f ms", name, rows, context, plain / 1000);
  if (HasDependentLaunch()) {
    dependent_launch = true;
    const double dependent = Time([&] { forward.Run(); }, repeats);
    dependent_launch = false;
    std::printf(", with dependent launch %.3f ms", dependent / 1000);
    best = std::min(best, dependent);
  }
  std::printf(", T(n)/T(1) %.3f, %d kernels, %.0f GB/s of weights\n", one_row > 0 ? best / one_row : 1, forward.Kernels(), bytes / best / 1000);
  std::fflush(stdout);
  return best;
}

/// Attention alone: a model of such heads and nearly nothing else.
inline void BenchAttention(const ModelShape& shape, Format kv, const std::vector<int>& contexts, const std::vector<int32_t>& pages, int repeats) {
  const ModelShape heads{shape.layers, 64, 64, shape.heads, shape.kv_heads, shape.head_width, 100};
  Forward forward(heads, Format::kBF16, kv, static_cast<int>(pages.size()) + 1, static_cast<int>(pages.size()) * kPageRows, 1);
  auto each = [&](auto step) {
    return Time([&] {
      for (int layer = 0; layer < heads.layers; ++layer) {
        step(layer);
      }
    }, repeats) / heads.layers;
  };
  for (const int rows : {1, 8, 16, 32, 64}) {
    for (const int context : contexts) {
      forward.Upload(RandomTree(context, rows, pages, heads.vocabulary), std::max(8, rows));
      std::printf("attention, keys and values in %s, %2d rows, context %5d, us:", Name(kv), rows, context);
      std::printf(" parts %.2f", each([&](int layer) { forward.Attention(layer); }));
      std::printf(" fold %.2f\n", each([&](int) { forward.Fold(); }));
      std::fflush(stdout);
    }
  }
}

inline void Bench(const ModelShape& shape, const std::vector<Format>& formats, const BenchPlan& plan, bool forwards) {
  const bool is_true = shape.hidden >= 1024;
  BenchCeilings(forwards && is_true ? size_t{1} << 30 : size_t{1} << 20, is_true ? 4096 : 4, plan.repeats);
  BenchGaps(plan.repeats);
  BenchWalk(shape, plan.repeats);
  const int most = std::max(*std::max_element(plan.contexts.begin(), plan.contexts.end()), *std::max_element(plan.attention_contexts.begin(), plan.attention_contexts.end())) + 64;
  std::vector<int32_t> pages;
  for (int page = 0; page <= most / kPageRows; ++page) {
    pages.push_back(page);
  }
  for (const Format kv : forwards ? std::vector<Format>{Format::kBF16, Format::kF32} : std::vector<Format>()) {
    BenchAttention(shape, kv, plan.attention_contexts, pages, plan.repeats);
  }
  for (const Format format : formats) {
    Forward forward(shape, format, Format::kBF16, static_cast<int>(pages.size()) + 1, most, 1, *std::max_element(plan.prompts.begin(), plan.prompts.end()));
    const double bytes = static_cast<double>(forward.WeightBytes());
    std::printf("%s: %.3f GB of weights\n", Name(format), bytes / 1e9);
    auto upload = [&](int context, int rows) { forward.Upload(RandomTree(context, rows, pages, shape.vocabulary), rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 32 ? 32 : 64); };
    for (const int rows : plan.kernel_rows) {
      upload(plan.contexts[0], rows);
      BenchKernels(forward, shape, Name(format), rows, plan.repeats);
    }
    for (const int context : forwards ? plan.contexts : std::vector<int>()) {
      double one_row = 0;
      for (const int rows : plan.rows) {
        upload(context, rows);
        const double us = BenchForward(forward, Name(format), rows, context, one_row, bytes, plan.repeats);
        one_row = rows == 1 ? us : one_row;
      }
    }
    for (const int rows : plan.prompts) {
      forward.Upload(Prompt(0, rows, pages, shape.vocabulary), rows);
      const double us = Time([&] { forward.Run(); }, plan.repeats);
      std::printf("%s prompt of %d rows: %.3f ms, %.0f tokens/s, %.0f TFLOP/s of products\n", Name(format), rows, us / 1000, rows / us * 1e6, 2 * shape.Parameters() * rows / us / 1e6);
      std::fflush(stdout);
    }
  }
}

}  // namespace nativespec::cuda
