// Layers of a model's true shape: what must not change a bit of a row.
#pragma once

#include "numbers.h"
#include "trees.h"

namespace nativespec::cuda {

/// The rows of two random trees side by side in a full bucket, against each row alone, each tree alone, another run, a graph, and dependent launch; and a prompt in one pass against the same
/// prompt grown by eight rows and by one.
inline void LayersConformance(Format format, Digest& digest) {
  const std::string what = std::string("layers ") + Name(format);
  const ModelShape shape = large_cases && Attends(128, Format::kBF16) ? ModelShape{2, 4096, 14336, 32, 8, 128, 16000}
                           : large_cases                               ? ModelShape{2, 4096, 14336, 64, 16, 64, 16000}
                                                                       : ModelShape{1, 128, 192, 4, 2, 32, 300};
  const int trunk = large_cases ? 1000 : 70, nodes = large_cases ? 32 : 6, bucket = large_cases ? 64 : 16, vocabulary = shape.vocabulary;
  const int each = (trunk + nodes) / kPageRows + 1;
  std::vector<int32_t> pages[2];
  for (int page = 0; page < 2 * each; ++page) {
    pages[page % 2].push_back(2 * each - 1 - page);
  }
  Forward forward(shape, format, Format::kBF16, 2 * each + 1, trunk + nodes, 21, 128);
  auto row_of = [&](const std::vector<float>& logits, int row) {
    return std::vector<float>(logits.begin() + static_cast<int64_t>(row) * vocabulary, logits.begin() + static_cast<int64_t>(row + 1) * vocabulary);
  };
  auto run = [&](const Rows& rows, int its_bucket) {
    forward.Upload(rows, its_bucket);
    forward.Run();
    Finish();
    auto logits = forward.Logits();
    logits.resize(static_cast<size_t>(rows.count()) * static_cast<size_t>(vocabulary));
    return logits;
  };

  Rows both, trees[2];
  for (int i = 0; i < 2; ++i) {
    AddRandomTree(both, trunk, nodes, pages[i], vocabulary, static_cast<uint64_t>(7 + i));
    AddRandomTree(trees[i], trunk, nodes, pages[i], vocabulary, static_cast<uint64_t>(7 + i));
  }
  const auto all = run(both, bucket);
  digest.Add(all);
  CHECK(*std::max_element(all.begin(), all.end()) > *std::min_element(all.begin(), all.end()));
  CHECK_SAME(what + ", once more", run(both, bucket), all);
  RunAsGraph([&] { forward.Run(); }, [&] { forward.ForgetLogits(); });
  auto of_graph = forward.Logits();
  of_graph.resize(all.size());
  CHECK_SAME(what + ", as a graph", of_graph, all);
  if (HasDependentLaunch()) {
    dependent_launch = !dependent_launch;
    CHECK_SAME(what + ", with and without dependent launch", run(both, bucket), all);
    dependent_launch = !dependent_launch;
  }
  for (int i = 0; i < 2; ++i) {
    const auto apart = run(trees[i], bucket);
    CHECK_SAME(what + ", a tree without the other", apart, std::vector<float>(all.begin() + static_cast<int64_t>(i * nodes) * vocabulary, all.begin() + static_cast<int64_t>((i + 1) * nodes) * vocabulary));
    for (int node = 0; node < nodes; ++node) {
      CHECK_SAME(what + ", node " + std::to_string(node) + " alone", run(RowAlone(trees[i], node, pages[i]), 8), row_of(all, i * nodes + node));
    }
  }

  const int prompt = std::min(trunk, 100);
  const auto in_one_pass = row_of(run(Prompt(0, prompt, pages[0], vocabulary), 128), prompt - 1);
  const int last = prompt - 4;
  for (int from = 0; from < last; from += 8) {  // in other pages, which have no keys yet
    run(Prompt(from, std::min(8, last - from), pages[1], vocabulary), 8);
  }
  std::vector<float> grown;
  for (int from = last; from < prompt; ++from) {
    grown = row_of(run(Prompt(from, 1, pages[1], vocabulary), 8), 0);
  }
  CHECK_SAME(what + ", a prompt grown by eight rows and by one", grown, in_one_pass);
}

}  // namespace nativespec::cuda
