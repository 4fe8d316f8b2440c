// How each kernel is launched: grids, shared memory, rings. What a driver layer has to do, in one place.
#pragma once

#include <algorithm>

#include "gpu.h"

namespace nativespec::cuda {

using MatMulKernelOf = void (*)(const MatMulArguments);

inline MatMulKernelOf MatMulKernel(Format format, int bucket) {
  const int size = bucket == 8 ? 0 : bucket == 16 ? 1 : bucket == 32 ? 2 : 3;
#define NS_BUCKETS(name) {matmul_##name##_8, matmul_##name##_16, matmul_##name##_32, matmul_##name##_64}
  static const MatMulKernelOf bf16[] = NS_BUCKETS(bf16), f16[] = NS_BUCKETS(f16), f32[] = NS_BUCKETS(f32), q8[] = NS_BUCKETS(q8), q4[] = NS_BUCKETS(q4);
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
        stages((its_in + Sizes(its_format).columns - 1) / Sizes(its_format).columns),
        segments(its_gate_up ? 1 : Segments(its_out, stages)),
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

inline int ring_reserve = 24 << 10;

/// y: partial sums, or packed activations for gate and up.
inline void MatMul(const Weight& w, int bucket, const uint8_t* x, void* y, float swiglu_scale = 1) {
  const FormatSizes sizes = Sizes(w.format);
  const int together = MatMulSlabs(bucket), blocks = 2 / together;  // blocks on a multiprocessor
  const int stage = together * sizes.stage_bytes + sizes.columns / 32 * (bucket / 8) * 512;
  // All the shared memory there is, but for what a norm takes that is to begin beside it.
  const int ring = std::max(2, std::min(16, (SharedBytesPerMultiprocessor() - ring_reserve) / blocks / (stage + 16)));
  const MatMulArguments a{w.packed.data(), x,        static_cast<uint8_t*>(y), w.stages, w.segments, Slabs(w.out), w.out, ring,
                          w.gate_up,       w.scale, swiglu_scale};
  const int grid = std::min((Slabs(w.out) + together - 1) / together * w.segments, blocks * Multiprocessors());
  Launch(MatMulKernel(w.format, bucket), grid, 1, MatMulThreads(bucket), RingBytes(stage, ring), a);
}

inline void RmsNorm(const RmsNormArguments& a, int rows) { Launch(rms_norm, rows, 1, kNormThreads, a.width * 4 + kNormThreads / 32 * 4, a); }

inline void RopeAppend(const RopeAppendArguments& a, int rows) {
  Launch(rope_append, rows, (a.heads + 2 * a.kv_heads + 3) / 4, 128, 4 * 128 * 4, a);
}

/// pairs: 16, 64 or 256, that a block takes together.
inline void TreeAttention(const TreeAttentionArguments& a, int width, int pairs) {
  const int warps = pairs == 16 ? 1 : pairs == 64 ? 4 : 8, stages = pairs == 256 ? 3 : 2, row = width * 2;
  const int shared = (RingBytes(2 * kStepKeys * row, stages) + 127) / 128 * 128 + pairs * row + (pairs == 16 ? 2 * 4 * 16 * row : 0);
  auto kernel = width == 64 ? (pairs == 16 ? tree_attention_64_16 : pairs == 64 ? tree_attention_64_64 : tree_attention_64_256)
                            : (pairs == 16 ? tree_attention_128_16 : pairs == 64 ? tree_attention_128_64 : tree_attention_128_256);
  const int blocks = pairs == 256 ? 1 : 2;
  Launch(kernel, blocks * Multiprocessors(), 1, warps * 32, shared, a);
}

inline void AttentionFold(const AttentionFoldArguments& a, int rows) { Launch(attention_fold, rows, (a.heads + 3) / 4, 128, 0, a); }

/// Rows of one sequence with their positions and slots, as the lists of work are made from them.
struct AttentionRows {
  int first, rows, pages;  // the first row in the batch, and the sequence's first page
  std::vector<int> positions, trunk;  // of these rows
};

/// Lists of work for the three shapes: [0] 16 pairs, [1] 64, [2] 256. Items of 16 take what gathers and what is too little for more. Long units
/// first, so that short ones fill the end.
inline void PlanAttention(const std::vector<AttentionRows>& sequences, int group, int window, int most_pairs, std::vector<AttentionItem> (&items)[3]) {
  for (auto& list : items) {
    list.clear();
  }
  constexpr int kPairs[3] = {16, 64, 256};
  for (const AttentionRows& sequence : sequences) {
    // The units first_unit to last_unit, as far as a tile's rows see them.
    auto tiles = [&](int shape, int first_unit, int last_unit) {
      const int together = std::max(1, kPairs[shape] / group);
      for (int first = 0; first < sequence.rows; first += together) {
        const int count = std::min(together, sequence.rows - first);
        const auto begin = sequence.positions.begin() + first, end = begin + count;
        const int last = *std::max_element(begin, end), least = *std::min_element(begin, end);
        const int from = window > 0 ? UnitOf(std::max(0, least - window + 1)) : 0;
        for (int unit = std::min(UnitOf(last), last_unit); unit >= std::max(from, first_unit); --unit) {
          int begin = UnitBegin(unit), slots = 1 << 30;
          const int past = std::min(UnitBegin(unit + 1), last + 1);
          if (window > 0 && least - window + 1 > begin) {
            begin = (least - window + 1) / kStepKeys * kStepKeys;
          }
          for (int i = first; i < first + count; ++i) {
            slots = sequence.trunk[static_cast<size_t>(i)] <= sequence.positions[static_cast<size_t>(i)] ? std::min(slots, sequence.trunk[static_cast<size_t>(i)]) : slots;
          }
          items[shape].push_back({sequence.first + first, count, unit, begin, past, slots < past ? slots : past, least, sequence.pages});
        }
      }
    };
    int slots = 1 << 30, last = 0;
    for (int i = 0; i < sequence.rows; ++i) {
      last = std::max(last, sequence.positions[i]);
      slots = sequence.trunk[i] <= sequence.positions[i] ? std::min(slots, sequence.trunk[i]) : slots;
    }
    const int pairs = std::min(sequence.rows * group, most_pairs), shape = pairs <= 16 ? 0 : pairs <= 64 ? 1 : 2;
    // Units before the one where slots end are shared by all rows.
    const int shared_units = slots > last ? UnitOf(last) + 1 : UnitOf(slots);
    tiles(shape, 0, shared_units - 1);
    tiles(0, shared_units, UnitOf(last));
  }
  for (auto& list : items) {
    std::stable_sort(list.begin(), list.end(), [](const AttentionItem& a, const AttentionItem& b) {
      return UnitBegin(a.unit + 1) - UnitBegin(a.unit) > UnitBegin(b.unit + 1) - UnitBegin(b.unit);
    });
  }
}

}  // namespace nativespec::cuda
