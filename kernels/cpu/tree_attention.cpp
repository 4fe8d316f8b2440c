// softmax(q · Kᵀ / sqrt(head_dim)) · V, where a node sees the committed prefix, its ancestors and itself, and nothing else.
//
// q in qkv: [rows, (heads + 2·kv_heads)·head_dim]; keys, values: [cache rows, kv_heads·head_dim], F32 or BF16; y: [rows, heads·head_dim].
// A query head h reads key-value head h / (heads / kv_heads).
//
// The softmax runs online (Milakov and Gimelshein, 2018) over blocks of 32 positions, cut at fixed logical positions and visited in
// order. What a block holds, and so every rounding, depends on positions alone: a score is summed over the columns in order in a lane of
// its own, a value over the positions in order. Where a key lies (its own slot or that of a tree node) only decides which address is
// read. Hence a node's result has the same bits in every tree.
//
// An item is one key-value head with a few rows and query heads. Nodes of one tree have most of their prefix in common, so a block is
// converted once for all queries that see it at the same addresses (kv_block.h), and scores and values are computed for tiles of queries.
#include "kv_block.h"
#include "level.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

constexpr int kQueryTile = kRegisters / 8;                                     // queries that share each load of a key or value
constexpr int kScoreVectors = kPositions / kWidth < 4 ? kPositions / kWidth : 4;  // of positions in a tile of scores
constexpr int kValueVectors = 4;                                               // of columns in a tile of values
constexpr int64_t kEight = 8;                                                  // queries whose sums go across lanes together
constexpr int64_t kEightOrVector = kWidth > kEight ? kWidth : kEight;

/// Queries of one item, of which the softmax remembers the largest score and the sum of the weights so far.
struct Queries {
  const float* q[kMostQueries];
  float* y[kMostQueries];
  alignas(64) float most[kMostQueries];
  alignas(64) float total[kMostQueries];
};

/// scores[i][j] += q[i] · key j over the columns, for tiles of queries and vectors of positions.
template <int Tile, int Vectors>
NATIVESPEC_INLINE void ScoreTile(const float* const* q, int64_t column, int64_t columns, const float* keys, float* scores) {
  Floats sums[Tile][Vectors];
  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      sums[i][v] = column == 0 ? Broadcast(0.0f) : Load(scores + i * kPositions + v * kWidth);
    }
  }

  for (int64_t d = 0; d < columns; ++d) {
    Floats key[Vectors];
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      key[v] = Load(keys + d * kPositions + v * kWidth);
      NATIVESPEC_KEEP(key[v]);
    }
    NATIVESPEC_UNROLL
    for (int i = 0; i < Tile; ++i) {
      const Floats x = Broadcast(q[i][column + d]);
      NATIVESPEC_UNROLL
      for (int v = 0; v < Vectors; ++v) {
        sums[i][v] = MultiplyAdd(x, key[v], sums[i][v]);
      }
    }
  }

  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      Store(scores + i * kPositions + v * kWidth, sums[i][v]);
    }
  }
}

template <int Tile = kQueryTile>
void Scores(const float* const* q, int64_t queries, int64_t column, int64_t columns, const float* keys, int64_t count, float* scores) {
  int64_t i = 0;
  for (; i + Tile <= queries; i += Tile) {
    int64_t j = 0;
    for (; j + (kScoreVectors - 1) * kWidth < count; j += kScoreVectors * kWidth) {
      ScoreTile<Tile, kScoreVectors>(q + i, column, columns, keys + j, scores + i * kPositions + j);
    }
    for (; j < count; j += kWidth) {
      ScoreTile<Tile, 1>(q + i, column, columns, keys + j, scores + i * kPositions + j);
    }
  }
  if constexpr (Tile > 1) {
    if (i < queries) {
      Scores<Tile / 2>(q + i, queries - i, column, columns, keys, count, scores + i * kPositions);
    }
  }
}

/// What a score may be at most: anything for the first 32, nothing after.
struct Limits {
  float of[2 * kPositions];
  constexpr Limits() : of() {
    for (int64_t j = 0; j < kPositions; ++j) {
      of[j] = INFINITY;
      of[kPositions + j] = -INFINITY;
    }
  }
};
constexpr Limits kLimits;

