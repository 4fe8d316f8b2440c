// Launches of the kernels, each as launch_shapes.h says.
#pragma once

#include <algorithm>

#include "gpu.h"
#include "launch_shapes.h"

namespace nativespec::cuda {

using MatMulKernelOf = KernelOf<MatMulArguments>;

inline MatMulKernelOf MatMulKernel(Format format, int bucket) {
  const int size = bucket == 8 ? 0 : bucket == 16 ? 1 : bucket == 32 ? 2 : bucket == 64 ? 3 : 4;
#define NS_BUCKETS(name) {matmul_##name##_8, matmul_##name##_16, matmul_##name##_32, matmul_##name##_64, matmul_##name##_128}
  static const MatMulKernelOf bf16[] = NS_BUCKETS(bf16), f16[] = NS_BUCKETS(f16), f32[] = {nullptr, matmul_f32_16, matmul_f32_32, matmul_f32_64, matmul_f32_128}, q8[] = NS_BUCKETS(q8), q4[] = NS_BUCKETS(q4);
#undef NS_BUCKETS
  switch (format) {
    case Format::kBF16: return bf16[size];
    case Format::kF16: return f16[size];
    case Format::kF32: return f32[size];
    case Format::kQ8: return q8[size];
    default: return q4[size];
  }
}

inline const char* Name(Format format) {
  return format == Format::kBF16 ? "bf16" : format == Format::kF16 ? "f16" : format == Format::kF32 ? "f32" : format == Format::kQ8 ? "q8" : "q4";
}

/// A weight matrix on the device.
struct Weight {
  Format format;
  int out, in, stages, segments;
  bool gate_up;
  float scale = 1;  // what was taken out of it
  DeviceArray<uint8_t> packed;

  Weight(Format its_format, int its_out, int its_in, bool its_gate_up)
      : format(its_format),
        out(its_out),
        in(its_in),
        stages(StagesOf(its_format, its_in)),
        segments(SegmentsOf(its_out, stages, its_gate_up)),
        gate_up(its_gate_up),
        packed(static_cast<size_t>(Slabs(its_out)) * static_cast<size_t>(stages) * static_cast<size_t>(Sizes(its_format).stage_bytes)) {}

  size_t Bytes() const { return packed.size(); }

