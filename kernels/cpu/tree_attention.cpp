// softmax(q · Kᵀ · scale) · V, where a node sees the committed prefix, its ancestors and itself, and nothing else; with a window, of these the
// last ones.
//
// q in qkv: [rows, (heads + 2·kv_heads)·head_dim]; keys, values: [cache rows, kv_heads·head_dim], F32 or BF16; y: [rows, heads·head_dim].
// A query head h reads key-value head h / (heads / kv_heads).
//
// The softmax runs online (Milakov and Gimelshein, 2018) over blocks of 32 positions, cut at fixed logical positions and visited in
// order. What a block holds, and so every rounding, depends on positions alone; where a key lies (its own slot or that of a tree node)
// only decides which address is read. Hence a node's result has the same bits in every tree. A window skips the blocks before it, and masks in
// the first block what it does not reach.
//
// An item is one key-value head with some rows and query heads. Queries that see a block at the same addresses (all heads of a row, and all
// rows whose trunk is the same) take it together, in tiles: each key and value loaded serves several of them.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

constexpr int64_t kPositions = 32;  // per step of the online softmax
constexpr int kEight = 8;           // keys, or queries, whose sums go across lanes together
constexpr int64_t kEightOrVector = kWidth > kEight ? kWidth : kEight;

// A tile's sums take half of the registers.
constexpr int kScoreQueries = kRegisters < 32 ? 1 : kRegisters / 2 / kEight;
constexpr int kValueVectors = 4;
constexpr int kValueQueries = kRegisters / 2 / kValueVectors;

struct F32Kv {
  using Element = float;
  NATIVESPEC_INLINE Floats Read(const Element* at) { return Load(at); }
  NATIVESPEC_INLINE float ReadOne(Element value) { return value; }
};

struct BF16Kv {
  using Element = uint16_t;
  NATIVESPEC_INLINE Floats Read(const Element* at) { return LoadBF16(at); }
  NATIVESPEC_INLINE float ReadOne(Element value) { return FromBF16(value); }
};

/// A block as some queries see it: positions [first, seen), and where they lie in their plane; before the first and past the last those
/// again, so that eight can be read at a time.
struct Block {
  int64_t first;
  int64_t seen;
  int64_t offsets[kPositions];

  Block(const TreeAttentionArguments& a, int64_t row, int64_t start, int64_t kv_head) : first(First(a, row, start)), seen(Seen(a, row, start)) {
    const int64_t stride = a.kv_heads * a.head_dim, in_trunk = Smaller(a.trunk[row] - start, seen);
    if (in_trunk > 0) {
      const int64_t start_row = FirstRow(a, row, start) * stride + kv_head * a.head_dim;
      for (int64_t j = 0; j < kPositions; ++j) {
        offsets[j] = start_row + j * stride;
      }
    }
    for (int64_t j = Larger(in_trunk, 0); j < seen; ++j) {
      offsets[j] = a.path_rows[a.path_start[row] + start + j - a.trunk[row]] * stride + kv_head * a.head_dim;
    }
    for (int64_t j = 0; j < first; ++j) {
      offsets[j] = offsets[first];
    }
    for (int64_t j = seen; j < kPositions; ++j) {
      offsets[j] = offsets[seen - 1];
    }
  }

  static int64_t First(const TreeAttentionArguments& a, int64_t row, int64_t start) { return Larger(a.FirstSeen(row) - start, 0); }

  static int64_t Seen(const TreeAttentionArguments& a, int64_t row, int64_t start) {
    return Smaller(a.positions[row] + 1 - start, kPositions);
  }

  /// A page is a multiple of a block.
  static int64_t FirstRow(const TreeAttentionArguments& a, int64_t row, int64_t start) {
    return a.pages[a.page_start[row] + start / kPageSize] * kPageSize + start % kPageSize;
  }