/// Turns a block's scores into weights, and finds what the earlier values shrink by. most, total, shrinks: one per query.
void Weigh(int64_t queries, int64_t count, float scale, float* scores, float* most, float* total, float* shrinks) {
  const float* limits = kLimits.of + kPositions - count;
  for (int64_t first = 0; first < queries; first += kEight) {
    const int64_t some = Smaller(queries - first, kEight);
    float* block = scores + first * kPositions;
    alignas(64) float most_now[kEightOrVector] = {};
    alignas(64) float shrink[kEightOrVector] = {};
    for (int64_t i = 0; i < some; ++i) {
      Floats largest = Broadcast(most[first + i]);
      for (int64_t j = 0; j < count; j += kWidth) {
        float* at = block + i * kPositions + j;
        // Past count lie other rows' keys: whatever they scored, it is -∞ here.
        const Floats score = Min(Load(limits + j), Multiply(Load(at), Broadcast(scale)));
        Store(at, score);
        largest = Max(largest, score);
      }
      most_now[i] = MaxLane(largest);
      shrink[i] = most[first + i] - most_now[i];
    }
    for (int64_t i = 0; i < some; i += kWidth) {
      Store(shrink + i, Exp(Load(shrink + i)));
    }

    // Past count the weights are the smallest that Exp gives: nothing beside the largest, which is 1.
    Floats sums[kEight];
    for (int64_t i = 0; i < kEight; ++i) {
      sums[i] = Broadcast(0.0f);
      for (int64_t j = 0; i < some && j < count; j += kWidth) {
        float* at = block + i * kPositions + j;
        const Floats weights = Exp(Subtract(Load(at), Broadcast(most_now[i])));
        Store(at, weights);
        sums[i] = Add(sums[i], weights);
      }
    }
    float sum[kEight];
    Sum8(sums, sum);
    for (int64_t i = 0; i < some; ++i) {
      total[first + i] = total[first + i] * shrink[i] + sum[i];
      most[first + i] = most_now[i];
      shrinks[first + i] = shrink[i];
    }
  }
}

