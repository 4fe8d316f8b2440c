// What every kernel must do: results against float64, the same bits for a row alone and in any company, trees as chains. Runs on the emulator and
// on a part; sizes follow what each can do in time.
#pragma once

#include <stdexcept>

#include "test_attention.h"
#include "test_ceilings.h"
#include "test_choice.h"
#include "test_forward.h"
#include "test_layers.h"
#include "test_products.h"
#include "test_rows.h"
#include "test_walk.h"

namespace nativespec::cuda {

/// All tests, or those of one kernel; the digest of what they computed.
inline uint64_t RunConformance(const std::string& only = "") {
  Digest digest;
  bool known = only.empty();
  auto wanted = [&](const char* what) {
    known = known || only == what;
    return only.empty() || only == what;
  };
  if (wanted("matmul")) {
    for (const Format format : {Format::kBF16, Format::kF16, Format::kF32, Format::kQ8, Format::kQ4}) {
      MatMulConformance(format, 200, 300, digest);
      if (large_cases) {
        MatMulConformance(format, 1024, 4096, digest);
        MatMulConformance(format, 6144, 4096, digest);
      }
      if (RowParts(format) < 2) {
        SwiGluConformance(format, 136, 160, digest);
      }
    }
    MatMulConformance(Format::kQ4, 136, 2100, digest);  // more stages than the ring holds
  }
  if (wanted("rms_norm")) {
    RmsNormConformance(digest);
  }
  if (wanted("finish_rows")) {
    FinishRowsConformance(digest);
  }
  if (wanted("rope_append")) {
    for (const Format kv : {Format::kBF16, Format::kF32}) {
      RopeAppendConformance(kv, digest);
    }
  }
  const bool fold = wanted("attention_fold");  // both are one test
  if (wanted("tree_attention") || fold) {
    AttentionConformance(4, 1, 64, 275, 9, 0, Format::kBF16, digest);
    AttentionConformance(6, 2, 128, 130, 24, 0, Format::kBF16, digest);
    AttentionConformance(4, 2, 64, 300, 40, 90, Format::kBF16, digest);
    AttentionConformance(2, 2, 64, 0, 5, 0, Format::kBF16, digest);
    AttentionConformance(6, 2, 128, 130, 28, 0, Format::kF32, digest);  // 84 pairs: 63 by four warps, 21 by two
    AttentionConformance(4, 1, 64, 300, 13, 90, Format::kF32, digest);
    if (large_cases) {
      for (const Format kv : {Format::kBF16, Format::kF32}) {
        AttentionConformance(32, 8, 128, 1000, 64, 0, kv, digest);
        AttentionConformance(32, 8, 128, 9300, 64, 0, kv, digest);
        AttentionConformance(28, 4, 128, 2500, 33, 600, kv, digest);
      }
    }
  }
  if (wanted("choose")) {
    ChooseConformance(digest);
  }
  if (wanted("top_k")) {
    TopKConformance(digest);
  }
  if (wanted("move_kv_rows")) {
    for (const int width : {64, 256}) {
      MoveConformance(width);
    }
  }
  if (wanted("walk_trees")) {
    WalkConformance(digest);
  }
  if (wanted("ceilings")) {
    ReadBytesConformance();
    MultiplyTilesConformance();
  }
  if (wanted("forward")) {
    for (const Format format : {Format::kBF16, Format::kQ8, Format::kQ4}) {
      ForwardConformance(format, Format::kBF16, digest);
    }
    ForwardConformance(Format::kF32, Format::kF32, digest);
  }
  if (wanted("layers")) {
    for (const Format format : {Format::kBF16, Format::kQ8, Format::kQ4}) {
      LayersConformance(format, digest);
    }
  }
  if (!known) {
    throw std::invalid_argument("no test is called " + only);
  }
  return digest.value;
}

}  // namespace nativespec::cuda