  /// Both rows see the same positions, all of them in their trunks, at the same addresses.
  static bool Same(const TreeAttentionArguments& a, int64_t row, int64_t other, int64_t start) {
    const int64_t end = start + Seen(a, row, start);
    return Seen(a, other, start) == end - start && First(a, other, start) == First(a, row, start) && a.trunk[row] >= end && a.trunk[other] >= end &&
           FirstRow(a, row, start) == FirstRow(a, other, start);
  }
};

/// scores[i][j] = q[i] · key j for eight keys, in vectors of partial sums and then across their lanes.
template <class Kv, int Tile>
NATIVESPEC_INLINE void ScoreTile(const float* const* q, const typename Kv::Element* keys, const int64_t* offsets, int64_t head_dim,
                                 float* scores) {
  Floats sums[Tile][kEight];
  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    NATIVESPEC_UNROLL
    for (int j = 0; j < kEight; ++j) {
      sums[i][j] = Broadcast(0.0f);
    }
  }

  int64_t d = 0;
  for (; d + kWidth <= head_dim; d += kWidth) {
    Floats x[Tile];
    NATIVESPEC_UNROLL
    for (int i = 0; i < Tile; ++i) {
      x[i] = Load(q[i] + d);
      NATIVESPEC_KEEP(x[i]);
    }
    NATIVESPEC_UNROLL
    for (int j = 0; j < kEight; ++j) {
      Floats key = Kv::Read(keys + offsets[j] + d);
      if constexpr (Tile > 1) {
        NATIVESPEC_KEEP(key);
      }
      NATIVESPEC_UNROLL
      for (int i = 0; i < Tile; ++i) {
        sums[i][j] = MultiplyAdd(x[i], key, sums[i][j]);
      }
    }
  }

  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    Sum8(sums[i], scores + i * kPositions);
  }
  for (; d < head_dim; ++d) {
    for (int i = 0; i < Tile; ++i) {
      for (int j = 0; j < kEight; ++j) {
        scores[i * kPositions + j] += q[i][d] * Kv::ReadOne(keys[offsets[j] + d]);
      }
    }
  }
}

/// scores: [queries, kPositions], from the last multiple of eight before those seen to the next one past them. Eight keys at a time stay near for all queries.
template <class Kv>
void Scores(const float* const* q, int64_t queries, const typename Kv::Element* keys, const Block& block, int64_t head_dim, float* scores) {
  for (int64_t j = block.first / kEight * kEight; j < block.seen; j += kEight) {
    int64_t i = 0;
    for (; i + kScoreQueries <= queries; i += kScoreQueries) {
      ScoreTile<Kv, kScoreQueries>(q + i, keys, block.offsets + j, head_dim, scores + i * kPositions + j);
    }
    for (; i < queries; ++i) {
      ScoreTile<Kv, 1>(q + i, keys, block.offsets + j, head_dim, scores + i * kPositions + j);
    }
  }
}

/// What a score may be at most: nothing for 32 positions, anything for the next 32, nothing for 32 more.
struct Limits {
  float of[3 * kPositions];
  constexpr Limits() : of() {
    for (int64_t j = 0; j < kPositions; ++j) {
      of[j] = -INFINITY;
      of[kPositions + j] = INFINITY;
      of[2 * kPositions + j] = -INFINITY;
    }
  }
};
constexpr Limits kLimits;

/// What the online softmax remembers of each query of an item.
struct Softmax {
  float most[kMostQueries];
  float total[kMostQueries];
  float shrinks[kMostQueries];  // what the values before the last block shrink by
};

