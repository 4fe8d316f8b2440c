// Times of kernels and of whole forwards. On a part they mean something; on the emulator the benchmark only shows that it runs.
#pragma once

#include "forward.h"

namespace nativespec::cuda {

/// A random tree of so many nodes on a trunk.
inline Rows RandomTree(int trunk, int nodes, const std::vector<int32_t>& pages, int vocabulary) {
  auto slot = [&](int position) { return pages[static_cast<size_t>(position / kPageRows)] * kPageRows + position % kPageRows; };
  check::Random random(static_cast<uint64_t>(nodes));
  Rows rows;
  rows.BeginSequence(pages);
  std::vector<std::vector<int32_t>> paths;
  for (int node = 0; node < nodes; ++node) {
    std::vector<int32_t> path = node == 0 ? std::vector<int32_t>() : paths[static_cast<size_t>(random.Below(node))];
    path.push_back(slot(trunk + node));
    paths.push_back(path);
    rows.Add(static_cast<int>(random.Below(vocabulary)), trunk + static_cast<int>(path.size()) - 1, slot(trunk + node), nodes == 1 ? trunk + 1 : trunk, path);
  }
  return rows;
}

/// A prompt.
inline Rows Prompt(int count, const std::vector<int32_t>& pages, int vocabulary) {
  check::Random random(3);
  Rows rows;
  rows.BeginSequence(pages);
  for (int i = 0; i < count; ++i) {
    rows.Add(static_cast<int>(random.Below(vocabulary)), i, pages[static_cast<size_t>(i / kPageRows)] * kPageRows + i % kPageRows, i + 1, {});
  }
  return rows;
}

/// What a kernel costs that has nothing to do, within a graph.
inline void BenchGaps(int repeats) {
  DeviceArray<int32_t> zeros(4);
  zeros.Fill(0);
  constexpr int kKernels = 256;
  auto nothing = [&] {
    for (int i = 0; i < kKernels; ++i) {
      Launch(move_kv_rows, 1, 1, 256, 0, MoveKvRowsArguments{reinterpret_cast<uint8_t* const*>(zeros.data()), zeros.data(), zeros.data(), reinterpret_cast<const RowList*>(zeros.data()), nullptr, 1, 64});
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
  for (int row = 0; row < kRows; ++row) {
    const int node = row % kNodes;  // a chain from node 2 on, which is the root's second child
    if (node == 0) {
      trees.push_back({row, kNodes});
    }
    parents.push_back(node == 0 ? -1 : node <= 2 ? 0 : node - 1);
    tokens.push_back(node);
    answers.push_back({node == 0 ? 2 : node < 1 + kMoved ? node + 1 : -1, 1, 0});
    rows.push_back(row);
  }
  const DeviceArray<uint8_t*> device_planes(planes);
  const DeviceArray<RowList> device_trees(trees), moves(kMostTrees), one_list(std::vector<RowList>{{0, kMoved * kMostTrees}});
  const DeviceArray<int32_t> device_parents(parents), device_tokens(tokens), device_rows(rows), paths(kRows), from(kRows), to(kRows);
  const DeviceArray<RowAnswer> device_answers(answers);
  for (const int count : {0, 1, kMostTrees}) {
    const DeviceArray<int32_t> tree_count(std::vector<int32_t>{count});
    const double us = Time([&] {
      Launch(walk_trees, std::max(8, count * kNodes), 1, 32, kWalkBytes * kRows,
             WalkTreesArguments{device_trees.data(), tree_count.data(), device_parents.data(), device_rows.data(), device_tokens.data(), device_rows.data(), device_answers.data(), paths.data(), from.data(), to.data(),
                                moves.data()});
      Launch(move_kv_rows, 2 * shape.layers, kMoveBlocks, 256, 0,
             MoveKvRowsArguments{device_planes.data(), from.data(), to.data(), moves.data(), tree_count.data(), shape.kv_heads, shape.Width()});
    }, repeats);
    std::printf("%s %d trees %.2f us", count == 0 ? "walk and moves:" : ",", count, us);
  }
  const double us = Time([&] {
    Launch(move_kv_rows, 2 * shape.layers, 1, 256, 0, MoveKvRowsArguments{device_planes.data(), device_rows.data(), device_rows.data(), one_list.data(), nullptr, shape.kv_heads, shape.Width()});
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

inline void Bench(const ModelShape& shape, const std::vector<Format>& formats, const std::vector<int>& contexts, const std::vector<int>& attention_contexts, const std::vector<int>& prompts, bool forwards,
                  int repeats) {
  BenchGaps(repeats);
  BenchWalk(shape, repeats);
  const int most = std::max(*std::max_element(contexts.begin(), contexts.end()), *std::max_element(attention_contexts.begin(), attention_contexts.end())) + 64;
  std::vector<int32_t> pages;
  for (int page = 0; page <= most / kPageRows; ++page) {
    pages.push_back(page);
  }
  for (const Format kv : forwards ? std::vector<Format>{Format::kBF16, Format::kF32} : std::vector<Format>()) {
    BenchAttention(shape, kv, attention_contexts, pages, repeats);
  }
  const int layers = shape.layers;
  for (const Format format : formats) {
    Forward forward(shape, format, Format::kBF16, static_cast<int>(pages.size()) + 1, most, 1, *std::max_element(prompts.begin(), prompts.end()));
    const double bytes = static_cast<double>(forward.WeightBytes());
    std::printf("%s: %.3f GB of weights\n", Name(format), bytes / 1e9);
    auto each = [&](auto step) {
      return Time([&] {
        for (int layer = 0; layer < layers; ++layer) {
          step(layer);
        }
      }, repeats) / layers;
    };
    for (const int rows : {1, 8, 16, 32, 64}) {
      const int bucket = std::max(8, rows);
      forward.Upload(RandomTree(contexts[0], rows, pages, shape.vocabulary), bucket);
      if (rows > 1) {
        std::printf("%s kernels, %2d rows, us:", Name(format), rows);
        std::printf(" qkv %.2f", each([&](int layer) { forward.Qkv(layer); }));
        std::printf(" o %.2f", each([&](int layer) { forward.Output(layer); }));
        std::printf(" gate_up %.2f", each([&](int layer) { forward.GateUp(layer); }));
        std::printf(" down %.2f", each([&](int layer) { forward.Down(layer); }));
        std::printf(" head %.2f", Time([&] { forward.Head(); }, repeats));
        std::printf(" norm %.2f", each([&](int) { forward.Norm(forward.DownSegments()); }));
        std::printf(" rope %.2f", each([&](int layer) { forward.Rope(layer); }));
        std::printf(" choose %.2f\n", Time([&] { forward.Choose(); }, repeats));
        std::printf("%s in a row, %2d rows, us:", Name(format), rows);
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
      }
      for (const int context : forwards ? contexts : std::vector<int>()) {
        forward.Upload(RandomTree(context, rows, pages, shape.vocabulary), bucket);
        std::printf("%s forward, %2d rows, context %5d:", Name(format), rows, context);
        const double plain = Time([&] { forward.Run(); }, repeats);
        if (HasDependentLaunch()) {
          dependent_launch = true;
          const double dependent = Time([&] { forward.Run(); }, repeats);
          dependent_launch = false;
          std::printf(" with dependent launch %.3f ms;", dependent / 1000);
        }
        std::printf(" %.3f ms, %d kernels, %.0f GB/s of weights\n", plain / 1000, forward.Kernels(), bytes / plain / 1000);
      }
      std::fflush(stdout);
    }
    for (const int rows : prompts) {
      forward.Upload(Prompt(rows, pages, shape.vocabulary), rows);
      const double us = Time([&] { forward.Run(); }, repeats);
      std::printf("%s prompt of %d rows: %.3f ms, %.0f tokens/s, %.0f TFLOP/s of products\n", Name(format), rows, us / 1000, rows / us * 1e6, 2 * shape.Parameters() * rows / us / 1e6);
      std::fflush(stdout);
    }
  }
}

}  // namespace nativespec::cuda
