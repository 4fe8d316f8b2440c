// c[i, j] = Σ_k a[i, k] b[k, j], or added to what stands there: what learning multiplies with, where both sides are activations or gradients.
//
// A vector holds neighbouring columns of c, so a step along k is one vector of b times one number of a, and no lanes are added up at
// the end. A tile of R rows × V vectors keeps R·V sums in registers: each loaded vector of b serves R products, each number of a V.
//
// The order of the sum is the contract: k ascending within a stretch of kDepth, from zero, then the stretches one after another. Which
// rows, columns and threads go together changes no bit.
//
// A stretch of one strip of b (kDepth rows of a tile's columns) comes from the second-level cache while a tile passes over it, and so
// does a's block of rows. Where a is read by columns and several strips pass over it, the block is first copied: its columns lie a whole row
// apart, mostly a power of two, and fall onto a few places of the caches.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

/// What the registers hold: the sums, a vector of b for each column of the tile, and a number of a.
constexpr int kTileRows = kRegisters == 8 ? 2 : 6;
constexpr int kTileVectors = kRegisters == 32 ? 4 : 2;

constexpr int64_t kDepth = 256;
constexpr int64_t kRows = 20 * kTileRows;
constexpr int64_t kColumns = 8 * kGemmPanel;

/// The copy's rows must not lie a power of two apart either.
constexpr int64_t kCopyStride = kRows + 16;

/// A block of rows of a, over one stretch of k: a(i, k) = a[i · row + k · step].
struct Rows {
  const float* a;
  int64_t row;
  int64_t step;
  int64_t count;
  int64_t depth;
};

/// A strip of columns over the same stretch, and where its sums go.
struct Strip {
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  bool fresh;  // nothing stands in c yet
};

template <int R, int V>
void Tile(const Rows& rows, int64_t first, const Strip& strip) {
  const float* a[R];
  Floats sums[R][V];
  float* c = strip.c + first * strip.c_stride;
  NATIVESPEC_UNROLL
  for (int r = 0; r < R; ++r) {
    a[r] = rows.a + (first + r) * rows.row;
    NATIVESPEC_UNROLL
    for (int v = 0; v < V; ++v) {
      PrefetchNear(c + r * strip.c_stride + v * kWidth);
      sums[r][v] = Broadcast(0.0f);
    }
  }

  const float* b = strip.b;
  for (int64_t k = rows.depth; k > 0; --k) {
    Floats columns[V];
    NATIVESPEC_UNROLL
    for (int v = 0; v < V; ++v) {
      columns[v] = Load(b + v * kWidth);
      NATIVESPEC_KEEP(columns[v]);
    }
    b += strip.b_stride;
    NATIVESPEC_UNROLL
    for (int r = 0; r < R; ++r) {
      Floats one = Broadcast(*a[r]);
      NATIVESPEC_KEEP(one);
      a[r] += rows.step;
      NATIVESPEC_UNROLL
      for (int v = 0; v < V; ++v) {
        sums[r][v] = MultiplyAdd(one, columns[v], sums[r][v]);
      }
    }
  }

  NATIVESPEC_UNROLL
  for (int r = 0; r < R; ++r) {
    NATIVESPEC_UNROLL
    for (int v = 0; v < V; ++v) {
      float* to = c + r * strip.c_stride + v * kWidth;
      Store(to, strip.fresh ? sums[r][v] : Add(Load(to), sums[r][v]));
    }
  }
}

/// The rows that fill no tile.
template <int R, int V>
void RestOfRows(const Rows& rows, int64_t first, const Strip& strip) {
  if constexpr (R > 0) {
    return rows.count - first == R ? Tile<R, V>(rows, first, strip) : RestOfRows<R - 1, V>(rows, first, strip);
  }
}

template <int V>
void Columns(const Rows& rows, const Strip& strip) {
  int64_t row = 0;
  for (; row + kTileRows <= rows.count; row += kTileRows) {
    Tile<kTileRows, V>(rows, row, strip);
  }
  RestOfRows<kTileRows - 1, V>(rows, row, strip);
}

/// Columns that fill no vector: copied, and filled up with zeros.
void NarrowColumns(const Rows& rows, const Strip& strip, int64_t width) {
  alignas(64) float b[kDepth * kWidth] = {};
  alignas(64) float c[kRows * kWidth];
  for (int64_t k = 0; k < rows.depth; ++k) {
    std::memcpy(b + k * kWidth, strip.b + k * strip.b_stride, static_cast<size_t>(width) * sizeof(float));
  }
  Columns<1>(rows, {b, kWidth, c, kWidth, true});
  for (int64_t i = 0; i < rows.count; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      float& to = strip.c[i * strip.c_stride + j];
      to = strip.fresh ? c[i * kWidth + j] : to + c[i * kWidth + j];
    }
  }
}

/// Columns [begin, end) of c for a block of rows over one stretch. Strips are as wide as a tile, or half of it, or one vector: a panel of b is a
/// multiple of each.
void Block(const GemmArguments& g, const Rows& rows, int64_t row, int64_t k, int64_t begin, int64_t end) {
  for (int64_t j = begin; j < end;) {
    const Strip strip{g.b + j / kGemmPanel * g.b_panel + j % kGemmPanel + k * g.b_stride, g.b_stride, g.c + row * g.c_stride + j, g.c_stride,
                      k == 0 && !g.accumulate};
    const int64_t vectors = (end - j) / kWidth;
    if (vectors >= kTileVectors) {
      Columns<kTileVectors>(rows, strip);
      j += kTileVectors * kWidth;
    } else if (vectors >= 2) {
      Columns<2>(rows, strip);
      j += 2 * kWidth;
    } else if (vectors == 1) {
      Columns<1>(rows, strip);
      j += kWidth;
    } else {
      NarrowColumns(rows, strip, end - j);
      j = end;
    }
  }
}

}  // namespace

void Gemm(const void* arguments, int64_t begin, int64_t end) {
  const auto& g = *static_cast<const GemmArguments*>(arguments);
  alignas(64) float copy[kDepth * kCopyStride];
  for (int64_t row = begin; row < end; row += kRows) {
    const int64_t count = Smaller(kRows, end - row);
    for (int64_t column = 0; column < g.n; column += kColumns) {
      for (int64_t k = 0; k < g.k; k += kDepth) {
        Rows rows{g.a + row * g.a_stride + k, g.a_stride, 1, count, Smaller(kDepth, g.k - k)};
        if (g.a_by_columns && g.n <= kTileVectors * kWidth) {
          rows = {g.a + row + k * g.a_stride, 1, g.a_stride, count, rows.depth};
        } else if (g.a_by_columns) {
          for (int64_t i = 0; i < rows.depth; ++i) {
            std::memcpy(copy + i * kCopyStride, g.a + (k + i) * g.a_stride + row, static_cast<size_t>(count) * sizeof(float));
          }
          rows = {copy, 1, kCopyStride, count, rows.depth};
        }
        Block(g, rows, row, k, column, Smaller(column + kColumns, g.n));
      }
    }
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
