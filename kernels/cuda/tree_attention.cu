// Attention of a tree's rows over a unit of their keys (layout.h).
//
// (row, query head) pairs of one KV head are the 16 rows of a warp's product; a warp keeps their scores in registers, where the accumulator of
// q kᵀ has the shape of the left operand of p v. The sum of p is one more column of that product, a column of ones. The first warp also fills a
// ring with the steps to come, 64 keys and values each: a whole page of one KV head.
//
// A step whose keys lie in their own slots for every row of the item is shared by all rows. In other steps the keys differ from row to row: there
// each row of the batch gathers its own, in groups of 16 in the order of positions, so that its sums are those it would have alone. Items with
// such steps are for the shape of one warp; the wider shapes are for items without.
#include "operations.h"
#include "ring.h"

namespace nativespec::cuda {
namespace {

constexpr int kGatherRows = 4;  // rows of the batch that gather together

template <int Width, int Warps_, int Tiles_>
struct AttentionShape {
  static constexpr int kWidth = Width, kPieces = Width / 8, kWarps = Warps_, kTiles = Tiles_;  // warps that compute, each with tiles of 16 pairs
  static constexpr bool kGathers = kWarps == 1;
  static constexpr int kRowBytes = Width * 2, kPlaneBytes = kStepKeys * kRowBytes, kStageBytes = 2 * kPlaneBytes;
  static constexpr int kStages = kWarps == 8 ? 3 : 2;
  static constexpr int kQueryBytes = kWarps * kTiles * 16 * kRowBytes;
};

/// The cache row of a row's key at a position; past the row's own position, its own.
NS_DEVICE int KeyRow(const TreeAttentionArguments& a, int row, int position) {
  const int own = a.positions[row], trunk = a.trunk[row], p = position < own ? position : own;
  return p < trunk ? a.pages[a.page_start[row] + p / kPageRows] * kPageRows + p % kPageRows : a.path_rows[a.path_start[row] + p - trunk];
}

NS_DEVICE AttentionItem LoadItem(const AttentionItem* item) {
  const Vector low = LoadVector(item), high = LoadVector((const Vector*)item + 1);
  return {(int)low.x, (int)low.y, (int)low.z, (int)low.w, (int)high.x, (int)high.y, (int)high.z, (int)high.w};
}

/// A block's work: KV heads of items, and in each its steps.
struct StepWalk {
  const TreeAttentionArguments& a;
  const int work;
  int index, position = 0;
  AttentionItem item = {};

  NS_DEVICE StepWalk(const TreeAttentionArguments& arguments, int its_work) : a(arguments), work(its_work), index(BlockIndex()) { Begin(); }
  NS_DEVICE bool Done() const { return index >= work; }
  NS_DEVICE void Begin() {
    if (!Done()) {
      item = LoadItem(a.items + index / a.kv_heads);
      position = item.begin;
    }
  }
  NS_DEVICE void Next() {
    position += kStepKeys;
    if (position >= item.end) {
      index += Blocks();
      Begin();
    }
  }
};

/// Asks for a step's keys and values, once everybody has left what the stage held.
template <class Shape>
NS_DEVICE void FillStep(const StepWalk& walk, const Ring& ring, const RingPlace& place) {
  const TreeAttentionArguments& a = walk.a;
  // A step past all slots has no page of its own; its keys are all gathered.
  const int slots = walk.item.slots, page = walk.position < slots ? walk.position / kPageRows : slots > 0 ? (slots - 1) / kPageRows : 0;
  const int64_t offset = ((int64_t)a.pages[walk.item.pages + page] * a.kv_heads + walk.index % a.kv_heads) * Shape::kPlaneBytes;
  Barrier* full = ring.Full(place.slot);
  BarrierWait(ring.Empty(place.slot), place.round ^ 1);
  FillBegin(full, Shape::kStageBytes);
  FillCopy<true>(ring.Stage(place.slot), a.keys + offset, Shape::kPlaneBytes, full);
  FillCopy<true>(ring.Stage(place.slot) + Shape::kPlaneBytes, a.values + offset, Shape::kPlaneBytes, full);
  FillEnd(full);
}

/// The place of a 16-byte piece of a row in shared memory, exchanged as in the cache.
template <class Shape>
NS_DEVICE int SharedPiece(int row, int piece) {
  return row * Shape::kRowBytes + (piece ^ (row & 7)) * 16;
}

/// One warp's pairs, and what it has summed of a unit.
template <class Shape>
struct AttentionWarp {
  const TreeAttentionArguments& a;
  const AttentionItem item;
  const int kv_head, group, first_pair, pairs;
  const uint8_t* queries;
  float m[Shape::kTiles][2], sum[Shape::kTiles][4], o[Shape::kTiles][Shape::kPieces][4];
  int own[Shape::kTiles][2];  // positions of this lane's rows g and g + 8; −1 past the item