/// Turns a block's scores into weights, for queries from `query` on.
void Weigh(Softmax& softmax, int64_t query, int64_t queries, const Block& window, float scale, float* scores) {
  const int64_t seen = window.seen, from = window.first / kWidth * kWidth;
  const float *before = kLimits.of + kPositions - window.first, *after = kLimits.of + 2 * kPositions - seen;
  for (int64_t first = 0; first < queries; first += kEight) {
    const int64_t some = Smaller(queries - first, kEight);
    float *most = softmax.most + query + first, *total = softmax.total + query + first, *shrinks = softmax.shrinks + query + first;
    float* block = scores + first * kPositions;
    float most_now[kEight];
    float differences[kEightOrVector] = {};
    for (int64_t i = 0; i < some; ++i) {
      Floats largest = Broadcast(most[i]);
      for (int64_t j = from; j < seen; j += kWidth) {
        // Before and past those seen the scores are of no key, whatever they are.
        float* at = block + i * kPositions + j;
        const Floats score = Min(Load(before + j), Min(Load(after + j), Multiply(Load(at), Broadcast(scale))));
        Store(at, score);
        largest = Max(largest, score);
      }
      most_now[i] = MaxLane(largest);
      differences[i] = most[i] - most_now[i];
      most[i] = most_now[i];
    }
    for (int64_t i = 0; i < some; i += kWidth) {
      Store(differences + i, Exp(Load(differences + i)));
    }

    // Before and past those seen the weights are the smallest that Exp gives: nothing beside the largest, which is 1.
    Floats sums[kEight];
    for (int64_t i = 0; i < kEight; ++i) {
      sums[i] = Broadcast(0.0f);
      for (int64_t j = from; i < some && j < seen; j += kWidth) {
        float* at = block + i * kPositions + j;
        const Floats weights = Exp(Subtract(Load(at), Broadcast(most_now[i])));
        Store(at, weights);
        sums[i] = Add(sums[i], weights);
      }
    }
    float sum[kEight];
    Sum8(sums, sum);
    for (int64_t i = 0; i < some; ++i) {
      shrinks[i] = differences[i];
      total[i] = total[i] * shrinks[i] + sum[i];
    }
  }
}

/// y[i] = y[i] · shrinks[i] + Σ_j weights[i][j] · value j, positions in order, for some vectors of columns from d on.
template <class Kv, int Tile, int Vectors>
NATIVESPEC_INLINE void ValueTile(float* const* y, const typename Kv::Element* values, const Block& block, int64_t d, const float* weights,
                                 const float* shrinks) {
  Floats sums[Tile][Vectors];
  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      sums[i][v] = Multiply(Load(y[i] + d + v * kWidth), Broadcast(shrinks[i]));
    }
  }

  for (int64_t j = block.first; j < block.seen; ++j) {
    Floats value[Vectors];
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      value[v] = Kv::Read(values + block.offsets[j] + d + v * kWidth);
      NATIVESPEC_KEEP(value[v]);
    }
    NATIVESPEC_UNROLL
    for (int i = 0; i < Tile; ++i) {
      const Floats weight = Broadcast(weights[i * kPositions + j]);
      NATIVESPEC_UNROLL
      for (int v = 0; v < Vectors; ++v) {
        sums[i][v] = MultiplyAdd(weight, value[v], sums[i][v]);
      }
    }
  }

  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      Store(y[i] + d + v * kWidth, sums[i][v]);
    }
  }
}

template <class Kv, int Tile = kValueQueries>
void AddValues(float* const* y, int64_t queries, const typename Kv::Element* values, const Block& block, int64_t head_dim,
               const float* weights, const float* shrinks) {
  int64_t i = 0;
  for (; i + Tile <= queries; i += Tile, y += Tile, weights += Tile * kPositions, shrinks += Tile) {
    int64_t d = 0;
    for (; d + kValueVectors * kWidth <= head_dim; d += kValueVectors * kWidth) {
      ValueTile<Kv, Tile, kValueVectors>(y, values, block, d, weights, shrinks);
    }
    for (; d + 2 * kWidth <= head_dim; d += 2 * kWidth) {
      ValueTile<Kv, Tile, 2>(y, values, block, d, weights, shrinks);
    }
    for (; d + kWidth <= head_dim; d += kWidth) {
      ValueTile<Kv, Tile, 1>(y, values, block, d, weights, shrinks);
    }
    for (; d < head_dim; ++d) {
      for (int k = 0; k < Tile; ++k) {
        float sum = y[k][d] * shrinks[k];
        for (int64_t j = block.first; j < block.seen; ++j) {
          sum += weights[k * kPositions + j] * Kv::ReadOne(values[block.offsets[j] + d]);
        }
        y[k][d] = sum;
      }
    }
  }
  if constexpr (Tile > 1) {
    if (i < queries) {
      AddValues<Kv, Tile / 2>(y, queries - i, values, block, head_dim, weights, shrinks);
    }
  }
}

