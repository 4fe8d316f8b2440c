// The operations of one instruction-set level, as a table of functions, and their arguments. Every Work function computes the items
// [begin, end) of its range and can run on any number of threads at once.
#pragma once

#include <cstdint>

namespace nativespec {

using Work = void (*)(const void* arguments, int64_t begin, int64_t end);

/// Element types of weights, in the order of the C interface.
enum class ElementType : int32_t { kF32 = 0, kF16 = 1, kBF16 = 2 };
inline constexpr int kElementTypes = 3;

/// y[t, o] = (Σ_k W[o, k] x[t, k] (+ bias[o])) · multiplier (+ y[t, o] when accumulating). Items: outputs.
struct MatMulArguments {
  const uint8_t* weights;  // [out, in] of the element type, or packed panels (quantized.h)
  const uint8_t* x;        // rows as the kernel's Prepare wrote them
  float* y;                // [tokens, y_stride], column 0 is output 0
  const float* bias;       // [out] or null
  int64_t in;
  int64_t out;
  int64_t tokens;
  int64_t y_stride;
  float multiplier;
  bool accumulate;
};

/// Lays the rows of x out as a matmul kernel reads them. Items: rows.
struct PrepareArguments {
  const float* x;  // [tokens, in]
  uint8_t* prepared;
  int64_t in;
  int64_t tokens;
};

/// Columns of b that lie side by side.
inline constexpr int64_t kGemmPanel = 64;

/// c[i, j] = Σ_k a[i, k] b[k, j] (+ c[i, j] when accumulating), all F32. Items: rows of c.
struct GemmArguments {
  const float* a;     // [m, k], rows a_stride apart; or [k, m], by columns
  const float* b;     // b[j / kGemmPanel · b_panel + k · b_stride + j % kGemmPanel]: row-major where b_panel is kGemmPanel
  float* c;           // [m, n], rows c_stride apart
  int64_t n;
  int64_t k;
  int64_t a_stride;
  int64_t b_stride;
  int64_t b_panel;
  int64_t c_stride;
  bool a_by_columns;
  bool accumulate;
};

/// Rows of a matrix where they lie.
struct MatrixPart {
  const uint8_t* data;  // [rows, in]
  int64_t rows;
  ElementType type;
};

/// Packs stacked parts (quantized.h). Items: panels of outputs.
struct QuantizeArguments {
  const MatrixPart* parts;
  int64_t part_count;
  int64_t in;
  uint8_t* packed;
};

/// y[row] = x[row] / sqrt(mean(x[row]²) + epsilon) · gain. Items: rows.
struct RmsNormArguments {
  const float* x;  // [rows, width]
  const float* gain;
  float* y;
  int64_t width;
  float epsilon;
};

inline constexpr int64_t kSwiGluColumns = 512;

/// y = silu(gate) · up. Items: pieces of kSwiGluColumns columns, row after row.
struct SwiGluArguments {
  const float* gate;  // [rows, columns], rows in_stride apart
  const float* up;
  float* y;  // rows out_stride apart
  int64_t in_stride;
  int64_t out_stride;
  int64_t columns;

  int64_t Pieces() const { return (columns + kSwiGluColumns - 1) / kSwiGluColumns; }
};

/// x += silu(y). Items: rows.
struct AddSiluArguments {
  float* x;  // [rows, width]
  const float* y;
  int64_t width;
};

/// One layer's keys and values: [cache rows, kv_heads·head_dim] each, F32 or BF16.
struct KvPlanes {
  void* keys;
  void* values;
  bool bf16;
};

/// Norms each head of q and k where there is a gain, and rotates it by the angles of the row's position; q stays, k and v go to their cache rows. Items: rows.
struct RopeArguments {
  float* qkv;  // [rows, (heads + 2·kv_heads)·head_dim]
  KvPlanes kv;
  const float* cos;  // [positions, rotary_dim/2]
  const float* sin;
  const int32_t* positions;
  const int32_t* kv_rows;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t rotary_dim;   // of each head, from its first element on; 0 turns nothing
  const float* q_gain;  // [head_dim] of an RMSNorm of each head of q, or null for none
  const float* k_gain;
  float epsilon;
};

/// Positions per page of cache rows, as the managed side's RowBatch has it.
inline constexpr int64_t kPageSize = 64;

/// Queries (rows times query heads) of an item of tree attention.
inline constexpr int64_t kMostQueries = 64;

/// softmax(q Kᵀ · scale) V over what each row sees. Items: for each key-value head, tiles of its query heads, and for each of
/// those, tiles of rows. How it is cut changes no result.
struct TreeAttentionArguments {
  const float* qkv;  // [rows, (heads + 2·kv_heads)·head_dim]
  KvPlanes kv;
  float* y;                   // [rows, heads·head_dim]
  const int32_t* positions;   // [rows]
  const int32_t* trunk;       // [rows] positions that lie in their own slot
  const int32_t* page_start;  // [rows] into pages
  const int32_t* pages;
  const int32_t* path_start;  // [rows] into path_rows
  const int32_t* path_rows;
  int64_t rows;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t rows_together;   // in an item; rows_together · heads_together is at most kMostQueries
  int64_t heads_together;  // query heads
  int64_t window;          // positions that a row sees at most, its own the last; 0 for all
  float scale;             // of the scores, before the softmax

  /// The first position that a row sees.
  int64_t FirstSeen(int64_t row) const { return window == 0 || positions[row] < window ? 0 : positions[row] + 1 - window; }

  int64_t RowTiles() const { return (rows + rows_together - 1) / rows_together; }
  int64_t HeadTiles() const { return (heads / kv_heads + heads_together - 1) / heads_together; }
};

/// y[row] = table[tokens[row]] · multiplier as F32. Items: rows.
struct EmbedArguments {
  const uint8_t* table;  // [vocabulary, width]
  ElementType type;
  const int32_t* tokens;
  float* y;
  int64_t width;
  float multiplier;
};

/// Reads memory, for its bandwidth. Items: pieces of kReadFloats.
struct ReadArguments {
  const float* data;
  float never;  // a value that decides nothing but keeps the reads
  float* seen;
};

inline constexpr int64_t kReadFloats = 4096;

/// Multiplies and adds in registers, for the peak of the arithmetic. Items: kPeakMultiplyAdds each.
struct PeakArguments {
  bool bytes;    // dot products of bytes, or else multiply-adds of F32
  int32_t seed;  // small and positive; not known to the compiler
  float* seen;
};

inline constexpr int64_t kPeakMultiplyAdds = 12 * 64 * 1024;

/// A matmul kernel and what goes before it.
struct MatMulKernel {
  Work prepare;
  Work work;
  int64_t (*prepared_bytes)(int64_t in);  // per row
  int64_t outputs_per_tile;               // chunks are multiples of it
};

/// The operations of one level.
struct Operations {
  const char* name;
  MatMulKernel float_matmul[kElementTypes];
  MatMulKernel q8_matmul;
  MatMulKernel q4_matmul;
  Work gemm;
  Work quantize_q8;
  Work quantize_q4;
  Work rms_norm;
  Work swiglu;
  Work add_silu;
  Work rope;
  Work tree_attention;
  Work embed;
  Work read;
  Work peak;
};

}  // namespace nativespec