  NS_DEVICE AttentionWarp(const TreeAttentionArguments& arguments, const AttentionItem& its, int head, uint8_t* place)
      : a(arguments), item(its), kv_head(head), group(a.heads / a.kv_heads), first_pair(Warp() * Shape::kTiles * 16), pairs(item.rows * group), queries(place) {
    SyncWarp();  // the item before may still be read
    for (int i = Lane(); i < Shape::kTiles * 16 * Shape::kPieces; i += 32) {
      const int r = i / Shape::kPieces, piece = i % Shape::kPieces, pair = first_pair + r;
      Vector v = {0, 0, 0, 0};
      if (pair < pairs) {
        v = ((const Vector*)a.q)[((int64_t)Row(pair) * a.heads + Head(pair)) * Shape::kPieces + piece];
      }
      *(Vector*)(place + SharedPiece<Shape>(r, piece)) = v;
    }
    SyncWarp();
    NS_UNROLL
    for (int tile = 0; tile < Shape::kTiles; ++tile) {
      NS_UNROLL
      for (int h = 0; h < 2; ++h) {
        own[tile][h] = PairOf(tile, h) < pairs ? a.positions[Row(PairOf(tile, h))] : -1;
        m[tile][h] = Bits(0xff800000u);
      }
      NS_UNROLL
      for (int e = 0; e < 4; ++e) {
        sum[tile][e] = 0;
        NS_UNROLL
        for (int n = 0; n < Shape::kPieces; ++n) {
          o[tile][n][e] = 0;
        }
      }
    }
  }

  NS_DEVICE int PairOf(int tile, int h) const { return first_pair + tile * 16 + h * 8 + Lane() / 4; }
  NS_DEVICE int Row(int pair) const { return item.first + pair / group; }
  NS_DEVICE int Head(int pair) const { return kv_head * group + pair % group; }

  /// The left operand of columns 16 k to 16 k + 15.
  NS_DEVICE void Query(uint32_t (&q)[4], int tile, int k) const {
    LoadMatrices(q, queries + tile * 16 * Shape::kRowBytes + SharedPiece<Shape>(Lane() & 15, k * 2 + (Lane() >> 4)));
  }

  /// Scores of Count groups of 16 keys, the first of which is group First of the step.
  template <int First, int Count>
  NS_DEVICE void Score(float (&s)[Shape::kTiles][8][4], const uint8_t* keys) const {
    const int r = Lane() & 7, b3 = Lane() >> 3 & 1, b4 = Lane() >> 4;
    NS_UNROLL
    for (int k = 0; k < Shape::kWidth / 16; ++k) {
      uint32_t q[Shape::kTiles][4];
      NS_UNROLL
      for (int tile = 0; tile < Shape::kTiles; ++tile) {
        Query(q[tile], tile, k);
      }
      NS_UNROLL
      for (int n = 0; n < Count; ++n) {
        uint32_t key[4];
        LoadMatrices(key, keys + n * 16 * Shape::kRowBytes + SharedPiece<Shape>(r + b4 * 8, k * 2 + b3));
        NS_UNROLL
        for (int tile = 0; tile < Shape::kTiles; ++tile) {
          MatrixMultiplyAdd<true>(s[tile][(First + n) * 2], q[tile], key[0], key[1]);
          MatrixMultiplyAdd<true>(s[tile][(First + n) * 2 + 1], q[tile], key[2], key[3]);
        }
      }
    }
  }