/// Rows [first_row, row_end) times query heads [first_head, head_end) of one key-value head.
template <class Kv>
void Attend(const TreeAttentionArguments& a, int64_t kv_head, int64_t first_row, int64_t row_end, int64_t first_head, int64_t head_end) {
  const auto* keys = static_cast<const typename Kv::Element*>(a.kv.keys);
  const auto* values = static_cast<const typename Kv::Element*>(a.kv.values);
  const int64_t stride = (a.heads + 2 * a.kv_heads) * a.head_dim, together = head_end - first_head;
  const float* q[kMostQueries];
  float* y[kMostQueries];
  Softmax softmax;
  int64_t queries = 0, first = INT64_MAX, last = 0;
  for (int64_t row = first_row; row < row_end; ++row) {
    for (int64_t head = first_head; head < head_end; ++head, ++queries) {
      q[queries] = a.qkv + row * stride + head * a.head_dim;
      y[queries] = a.y + (row * a.heads + head) * a.head_dim;
      softmax.most[queries] = -INFINITY;
      softmax.total[queries] = 0;
      std::memset(y[queries], 0, static_cast<size_t>(a.head_dim) * sizeof(float));
    }
    first = Smaller(first, a.FirstSeen(row));
    last = Larger(last, a.positions[row]);
  }

  alignas(64) float scores[kMostQueries * kPositions];
  for (int64_t start = first / kPositions * kPositions; start <= last; start += kPositions) {
    for (int64_t row = first_row, end; row < row_end; row = end) {
      end = row + 1;
      if (Block::Seen(a, row, start) <= 0 || Block::First(a, row, start) >= kPositions) {
        continue;
      }
      while (end < row_end && Block::Same(a, row, end, start)) {
        ++end;
      }

      const Block block(a, row, start, kv_head);
      const int64_t query = (row - first_row) * together, some = (end - row) * together;
      Scores<Kv>(q + query, some, keys, block, a.head_dim, scores);
      Weigh(softmax, query, some, block, a.scale, scores);
      AddValues<Kv>(y + query, some, values, block, a.head_dim, scores, softmax.shrinks + query);
    }
  }

  for (int64_t query = 0; query < queries; ++query) {
    const float part = 1.0f / softmax.total[query];
    for (int64_t d = 0; d < a.head_dim; ++d) {
      y[query][d] *= part;
    }
  }
}

}  // namespace

void TreeAttention(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const TreeAttentionArguments*>(arguments);
  const int64_t group = a.heads / a.kv_heads, row_tiles = a.RowTiles(), head_tiles = a.HeadTiles();
  for (int64_t item = begin; item < end; ++item) {
    const int64_t kv_head = item / (row_tiles * head_tiles), first_row = item % row_tiles * a.rows_together;
    const int64_t first_head = kv_head * group + item / row_tiles % head_tiles * a.heads_together;
    const int64_t row_end = Smaller(first_row + a.rows_together, a.rows);
    const int64_t head_end = Smaller(first_head + a.heads_together, (kv_head + 1) * group);
    a.kv.bf16 ? Attend<BF16Kv>(a, kv_head, first_row, row_end, first_head, head_end)
              : Attend<F32Kv>(a, kv_head, first_row, row_end, first_head, head_end);
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
