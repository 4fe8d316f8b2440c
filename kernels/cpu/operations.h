// The operations of one instruction-set level, as a table of functions, and their arguments. Every Work function computes the items
// [begin, end) of its range and can run on any number of threads at once.
#pragma once

#include <cstdint>

namespace nativespec {

using Work = void (*)(const void* arguments, int64_t begin, int64_t end);

/// Element types of weights, in the order of the C interface.
enum class ElementType : int32_t { kF32 = 0, kF16 = 1, kBF16 = 2 };
inline constexpr int kElementTypes = 3;

/// The tokens of a matmul are cut into tiles of nearly equal size, at most `most` each; tiles begin at First(i).
struct TokenTiles {
  TokenTiles(int64_t tokens, int64_t most) : count((tokens + most - 1) / most), size(tokens / count), larger(tokens % count) {}

  int64_t First(int64_t tile) const { return tile * size + (tile < larger ? tile : larger); }
  int64_t Size(int64_t tile) const { return size + (tile < larger ? 1 : 0); }

  int64_t count;
  int64_t size;
  int64_t larger;
};

/// y[t, o] = Σ_k W[o, k] x[t, k] (+ bias[o]) (+ y[t, o] when accumulating). Items: outputs.
struct MatMulArguments {
  const uint8_t* weights;  // [out, in] of the element type, or packed panels (quantized.h)
  const uint8_t* x;        // rows as the kernel's Prepare wrote them
  float* y;                // [tokens, y_stride], column 0 is output 0
  const float* bias;       // [out] or null
  int64_t in;
  int64_t out;
  int64_t tokens;
  int64_t y_stride;
  bool accumulate;
};

/// Lays the rows of x out as a matmul kernel reads them. Items: rows.
struct PrepareArguments {
  const float* x;  // [tokens, in]
  uint8_t* prepared;
  int64_t in;
  int64_t tokens;
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

/// A matmul kernel and what goes before it.
struct MatMulKernel {
  Work prepare;
  Work work;
  int64_t (*prepared_bytes)(int64_t in);  // per row
  int64_t outputs_per_tile;               // chunks are multiples of it
};

}  // namespace nativespec
