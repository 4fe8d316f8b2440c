// How the kernels hold weights, activations, keys and values, and which sums they form in which order. What stands here decides bits, and
// nothing that stands elsewhere does: grids, buckets of rows, rings and instructions are free.
#pragma once

#include "device.h"

namespace nativespec::cuda {

// ---- weights ----
//
// A matrix [out, in] is cut into slabs of 128 outputs, a slab into stages of some columns; a stage is one piece of memory:
//     vectors  [vector][row tile 8][lane 32] of 16 bytes, in the order in which a lane's registers hold a 16×16 tile of the left operand:
//              row g and g + 8 by columns 2t, 2t + 1, then the same rows by columns 2t + 8, 2t + 9, for lane 4g + t
//     scales   [row tile 8][g 8][block], a word each: the binary16 scales of rows g (low) and g + 8
// Rows and columns past the matrix are zero.
//
//     BF16, F16   64 columns: four tiles, a vector each
//     F32         32 columns: two tiles as BF16, each followed by what that left, as BF16: 16 bits of significand
//     q8         128 columns: eight tiles, two in a vector; bytes (row g: two columns, row g + 8: two columns)
//     q4         128 columns: eight tiles, four in a vector; a word is a tile: its halves are columns 2t and 2t + 1 (2t + 8, 2t + 9 in the
//                high byte), the low digit row g, the high digit row g + 8
// Blocks of q8 are 64 columns, of q4 32, as on the CPU (kernels/cpu/quantized.h): the same whole numbers, the same scales.

enum class Format : int32_t { kF32 = 0, kF16 = 1, kBF16 = 2, kQ8 = 8, kQ4 = 4 };

inline constexpr int kSlabRows = 128;

template <Format F>
struct WeightLayout {
  static constexpr bool kQuantized = F == Format::kQ8 || F == Format::kQ4;
  static constexpr int kColumns = F == Format::kF32 ? 32 : kQuantized ? 128 : 64;
  static constexpr int kVectors = F == Format::kQ4 ? 2 : 4;
  static constexpr int kTilesPerVector = F == Format::kQ8 ? 2 : F == Format::kQ4 ? 4 : 1;
  static constexpr int kBlockColumns = F == Format::kQ8 ? 64 : 32;
  static constexpr int kBlocks = kQuantized ? kColumns / kBlockColumns : 0;
  static constexpr int kVectorBytes = kVectors * 8 * 512;
  static constexpr int kStageBytes = kVectorBytes + kBlocks * 64 * 4;
  /// Activations are BF16 beside weights of BF16 and F32, and F16 beside the others, whose products F16 holds exactly or with one rounding.
  static constexpr bool kBF16 = F == Format::kBF16 || F == Format::kF32;
};

/// Stages of a slab.
template <Format F>
NS_BOTH int Stages(int in) {
  return (in + WeightLayout<F>::kColumns - 1) / WeightLayout<F>::kColumns;
}
NS_BOTH int Slabs(int out) { return (out + kSlabRows - 1) / kSlabRows; }

/// In how many segments a product's sum over k is cut, by the weight's shape alone: segments are summed by themselves, stage after stage, and
/// then added from the first to the last. The number makes enough pieces of work for a large part (docs/performance-gpu.md).
NS_BOTH int Segments(int out, int stages) {
  int segments = 1;
  while (segments < 8 && Slabs(out) * segments < 192 && segments * 2 <= stages) {
    segments *= 2;
  }
  return segments;
}
NS_BOTH int SegmentBegin(int segment, int segments, int stages) { return (int)((int64_t)segment * stages / segments); }

/// Rows of gate and up lie in turns of eight, so that one lane holds both of a pair: row r of the packed matrix is this row of gate above up.
NS_BOTH int GateUpRow(int row, int hidden) { return row / 16 * 8 + row % 8 + (row % 16 < 8 ? 0 : hidden); }

// ---- activations ----
//
// Rows of numbers of a format:
//     F16        beside weights of F16, q8 and q4
//     BF16       beside weights of BF16
//     two BF16   beside weights of F32: the number as BF16, and what that left, which is a row of its own, behind the first parts of all rows. A product of
//                so many rows leaves twice the partial sums, as if it had twice the segments, and who adds them up need not know why.
// They lie as the right operand: [column / 32][row / 8] of 512 bytes, in it [column / 8 % 4][row % 8] of 8 columns. Who writes
// them fills the columns up to a multiple of 128 with zeros: stages reach that far, and zero weights make nothing of what is not a number.

/// BF16 parts of a number of a row beside weights of a format; 0: one number of F16.
NS_BOTH int RowParts(Format format) { return format == Format::kF32 ? 2 : format == Format::kBF16 ? 1 : 0; }
/// Rows that a row of so many parts is.
NS_BOTH int RowsOfParts(int parts) { return parts < 2 ? 1 : parts; }

/// The place of eight columns of a row, in 16-byte pieces. tiles: rows of the bucket, of all parts, / 8.
NS_BOTH int64_t ActivationPiece(int row, int column, int tiles) {
  return ((int64_t)(column / 32) * tiles + row / 8) * 32 + column / 8 % 4 * 8 + row % 8;
}
NS_BOTH int FilledColumns(int columns) { return (columns + 127) / 128 * 128; }
NS_BOTH int64_t ActivationBytes(int columns, int tiles) { return (int64_t)FilledColumns(columns) * tiles * 16; }

// ---- keys and values ----
//
// Per layer [page][KV head][position in page 64][part][head width], where the width is filled up to 64 or 128 with zeros, and the 16-byte pieces
// of a row are exchanged by its number, so that eight rows' pieces lie in different banks of shared memory.
//
//     BF16    one part
//     F32     two parts, as of weights: the number as BF16, and what that left, as BF16: 16 bits of significand
// Queries and probabilities have as many parts as keys and values. A product is that of all parts, but for what two second parts would give, which
// is less than what the parts themselves leave out.

inline constexpr int kPageRows = 64;

NS_BOTH int KvParts(Format format) { return format == Format::kF32 ? 2 : 1; }

/// The place of eight numbers of a row, in 16-byte pieces. width: all parts' numbers.
NS_BOTH int64_t KvPiece(int cache_row, int kv_head, int piece, int kv_heads, int width) {
  return (((int64_t)(cache_row / kPageRows) * kv_heads + kv_head) * kPageRows + cache_row % kPageRows) * (width / 8) + (piece ^ (cache_row & 7));
}

// ---- attention ----
//
// A row's keys in the order of their positions are taken in steps of 64 with a running maximum. Steps make units, whose bounds are a function
// of the position: 128 positions each up to 1024, 256 up to 4096, 512 up to 16384, then 1024. Short contexts thus have enough units to be taken
// side by side, and long ones not too many to fold. A unit's result is (maximum m, sum l, weighted values o); a row's result is
// Σ o 2^(m − M) / Σ l 2^(m − M), M = max m, units from the first to the last.

inline constexpr int kStepKeys = 64;

NS_BOTH int UnitBegin(int unit) {
  return unit <= 8 ? unit * 128 : unit <= 20 ? 1024 + (unit - 8) * 256 : unit <= 44 ? 4096 + (unit - 20) * 512 : 16384 + (unit - 44) * 1024;
}
/// The unit a position lies in.
NS_BOTH int UnitOf(int position) {
  return position < 1024 ? position / 128 : position < 4096 ? 8 + (position - 1024) / 256 : position < 16384 ? 20 + (position - 4096) / 512 : 44 + (position - 16384) / 1024;
}

}  // namespace nativespec::cuda
