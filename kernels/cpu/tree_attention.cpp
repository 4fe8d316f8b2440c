// softmax(q · Kᵀ / sqrt(head_dim)) · V, where a node sees the committed prefix, its ancestors and itself, and nothing else.
//
// q in qkv: [rows, (heads + 2·kv_heads)·head_dim]; keys, values: [cache rows, kv_heads·head_dim], F32 or BF16; y: [rows, heads·head_dim].
// A query head h reads key-value head h / (heads / kv_heads).
//
// The softmax runs online (Milakov and Gimelshein, 2018) over blocks of 32 positions, cut at fixed logical positions and visited in
// order. What a block holds, and so every rounding, depends on positions alone; where a key lies (its own slot or that of a tree node)
// only decides which address is read. Hence a node's result has the same bits in every tree.
//
// An item is one key-value head and a few rows. All of their queries pass over a block before the next: nodes of one tree have most of
// their prefix in common, so its keys and values are read from the first-level cache by all but the first.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

constexpr int64_t kBlock = 32;  // positions per step of the online softmax

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

/// Finds where positions [start, start + count) lie, for this row; past the last the first again, so that eight can be read at a time.
void Locate(const TreeAttentionArguments& a, int64_t row, int64_t start, int64_t count, int64_t kv_head, int64_t (&offsets)[kBlock]) {
  const int64_t trunk = a.trunk[row];
  const int32_t* pages = a.pages + a.page_start[row];
  const int32_t* path = a.path_rows + a.path_start[row];
  for (int64_t j = 0; j < kBlock; ++j) {
    const int64_t position = start + j;
    if (j >= count) {
      offsets[j] = offsets[0];
      continue;
    }

    const int64_t cache_row =
        position < trunk ? pages[position / kPageSize] * kPageSize + position % kPageSize : path[position - trunk];
    offsets[j] = (cache_row * a.kv_heads + kv_head) * a.head_dim;
  }
}

/// scores[j] = q · key j for j < count, to the next multiple of eight.
template <class Kv>
NATIVESPEC_INLINE void Scores(const float* q, const typename Kv::Element* keys, const int64_t* offsets, int64_t count, int64_t head_dim,
                              float* scores) {
  for (int64_t j = 0; j < count; j += 8) {
    Floats sums[8];
    NATIVESPEC_UNROLL
    for (int i = 0; i < 8; ++i) {
      sums[i] = Broadcast(0.0f);
    }

    int64_t d = 0;
    for (; d + kWidth <= head_dim; d += kWidth) {
      const Floats v = Load(q + d);
      NATIVESPEC_UNROLL
      for (int i = 0; i < 8; ++i) {
        sums[i] = MultiplyAdd(v, Kv::Read(keys + offsets[j + i] + d), sums[i]);
      }
    }

    Sum8(sums, scores + j);
    for (; d < head_dim; ++d) {
      for (int i = 0; i < 8; ++i) {
        scores[j + i] += q[d] * Kv::ReadOne(keys[offsets[j + i] + d]);
      }
    }
  }
}

/// y = y · shrink + Σ_j weights[j] · value j, positions in order.
template <class Kv, int Vectors>
NATIVESPEC_INLINE void AddValues(const typename Kv::Element* values, const int64_t* offsets, const float* weights, int64_t count,
                                 float shrink, float* y) {
  Floats sums[Vectors];
  NATIVESPEC_UNROLL
  for (int v = 0; v < Vectors; ++v) {
    sums[v] = Multiply(Load(y + v * kWidth), Broadcast(shrink));
  }

  for (int64_t j = 0; j < count; ++j) {
    const auto* value = values + offsets[j];
    const Floats weight = Broadcast(weights[j]);
    NATIVESPEC_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      sums[v] = MultiplyAdd(weight, Kv::Read(value + v * kWidth), sums[v]);
    }
  }

  NATIVESPEC_UNROLL
  for (int v = 0; v < Vectors; ++v) {
    Store(y + v * kWidth, sums[v]);
  }
}

template <class Kv>
NATIVESPEC_INLINE void AddAllValues(const typename Kv::Element* values, const int64_t* offsets, const float* weights, int64_t count,
                                    float shrink, float* y, int64_t head_dim) {
  int64_t d = 0;
  for (; d + 4 * kWidth <= head_dim; d += 4 * kWidth) {
    AddValues<Kv, 4>(values + d, offsets, weights, count, shrink, y + d);
  }
  for (; d + kWidth <= head_dim; d += kWidth) {
    AddValues<Kv, 1>(values + d, offsets, weights, count, shrink, y + d);
  }
  for (; d < head_dim; ++d) {
    float sum = y[d] * shrink;
    for (int64_t j = 0; j < count; ++j) {
      sum += weights[j] * Kv::ReadOne(values[offsets[j] + d]);
    }
    y[d] = sum;
  }
}