  /// From a step's scores to its probabilities in BF16, with everything before it rescaled to the new maximum.
  NS_DEVICE void Softmax(float (&s)[Shape::kTiles][8][4], uint32_t (&p)[Shape::kTiles][4][4], int position, bool masked) {
    const float minus_infinity = Bits(0xff800000u);
    float factor[Shape::kTiles][2];
    bool rescale = false;
    NS_UNROLL
    for (int tile = 0; tile < Shape::kTiles; ++tile) {
      NS_UNROLL
      for (int h = 0; h < 2; ++h) {
        float highest = minus_infinity;
        NS_UNROLL
        for (int n = 0; n < 8; ++n) {
          NS_UNROLL
          for (int e = 0; e < 2; ++e) {
            float& score = s[tile][n][h * 2 + e];
            score = Multiply(score, a.scale);
            const int key = position + n * 8 + Lane() % 4 * 2 + e;
            if (masked && (key > own[tile][h] || (a.window > 0 && key <= own[tile][h] - a.window))) {
              score = minus_infinity;
            }
            highest = Maximum(highest, score);
          }
        }
        highest = Maximum(highest, ShuffleXor(highest, 1));
        highest = Maximum(highest, ShuffleXor(highest, 2));
        const float next = Maximum(m[tile][h], highest), minus_base = next == minus_infinity ? 0 : -next;
        factor[tile][h] = m[tile][h] == next ? 1 : Exp2(Add(m[tile][h], minus_base));
        rescale = rescale || m[tile][h] != next;
        m[tile][h] = next;
        NS_UNROLL
        for (int n = 0; n < 8; ++n) {
          p[tile][n / 2][n % 2 * 2 + h] = PackBF16(Exp2(Add(s[tile][n][h * 2], minus_base)), Exp2(Add(s[tile][n][h * 2 + 1], minus_base)));
        }
      }
    }
    if (Any(rescale)) {
      NS_UNROLL
      for (int tile = 0; tile < Shape::kTiles; ++tile) {
        NS_UNROLL
        for (int e = 0; e < 4; ++e) {
          sum[tile][e] = Multiply(sum[tile][e], factor[tile][e / 2]);
          NS_UNROLL
          for (int n = 0; n < Shape::kPieces; ++n) {
            o[tile][n][e] = Multiply(o[tile][n][e], factor[tile][e / 2]);
          }
        }
      }
    }
  }

  /// Adds sixteen keys' weighted values, and the sum of their weights.
  NS_DEVICE void Weigh(const uint32_t (&p)[Shape::kTiles][4], const uint8_t* values) {
    constexpr uint32_t kOnes = 0x3f803f80;
    const int r = Lane() & 7, b3 = Lane() >> 3 & 1, b4 = Lane() >> 4;
    NS_UNROLL
    for (int tile = 0; tile < Shape::kTiles; ++tile) {
      MatrixMultiplyAdd<true>(sum[tile], p[tile], kOnes, kOnes);
    }
    NS_UNROLL
    for (int n = 0; n < Shape::kPieces / 2; ++n) {
      uint32_t v[4];
      LoadMatricesTransposed(v, values + SharedPiece<Shape>(r + b3 * 8, n * 2 + b4));
      NS_UNROLL
      for (int tile = 0; tile < Shape::kTiles; ++tile) {
        MatrixMultiplyAdd<true>(o[tile][n * 2], p[tile], v[0], v[1]);
        MatrixMultiplyAdd<true>(o[tile][n * 2 + 1], p[tile], v[2], v[3]);
      }
    }
  }

  /// One step of 64 keys that all rows share.
  NS_DEVICE void Step(int position, const uint8_t* keys, const uint8_t* values) {
    float s[Shape::kTiles][8][4] = {};
    Score<0, 4>(s, keys);
    uint32_t p[Shape::kTiles][4][4];
    Softmax(s, p, position, position + kStepKeys - 1 > item.sees_all || a.window > 0);
    NS_UNROLL
    for (int n = 0; n < 4; ++n) {
      uint32_t weights[Shape::kTiles][4];
      NS_UNROLL
      for (int tile = 0; tile < Shape::kTiles; ++tile) {
        NS_UNROLL
        for (int e = 0; e < 4; ++e) {
          weights[tile][e] = p[tile][n][e];
        }
      }
      Weigh(weights, values + n * 16 * Shape::kRowBytes);
    }
  }

  /// What a step's rows gather: for each group of 16 keys that is not shared, four rows of the batch at a time, first all keys, then all values.
  struct Gathering {
    int first, last;    // rows of the batch
    int group, groups;  // the first such group, and how many
    int position;
    uint8_t* places;

    NS_DEVICE int Batches() const { return (last - first + kGatherRows) / kGatherRows; }
    NS_DEVICE bool Has(int n) const { return n >= group && n < group + groups; }
  };