/// y[i] = y[i] · shrinks[i] + Σ_j weights[i][j] · value j, positions in order, for a tile of queries and columns.
template <int Tile, int Vectors>
NATIVESPEC_INLINE void ValueTile(const float* values, int64_t columns, int64_t count, const float* weights, const float* shrinks,
                                 float* const* y, int64_t d) {
  Floats sums[Tile][Vectors];
  NATIVESPEC_UNROLL
  for (int i = 0; i < Tile; ++i) {
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      sums[i][v] = Multiply(Load(y[i] + d + v * kWidth), Broadcast(shrinks[i]));
    }
  }

  for (int64_t j = 0; j < count; ++j) {
    Floats value[Vectors];
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      value[v] = Load(values + j * columns + v * kWidth);
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

/// A tile's columns from `done` on; y's begin at `column`.
template <int Tile, int Vectors = kValueVectors>
NATIVESPEC_INLINE void AddColumns(const float* values, int64_t done, int64_t columns, int64_t count, const float* weights,
                                  const float* shrinks, float* const* y, int64_t column) {
  for (; done + Vectors * kWidth <= columns; done += Vectors * kWidth) {
    ValueTile<Tile, Vectors>(values + done, columns, count, weights, shrinks, y, column + done);
  }
  if constexpr (Vectors > 1) {
    AddColumns<Tile, Vectors / 2>(values, done, columns, count, weights, shrinks, y, column);
  } else {
    for (; done < columns; ++done) {
      for (int i = 0; i < Tile; ++i) {
        float sum = y[i][column + done] * shrinks[i];
        for (int64_t j = 0; j < count; ++j) {
          sum += weights[i * kPositions + j] * values[j * columns + done];
        }
        y[i][column + done] = sum;
      }
    }
  }
}

template <int Tile = kQueryTile>
void AddValues(const float* values, int64_t columns, int64_t count, const float* weights, const float* shrinks, float* const* y,
               int64_t queries, int64_t column) {
  int64_t i = 0;
  for (; i + Tile <= queries; i += Tile) {
    AddColumns<Tile>(values, 0, columns, count, weights + i * kPositions, shrinks + i, y + i, column);
  }
  if constexpr (Tile > 1) {
    if (i < queries) {
      AddValues<Tile / 2>(values, columns, count, weights + i * kPositions, shrinks + i, y + i, queries - i, column);
    }
  }
}

template <class Kv>
void Attend(const TreeAttentionArguments& a, int64_t kv_head, int64_t first_row, int64_t row_end, int64_t first_head, int64_t head_end) {
  using Element = typename Kv::Element;
  const int64_t width = a.kv_heads * a.head_dim, stride = a.heads * a.head_dim + 2 * width, together = head_end - first_head;
  const Plane<Kv> keys{static_cast<const Element*>(a.kv.keys) + kv_head * a.head_dim, width};
  const Plane<Kv> values{static_cast<const Element*>(a.kv.values) + kv_head * a.head_dim, width};
  const float scale = 1.0f / sqrtf(static_cast<float>(a.head_dim));
  Queries all;
  Held held_keys, held_values;
  alignas(64) float scores[kMostQueries * kPositions];
  float shrinks[kMostQueries];
  int64_t last = 0, query = 0;
  for (int64_t row = first_row; row < row_end; ++row) {
    for (int64_t head = first_head; head < head_end; ++head, ++query) {
      all.q[query] = a.qkv + row * stride + head * a.head_dim;
      all.y[query] = a.y + (row * a.heads + head) * a.head_dim;
      all.most[query] = -INFINITY;
      all.total[query] = 0;
      std::memset(all.y[query], 0, static_cast<size_t>(a.head_dim) * sizeof(float));
    }
    last = Larger(last, a.positions[row]);
  }
  const int64_t queries = query;

  for (int64_t start = 0; start <= last; start += kPositions) {
    const auto seen = [&](int64_t row) { return Smaller(kPositions, a.positions[row] + 1 - start); };
    // Backwards: a row that comes later sees at least as much of a common path, so what it has converted serves those before.
    for (int64_t end = row_end; end > first_row;) {
      int64_t begin = end - 1;
      const int64_t count = seen(begin);
      if (count <= 0) {
        --end;
        continue;
      }

      const Places places = Places::Of(a, begin, start, count);
      while (begin > first_row && seen(begin - 1) == count && places.BeginWith(Places::Of(a, begin - 1, start, count))) {
        --begin;
      }

      query = (begin - first_row) * together;
      const int64_t some = (end - begin) * together;
      for (int64_t column = 0; column < a.head_dim; column += kColumnsHeld) {
        const int64_t columns = Smaller(a.head_dim - column, kColumnsHeld);
        if (!held_keys.Has(places, start, column)) {
          held_keys.places = places;
          held_keys.start = start;
          held_keys.column = column;
          values.Prefetch(places, columns);
          TurnKeys<Kv>({keys.data + column, width}, places, columns, held_keys.numbers);
        }
        Scores(all.q + query, some, column, columns, held_keys.numbers, count, scores);
      }

      Weigh(some, count, scale, scores, all.most + query, all.total + query, shrinks);
      for (int64_t column = 0; column < a.head_dim; column += kColumnsHeld) {
        const int64_t columns = Smaller(a.head_dim - column, kColumnsHeld);
        if (!held_values.Has(places, start, column)) {
          held_values.places = places;
          held_values.start = start;
          held_values.column = column;
          if (const int64_t next = Smaller(kPositions, a.positions[begin] + 1 - start - kPositions); next > 0) {
            keys.Prefetch(Places::Of(a, begin, start + kPositions, next), columns);
          }
          WidenValues<Kv>({values.data + column, width}, places, columns, held_values.numbers);
        }
        AddValues(held_values.numbers, columns, count, scores, shrinks, all.y + query, some, column);
      }
      end = begin;
    }
  }

  for (query = 0; query < queries; ++query) {
    const float part = 1.0f / all.total[query];
    for (int64_t d = 0; d < a.head_dim; ++d) {
      all.y[query][d] *= part;
    }
  }
}

}  // namespace

void TreeAttention(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const TreeAttentionArguments*>(arguments);
  const int64_t group = a.heads / a.kv_heads;
  const int64_t row_tiles = a.RowTiles(), head_tiles = a.HeadTiles();
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