/// e^x of one number, by the same arithmetic as a vector's.
float ExpOne(float x) {
  float lanes[kWidth];
  Store(lanes, Exp(Broadcast(x)));
  return lanes[0];
}

/// What the online softmax remembers of a query.
struct Softmax {
  float most = -INFINITY;
  float total = 0;

  /// Takes a block's scores, -∞ past count, leaves their weights, and returns what the earlier values shrink by.
  float Take(float* scores, int64_t count) {
    alignas(64) float lanes[kWidth];
    Floats largest = Broadcast(most);
    for (int64_t j = 0; j < count; j += kWidth) {
      largest = Max(largest, Load(scores + j));
    }
    Store(lanes, largest);
    float most_now = most;
    for (const float lane : lanes) {
      most_now = lane > most_now ? lane : most_now;
    }

    const float shrink = ExpOne(most - most_now);
    // Past count the weights are the smallest that Exp gives: nothing beside the largest, which is 1.
    Floats sums = Broadcast(0.0f);
    for (int64_t j = 0; j < count; j += kWidth) {
      const Floats weights = Exp(Subtract(Load(scores + j), Broadcast(most_now)));
      Store(scores + j, weights);
      sums = Add(sums, weights);
    }
    Store(lanes, sums);
    float sum = 0;
    for (const float lane : lanes) {
      sum += lane;
    }

    total = total * shrink + sum;
    most = most_now;
    return shrink;
  }
};

template <class Kv>
void Attend(const TreeAttentionArguments& a, int64_t kv_head, int64_t first_row, int64_t row_end) {
  using Element = typename Kv::Element;
  constexpr int64_t kMostQueries = 64;  // per pass over the keys; more query heads per key-value head take several passes
  const auto* keys = static_cast<const Element*>(a.kv.keys);
  const auto* values = static_cast<const Element*>(a.kv.values);
  const int64_t group = a.heads / a.kv_heads;
  const int64_t stride = (a.heads + 2 * a.kv_heads) * a.head_dim;
  const float scale = 1.0f / sqrtf(static_cast<float>(a.head_dim));
  const int64_t heads_together = Smaller(group, kMostQueries / kRowTile);
  for (int64_t first_head = kv_head * group; first_head < (kv_head + 1) * group; first_head += heads_together) {
    const int64_t head_end = Smaller(first_head + heads_together, (kv_head + 1) * group);
    Softmax softmax[kMostQueries];
    int64_t last = 0;
    for (int64_t row = first_row; row < row_end; ++row) {
      std::memset(a.y + (row * a.heads + first_head) * a.head_dim, 0, static_cast<size_t>((head_end - first_head) * a.head_dim) * sizeof(float));
      last = Larger(last, a.positions[row]);
    }

    for (int64_t start = 0; start <= last; start += kBlock) {
      Softmax* query = softmax;
      for (int64_t row = first_row; row < row_end; ++row) {
        const int64_t count = Smaller(kBlock, a.positions[row] + 1 - start);
        int64_t offsets[kBlock];
        if (count > 0) {
          Locate(a, row, start, count, kv_head, offsets);
        }

        for (int64_t head = first_head; head < head_end; ++head, ++query) {
          if (count <= 0) {
            continue;
          }

          alignas(64) float weights[kBlock];
          Scores<Kv>(a.qkv + row * stride + head * a.head_dim, keys, offsets, count, a.head_dim, weights);
          for (int64_t j = 0; j < kBlock; ++j) {
            weights[j] = j < count ? weights[j] * scale : -INFINITY;
          }

          const float shrink = query->Take(weights, count);
          AddAllValues<Kv>(values, offsets, weights, count, shrink, a.y + (row * a.heads + head) * a.head_dim, a.head_dim);
        }
      }
    }

    const Softmax* query = softmax;
    for (int64_t row = first_row; row < row_end; ++row) {
      for (int64_t head = first_head; head < head_end; ++head, ++query) {
        float* y = a.y + (row * a.heads + head) * a.head_dim;
        for (int64_t d = 0; d < a.head_dim; ++d) {
          y[d] /= query->total;
        }
      }
    }
  }
}

}  // namespace

void TreeAttention(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const TreeAttentionArguments*>(arguments);
  const int64_t tiles = (a.rows + kRowTile - 1) / kRowTile;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t first = item % tiles * kRowTile;
    const int64_t row_end = Smaller(first + kRowTile, a.rows);
    a.kv.bf16 ? Attend<BF16Kv>(a, item / tiles, first, row_end) : Attend<F32Kv>(a, item / tiles, first, row_end);
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