  NS_DEVICE void Gather(const Gathering& what, int load) const {
    const int half = what.groups * what.Batches(), index = load % half;
    if (load < 2 * half) {
      const Vector* plane = (const Vector*)(load < half ? a.keys : a.values);
      const int row = what.first + index % what.Batches() * kGatherRows, from = what.position + (what.group + index / what.Batches()) * 16;
      uint8_t* to = what.places + load % 2 * kGatherRows * 16 * Shape::kRowBytes;
      uint32_t cache_rows[2];  // of key lane % 16 of rows lane / 16 and lane / 16 + 2
      NS_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int its = row + j * 2 + Lane() / 16;
        cache_rows[j] = (uint32_t)KeyRow(a, its < what.last ? its : what.last, from + Lane() % 16);
      }
      NS_UNROLL
      for (int j = 0; j < 2; ++j) {
        for (int i = Lane(); i < 32 * Shape::kPieces; i += 32) {
          const int key = i / Shape::kPieces, piece = i % Shape::kPieces, cache_row = (int)ShuffleFrom(cache_rows[j], key);
          CopyAsync(to + SharedPiece<Shape>(j * 32 + key, piece), plane + KvPiece(cache_row, kv_head, piece, a.kv_heads, Shape::kWidth));
        }
      }
    }
    CommitCopies();
  }

  /// Calls with each row of one load and its sixteen keys or values, then asks for the load after the next.
  template <class Body>
  NS_DEVICE void ForEachRow(const Gathering& what, int load, int batch, Body body) const {
    WaitForCopies<1>();
    SyncWarp();
    for (int j = 0; j < kGatherRows && what.first + batch * kGatherRows + j <= what.last; ++j) {
      body(what.first + batch * kGatherRows + j, what.places + load % 2 * kGatherRows * 16 * Shape::kRowBytes + j * 16 * Shape::kRowBytes);
    }
    SyncWarp();
    Gather(what, load + 2);
  }

  template <int N>
  NS_DEVICE void GatherScores(float (&s)[1][8][4], const Gathering& what, int& load, const uint8_t* keys) const {
    if (!what.Has(N)) {
      if (N < what.group) {
        Score<N, 1>(s, keys + N * 16 * Shape::kRowBytes);
      }
      return;
    }
    for (int batch = 0; batch < what.Batches(); ++batch, ++load) {
      ForEachRow(what, load, batch, [&](int row, const uint8_t* its) {
        float theirs[1][8][4] = {};
        Score<0, 1>(theirs, its);
        NS_UNROLL
        for (int e = 0; e < 4; ++e) {
          if (Row(PairOf(0, e / 2)) == row) {
            s[0][N * 2][e] = theirs[0][0][e];
            s[0][N * 2 + 1][e] = theirs[0][1][e];
          }
        }
      });
    }
  }

  template <int N>
  NS_DEVICE void GatherValues(const uint32_t (&p)[1][4][4], const Gathering& what, int& load, const uint8_t* values) {
    uint32_t weights[1][4] = {{p[0][N][0], p[0][N][1], p[0][N][2], p[0][N][3]}};
    if (!what.Has(N)) {
      if (N < what.group) {
        Weigh(weights, values + N * 16 * Shape::kRowBytes);
      }
      return;
    }
    for (int batch = 0; batch < what.Batches(); ++batch, ++load) {
      ForEachRow(what, load, batch, [&](int row, const uint8_t* its) {
        NS_UNROLL
        for (int e = 0; e < 4; ++e) {
          weights[0][e] = Row(PairOf(0, e % 2)) == row ? p[0][N][e] : 0;  // nothing plus nothing changes no sum
        }
        Weigh(weights, its);
      });
    }
  }

  /// One step of which some groups of keys differ from row to row.
  NS_DEVICE void GatherStep(int position, const uint8_t* keys, const uint8_t* values, uint8_t* places) {
    const int group = item.slots <= position ? 0 : (item.slots - position) / 16, past = item.end - position;
    const int groups = (past < kStepKeys ? (past + 15) / 16 : 4) - group;
    const Gathering what{Row(0), Row((pairs < 16 ? pairs : 16) - 1), group, groups, position, places};
    Gather(what, 0);
    Gather(what, 1);
    int load = 0;
    float s[1][8][4] = {};
    GatherScores<0>(s, what, load, keys);
    GatherScores<1>(s, what, load, keys);
    GatherScores<2>(s, what, load, keys);
    GatherScores<3>(s, what, load, keys);
    uint32_t p[1][4][4];
    Softmax(s, p, position, true);
    GatherValues<0>(p, what, load, values);
    GatherValues<1>(p, what, load, values);
    GatherValues<2>(p, what, load, values);
    GatherValues<3>(p, what, load, values);
    WaitForCopies<0>();
  }

