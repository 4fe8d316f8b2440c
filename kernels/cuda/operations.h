// The kernels' arguments. Pointers are device memory; graphs hold them, so what changes from round to round lies behind pointers: batches,
// lists of work and their lengths.
#pragma once

#include "layout.h"

namespace nativespec::cuda {

/// x[row] = table[tokens[row]] · scale. A block per row, 256 threads.
struct EmbedArguments {
  const uint8_t* table;  // [vocabulary, width]
  const int32_t* tokens;
  float* x;  // [rows, width]
  int32_t width;
  int32_t format;  // kF32, kF16, kBF16
  float scale;
};

/// x[row] += Σ partial sums of the product in front (or their norm, where post_gain is given); y[row] = norm of x[row], packed. A block per row
/// of y, NormThreads; NormBytes of shared memory where there is a gain, and none else.
struct RmsNormArguments {
  float* x;               // [rows, width]
  const float* partials;  // [segments][bucket][width], or null with 0 segments
  const float* post_gain;  // [width] or null
  const float* gain;       // [width], or null: x itself is packed
  const int32_t* source;   // rows to take, or null: row i of y is row i of x. Where rows are chosen x is not written.
  uint8_t* y;              // packed activations
  int32_t segments;
  int32_t bucket;    // rows of the partial sums
  int32_t y_tiles;   // rows of y, of all parts, / 8
  int32_t width;
  int32_t parts;     // of a number of y: RowParts
  float epsilon;
};
inline constexpr int kNormThreads = 1024;  // at most
/// Whole warps, a thread for every four columns that are filled as far as there are so many.
NS_BOTH int NormThreads(int width) { return FilledColumns(width) / 4 < kNormThreads ? FilledColumns(width) / 4 : kNormThreads; }
NS_BOTH int NormBytes(int width) { return width * 4 + kNormThreads / 32 * 4; }

/// y[i] = an epilogue of the product whose partial sums and bias these are and of x, or the norm of that where there is a gain:
///     kStore, kAdd   x + product
///     kAddSilu       x + silu(product)
///     kSwiGlu        silu(gate) · up, gate above up (not in turns); x takes no part
/// NormThreads. Where rows are chosen or there is a gain a block per row of y, with NormBytes of shared memory; else none, and a grid of (rows, FinishBlocks).
/// y may be x where rows are not chosen.
struct FinishRowsArguments {
  const float* x;          // [rows, width] or null: zeros
  const float* partials;   // [segments][bucket][width, or 2 · width for kSwiGlu], or null with 0 segments
  const float* bias;       // [width, or 2 · width for kSwiGlu] or null
  const float* gain;       // [width] or null
  const int32_t* source;   // rows of x and of the partial sums to take, or null: row i
  float* y;                // [rows, width]
  int32_t segments;
  int32_t bucket;          // rows of the partial sums
  int32_t width;           // a multiple of 4 where rows are chosen or there is a gain
  int32_t epilogue;
  float epsilon;
};
/// Blocks of a row whose columns have nothing to do with one another: a thread has four columns, up to 64 blocks.
NS_BOTH int FinishBlocks(int width) { return width <= 4 * kNormThreads ? 1 : width < 64 * 4 * kNormThreads ? (width + 4 * kNormThreads - 1) / (4 * kNormThreads) : 64; }
inline constexpr int kStore = 0, kAdd = 1, kSwiGlu = 2, kAddSilu = 3;  // as src/NativeSpec/Backends/PlanStep.cs numbers them

/// y = W x: partial sums of segments; or, for gate and up in turns, packed silu(gate) · up. A grid of any size, kMatMulThreads. Rows are those of the
/// kernel's name, tiles of eight; or, for the kernel of 128 rows, some times as many. Rows of two parts are two rows (RowParts): partial sums of the parts
/// stand behind one another in each segment.
struct MatMulArguments {
  const uint8_t* weights;
  const uint8_t* x;  // packed activations
  uint8_t* y;        // float [segments][rows][out], or packed activations
  int32_t stages;    // of a slab
  int32_t segments;
  int32_t slabs;
  int32_t out;        // rows of the matrix
  int32_t row_blocks;  // of 128 rows; 1 for the other kernels
  int32_t ring;       // stages that the shared memory holds
  int32_t swiglu;     // 1: one segment, y is packed, [out / 2] columns; not beside F32, whose parts must be added first
  float scale;        // what the sums are multiplied by: a power of two
  float swiglu_scale;  // what is packed is multiplied by: a power of two, so that F16 holds it; limited to ±65504
};
inline constexpr int kMatMulThreads = 288;

/// Sums the segments of q, k and v, adds biases, norms heads of q and k, turns them by the angles of the row's position; q goes to q, k and v to the cache, in parts.
/// Four heads a block of 128 threads: grid (rows, (heads + 2 kv_heads + 3) / 4).
struct RopeAppendArguments {
  const float* partials;  // [segments][bucket][(heads + 2 kv_heads) · head_width]
  const float* bias;      // [(heads + 2 kv_heads) · head_width] or null
  const float* q_gain;    // [head_width] or null
  const float* k_gain;
  const float* cos;  // [positions, rotated / 2]
  const float* sin;
  const int32_t* positions;  // [rows]; −1: a row that only fills the bucket
  const int32_t* kv_rows;    // [rows]
  uint16_t* q;             // BF16 [rows][heads][parts][width]
  uint8_t* keys;
  uint8_t* values;
  int32_t segments;
  int32_t bucket;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_width;
  int32_t width;    // 64 or 128
  int32_t rotated;  // numbers of a head that are turned, in pairs (i, i + rotated / 2)
  int32_t parts;    // KvParts
  float epsilon;
};

/// Rows of one sequence, next to one another in the batch, and a unit of their keys. Positions are counted from the unit's first, so that an item goes up as
/// 16 bytes and is one load (OpenItem has them as the batch counts).
struct alignas(16) AttentionItem {
  int32_t pages;  // the sequence's first page
  uint16_t unit;
  uint16_t first;
  uint8_t rows;
  uint8_t begin_steps;  // steps of 64 positions that no row sees, before the first that one does
  uint16_t end;         // past the last position that a row sees
  uint16_t slots;       // so many positions lie in their own slots for every row
  uint16_t sees_all;    // so many positions does every row see
};

/// Attention of items' rows over items' units. Items hold up to 64 pairs of a row and a query head of one KV head, or up to 16 where some of their
/// keys lie elsewhere. Grid of any size, 128 threads, AttentionBytes of shared memory.
struct TreeAttentionArguments {
  const uint16_t* q;  // BF16 [rows][heads][parts][width]
  const uint8_t* keys;
  const uint8_t* values;
  Pair* maxima_sums;  // [unit][bucket][heads]: (m, l)
  float* weighted;    // [unit][bucket][heads][width]
  const int32_t* positions;
  const int32_t* trunk;
  const int32_t* page_start;
  const int32_t* pages;
  const int32_t* path_start;
  const int32_t* path_rows;
  const AttentionItem* items;
  const int32_t* item_count;
  int32_t most_items;  // that the list has room for
  int32_t bucket;
  int32_t heads;
  int32_t kv_heads;
  int32_t window;  // positions a row sees, itself among them; 0: all
  float scale;     // of the scores, times log2 e
};

/// Shared memory of a block by the width of a head and the format of keys and values: a ring of two stages and its barriers; then queries, what is
/// gathered, scores, probabilities and maxima (tree_attention.cu). A stage holds a step's keys and values, or one of the two where a row has more
/// than 256 bytes; rows of two parts are gathered by twos, others by fours.
NS_BOTH int AttentionRowBytes(int width, Format kv) { return width * 2 * KvParts(kv); }
NS_BOTH int AttentionStagePlanes(int row_bytes) { return row_bytes > 256 ? 1 : 2; }
NS_BOTH int AttentionGatherRows(Format kv) { return kv == Format::kF32 ? 2 : 4; }
NS_BOTH int AttentionRingBytes(int row_bytes) { return 2 * (AttentionStagePlanes(row_bytes) * kStepKeys * row_bytes + 64); }
NS_BOTH int AttentionBytes(int width, Format kv) {
  return AttentionRingBytes(AttentionRowBytes(width, kv)) + (1 + 2 * AttentionGatherRows(kv)) * 16 * AttentionRowBytes(width, kv) + 4 * 1024 + KvParts(kv) * 4 * 512 + 4 * 64;
}

/// Folds units: y = packed activations. A warp per (row, head): grid (rows, (heads + 3) / 4), 128 threads.
struct AttentionFoldArguments {
  const Pair* maxima_sums;
  const float* weighted;
  const int32_t* positions;  // −1: a row that only fills the bucket
  uint8_t* y;
  int32_t bucket;
  int32_t heads;
  int32_t head_width;
  int32_t width;
  int32_t window;
  int32_t y_tiles;
  int32_t parts;  // of a number of y: RowParts
};

/// What a row is chosen by.
struct ChoiceRule {
  uint64_t seed;
  int64_t position;   // absolute, of the token to be chosen
  float temperature;  // 0: the highest logit, without noise
  int32_t is_asked;   // 0: nothing is chosen from this row
};

/// What a row answers.
struct RowAnswer {
  int32_t chosen;  // −1 where it was not asked
  float highest;   // logit; not a number where one of the row is not
  double log_sum;  // log Σ exp(logit)
};

/// Answers of rows. A block per row, ChooseThreads, kChooseBytes of shared memory.
struct ChooseArguments {
  const float* logits;  // [rows, vocabulary]
  const ChoiceRule* rules;  // [rows]
  RowAnswer* answers;       // [rows]
  int32_t vocabulary;
};
inline constexpr int kMostChooseThreads = 512, kChooseBytes = 1024;
/// By the vocabulary alone, since the order of the sum follows it: a thread for eight ids as far as there are so many.
NS_BOTH int ChooseThreads(int vocabulary) { return vocabulary > 8 * kMostChooseThreads ? kMostChooseThreads : (vocabulary + 255) / 256 * 32; }

/// The k highest logits of each row, highest first, ties to the lowest id. A block per row, kTopKThreads, kTopKBytes of shared memory.
struct TopKArguments {
  const float* logits;
  float* values;  // [rows, k]
  int32_t* ids;   // [rows, k]
  int32_t vocabulary;
  int32_t k;  // at most kMostTopK and vocabulary
};
inline constexpr int kMostTopK = 1024, kTopKThreads = kMostTopK, kTopKBytes = kMostTopK * 8 + 2 * 256 * 4 + 16;

/// A cache row becomes another.
struct KvMove {
  int32_t from;
  int32_t to;
};

/// Things that stand together in a list.
struct RowList {
  int32_t first;
  int32_t count;
};

/// The path along each tree: from the root on to the first child that has the token chosen after its parent. A block of 32 threads per tree, or more
/// of them; kWalkBytes of shared memory for each row of the longest tree.
struct WalkTreesArguments {
  const RowList* trees;       // [tree_count] their rows with logits, a parent before its children
  const int32_t* tree_count;
  const int32_t* parents;     // [rows with logits] number of the parent in its tree; −1 of a root, and of what is never on a path
  const int32_t* logit_rows;  // [rows with logits] their rows
  const int32_t* tokens;      // [rows]
  const int32_t* kv_rows;     // [rows] where their keys and values lie: those of node i of a tree behind the prefix and i others
  const RowAnswer* answers;   // [rows with logits]
  int32_t* paths;             // [rows with logits] from a tree's first on the nodes of its path, the root first, and −1 behind them
  KvMove* moves;              // [rows with logits] what is moved
  RowList* lists;             // [tree_count] of these, those of a tree
};
inline constexpr int kWalkBytes = 16;

/// The moves of each list in turn, in every layer; lists have nothing to do with one another. Grid (2 · layers: keys
/// and values, 1 to kMoveBlocks; kMoveBlocks where lists may be more than that); kv_heads · width / 8 threads or more than
/// one such piece per thread. width: all parts' numbers.
struct MoveKvRowsArguments {
  uint8_t* const* planes;  // [2 · layers]
  const KvMove* moves;
  const RowList* lists;  // of moves
  const int32_t* list_count;  // null: one
  int32_t kv_heads;
  int32_t width;
};
inline constexpr int kMoveBlocks = 8;

/// Packs [out, in] of one element type, or panels of the CPU's layout, into slabs. Grid of any size, 256 threads.
struct PackWeightsArguments {
  const uint8_t* source;
  uint8_t* packed;
  int32_t source_format;  // element type, or kQ8, kQ4: panels
  int32_t out;
  int32_t in;
  int32_t gate_up;     // 1: rows in turns
  float scale;         // a power of two that binary16 scales are multiplied by, or F16 weights
};

/// What is read, or multiplied, and what is left of it: grids of any size, 256 threads; a number for each thread.
struct CeilingArguments {
  const Vector* data;
  uint32_t* folded;  // [threads of the grid]
  int64_t vectors;
  int32_t rounds;  // of eight products of 16×16 by 16×8 for each warp
};

}  // namespace nativespec::cuda
