// How each kernel is launched: grids, shared memory, rings. What a driver layer has to do, in one place: the C# suite asks the emulated driver for these
// (native/cuda_driver/launch_shapes.cpp) and compares them with its own (CudaLayout, CudaKernels).
#pragma once

#include <algorithm>

#include "../../../kernels/cuda/operations.h"
#include "../../../kernels/cuda/ring.h"

namespace nativespec::cuda {

/// Numbers of a format that the templates know.
struct FormatSizes {
  int columns, stage_bytes;
  bool bf16;
};
template <Format F>
constexpr FormatSizes SizesOf() {
  using L = WeightLayout<F>;
  return {L::kColumns, L::kStageBytes, L::kBF16};
}
inline FormatSizes Sizes(Format format) {
  switch (format) {
    case Format::kBF16: return SizesOf<Format::kBF16>();
    case Format::kF16: return SizesOf<Format::kF16>();
    case Format::kF32: return SizesOf<Format::kF32>();
    case Format::kQ8: return SizesOf<Format::kQ8>();
    default: return SizesOf<Format::kQ4>();
  }
}

inline int StagesOf(Format format, int in) { return (in + Sizes(format).columns - 1) / Sizes(format).columns; }

/// Gate and up leave as the rows of the next product, so their sums are not cut.
inline int SegmentsOf(int out, int stages, bool gate_up) { return gate_up ? 1 : Segments(out, stages); }

/// What a norm takes that is to begin beside a product.
inline constexpr int kBesideMatMul = 24 << 10;

/// A product's launch: blocks of so many rows, the stages of their ring, the grid, shared memory of a block.
struct ProductShape {
  int rows, row_blocks, ring, grid, shared_bytes;
};

/// shared_bytes: what a multiprocessor has, which its blocks share but for what a norm takes beside them.
inline ProductShape ShapeOfMatMul(Format format, int out, int segments, int bucket, int multiprocessors, int shared_bytes) {
  const FormatSizes sizes = Sizes(format);
  const int rows = std::min(bucket, 128), row_blocks = bucket / rows, blocks = rows < 128 ? 2 : 1;
  const int stage = sizes.stage_bytes + sizes.columns / 32 * (rows / 8) * 512;
  const int ring = std::max(2, std::min(16, (shared_bytes - kBesideMatMul) / blocks / (stage + 16)));
  return {rows, row_blocks, ring, std::min(Slabs(out) * segments * row_blocks, blocks * multiprocessors), RingBytes(stage, ring)};
}

/// Grids of a row: four heads a block.
inline int RotationGrid(int heads, int kv_heads) { return (heads + 2 * kv_heads + 3) / 4; }
inline int FoldGrid(int heads) { return (heads + 3) / 4; }
inline constexpr int kRotationBytes = 4 * 128 * 4;

inline int AttentionGrid(int multiprocessors) { return 2 * multiprocessors; }

}  // namespace nativespec::cuda