  NS_DEVICE void Store() const {
    NS_UNROLL
    for (int tile = 0; tile < Shape::kTiles; ++tile) {
      NS_UNROLL
      for (int h = 0; h < 2; ++h) {
        const int pair = PairOf(tile, h);
        if (pair >= pairs) {
          continue;
        }
        const int64_t at = ((int64_t)item.unit * a.bucket + Row(pair)) * a.heads + Head(pair);
        if (Lane() % 4 == 0) {
          a.maxima_sums[at] = {m[tile][h], sum[tile][h * 2]};
        }
        NS_UNROLL
        for (int n = 0; n < Shape::kPieces; ++n) {
          *(Pair*)(a.weighted + at * Shape::kWidth + n * 8 + Lane() % 4 * 2) = {o[tile][n][h * 2], o[tile][n][h * 2 + 1]};
        }
      }
    }
  }
};

template <int Width, int Warps, int Tiles>
NS_DEVICE void TreeAttention(const TreeAttentionArguments& a) {
  using Shape = AttentionShape<Width, Warps, Tiles>;
  const Ring ring{SharedMemory(), Shape::kStageBytes, Shape::kStages};
  uint8_t* queries = SharedMemory() + (RingBytes(Shape::kStageBytes, Shape::kStages) + 127) / 128 * 128;
  AllowKernelBehind();
  ring.Init(Warps);
  WaitForKernelInFront();
  const int warp = Warp(), work = *a.item_count * a.kv_heads;
  StepWalk ahead(a, work);
  RingPlace ahead_place;
  auto fill_one = [&] {
    if (warp == 0 && !ahead.Done()) {
      FillStep<Shape>(ahead, ring, ahead_place);
      ahead.Next();
      ahead_place.Next(ring);
    }
  };
  for (int i = 1; i < Shape::kStages; ++i) {
    fill_one();
  }

  [[maybe_unused]] uint8_t* places = queries + Shape::kQueryBytes;
  RingPlace place;
  for (int i = BlockIndex(); i < work; i += Blocks()) {
    AttentionWarp<Shape> state(a, LoadItem(a.items + i / a.kv_heads), i % a.kv_heads, queries + warp * Tiles * 16 * Shape::kRowBytes);
    for (int position = state.item.begin; position < state.item.end; position += kStepKeys, place.Next(ring)) {
      fill_one();
      BarrierWait(ring.Full(place.slot), place.round);
      if (state.first_pair < state.pairs) {
        const uint8_t* keys = ring.Stage(place.slot);
        if (!Shape::kGathers || position + kStepKeys <= state.item.slots || state.item.end <= state.item.slots) {
          state.Step(position, keys, keys + Shape::kPlaneBytes);
        } else if constexpr (Shape::kGathers) {
          state.GatherStep(position, keys, keys + Shape::kPlaneBytes, places);
        }
      }
      SyncWarp();
      if (Lane() == 0) {
        BarrierArrive(ring.Empty(place.slot));
      }
    }
    state.Store();
  }
  FillsDone();
}

}  // namespace
}  // namespace nativespec::cuda

// By the width of a head, and pairs that a block takes together.
#define NS_TREE_ATTENTION(width, pairs, warps, tiles, blocks)                                                                                  \
  NS_KERNEL(warps * 32, blocks) tree_attention_##width##_##pairs(const nativespec::cuda::TreeAttentionArguments a) {                     \
    nativespec::cuda::TreeAttention<width, warps, tiles>(a);                                                                                   \
  }
NS_TREE_ATTENTION(64, 16, 1, 1, 4)
NS_TREE_ATTENTION(64, 64, 4, 1, 2)
NS_TREE_ATTENTION(64, 256, 8, 2, 1)
NS_TREE_ATTENTION(128, 16, 1, 1, 2)
NS_TREE_ATTENTION(128, 64, 4, 1, 2)
NS_TREE_ATTENTION(128, 256, 8, 2, 1)