  void Pack(const uint8_t* source, Format source_format) const {
    const PackWeightsArguments a{source, packed.data(), static_cast<int32_t>(source_format), out, in, gate_up, 1};
    auto kernel = format == Format::kBF16  ? pack_weights_bf16
                  : format == Format::kF16 ? pack_weights_f16
                  : format == Format::kF32 ? pack_weights_f32
                  : format == Format::kQ8  ? pack_weights_q8
                                           : pack_weights_q4;
    Launch(kernel, 4 * Multiprocessors(), 1, 256, 0, a);
  }
};

/// y: partial sums, or packed activations for gate and up.
inline void MatMul(const Weight& w, int bucket, const uint8_t* x, void* y, float swiglu_scale = 1) {
  const ProductShape shape = ShapeOfMatMul(w.format, w.out, w.segments, bucket, Multiprocessors(), SharedBytesPerMultiprocessor());
  const MatMulArguments a{w.packed.data(),  x,          static_cast<uint8_t*>(y), w.stages, w.segments, Slabs(w.out), w.out,
                          shape.row_blocks, shape.ring, w.gate_up,                w.scale,  swiglu_scale};
  Launch(MatMulKernel(w.format, bucket), shape.grid, 1, kMatMulThreads, shape.shared_bytes, a);
}

inline void RmsNorm(const RmsNormArguments& a, int rows) {
  Launch(rms_norm, rows, 1, NormThreads(a.width), a.gain == nullptr && a.post_gain == nullptr ? 0 : NormBytes(a.width), a);
}

/// Rows are neither chosen nor normed, which would take shared memory.
inline void FinishRows(const FinishRowsArguments& a, int rows) { Launch(finish_rows, rows, FinishBlocks(a.width), NormThreads(a.width), 0, a); }

inline void RopeAppend(const RopeAppendArguments& a, int rows) {
  Launch(rope_append, rows, RotationGrid(a.heads, a.kv_heads), 128, kRotationBytes, a);
}

/// Whether the part gives a block what attention over heads so wide takes: some have 99 KB.
inline bool Attends(int width, Format kv) { return AttentionBytes(width <= 64 ? 64 : 128, kv) <= SharedBytesOfBlock(); }

inline int AttentionBlocks() { return AttentionGrid(Multiprocessors()); }

inline void TreeAttention(const TreeAttentionArguments& a, int width, Format kv) {
  auto kernel = kv == Format::kF32 ? (width == 64 ? tree_attention_f32_64 : tree_attention_f32_128) : width == 64 ? tree_attention_bf16_64 : tree_attention_bf16_128;
  Launch(kernel, AttentionBlocks(), 1, 128, AttentionBytes(width, kv), a);
}

inline void AttentionFold(const AttentionFoldArguments& a, int rows) { Launch(attention_fold, rows, FoldGrid(a.heads), 128, 0, a); }

/// Rows of one sequence with their positions and slots, as the lists of work are made from them.
struct AttentionRows {
  int first, rows, pages;  // the first row in the batch, and the sequence's first page
  std::vector<int> positions, trunk;  // of these rows
};

/// The list of work of tree_attention. Rows are taken 16 pairs at a time where their keys lie elsewhere, and where that makes few enough items to
/// run side by side or nearly so; else 64 pairs at a time, since each item reads all keys of its unit. Long units come first, so that short ones
/// fill the end, and items of one unit stand side by side, so that its keys come from memory once.
inline std::vector<AttentionItem> PlanAttention(const std::vector<AttentionRows>& sequences, int heads, int kv_heads, int window, int most_rounds = 1) {
  const int group = heads / kv_heads;
  std::vector<AttentionItem> items;
  for (const AttentionRows& sequence : sequences) {
    const int last = *std::max_element(sequence.positions.begin(), sequence.positions.end());
    int slots = 1 << 30;
    for (int i = 0; i < sequence.rows; ++i) {
      slots = sequence.trunk[static_cast<size_t>(i)] <= sequence.positions[static_cast<size_t>(i)] ? std::min(slots, sequence.trunk[static_cast<size_t>(i)]) : slots;
    }
    const int few = std::max(1, 16 / group), many = std::max(1, 64 / group), units = UnitOf(last) + 1;
    const int tiles = (sequence.rows + few - 1) / few;
    const bool all_few = tiles * units * kv_heads <= most_rounds * AttentionBlocks();
    for (int unit = units - 1; unit >= 0; --unit) {
      const bool shared = slots >= std::min(UnitBegin(unit + 1), last + 1);
      const int together = shared && !all_few ? many : few;
      for (int first = 0; first < sequence.rows; first += together) {
        const int count = std::min(together, sequence.rows - first);
        const auto begin = sequence.positions.begin() + first, end = begin + count;
        const int sees_all = *std::min_element(begin, end), past = std::min(UnitBegin(unit + 1), *std::max_element(begin, end) + 1);
        const int from = window > 0 ? std::max(UnitBegin(unit), (sees_all - window + 1) / kStepKeys * kStepKeys) : UnitBegin(unit);
        if (from < past) {
          const auto in_unit = [&](int position) { return static_cast<uint16_t>(std::clamp(position, UnitBegin(unit), UnitBegin(unit + 1)) - UnitBegin(unit)); };
          items.push_back({sequence.pages, static_cast<uint16_t>(unit), static_cast<uint16_t>(sequence.first + first), static_cast<uint8_t>(count),
                           static_cast<uint8_t>(in_unit(from) / kStepKeys), in_unit(past), in_unit(std::min(slots, past)), in_unit(sees_all + 1)});
        }
      }
    }
  }
  std::stable_sort(items.begin(), items.end(), [](const AttentionItem& a, const AttentionItem& b) { return a.end - a.begin_steps * kStepKeys > b.end - b.begin_steps * kStepKeys; });
  return items;
}

}  // namespace nativespec::cuda
