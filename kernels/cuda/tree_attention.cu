// Attention of a tree's rows over a unit of their keys (layout.h).
//
// (row, query head) pairs of one KV head are the 16 rows of a warp's products. A block has four warps and takes items in one of two ways, which
// form the same sums:
//   - up to 64 pairs: each warp has 16 of them to itself and keeps their scores in registers, where the accumulator of q kᵀ has the shape of the
//     left operand of p v;
//   - up to 16 pairs: the warps share them. In q kᵀ each has 16 of the step's 64 keys, in p v a quarter of the numbers of a head; maxima and
//     probabilities are exchanged between. That is for few rows, where one warp alone would take four times as long.
// The sum of p is one more column of p v, a column of ones. The first warp also fills a ring with the steps to come, 64 keys and values each: a
// whole page of one KV head. Where that is too much for two stages, keys are one stage and values the next.
//
// Keys and values in F32 are two BF16 parts, as are queries and p beside them, and every product is three (layout.h).
//
// A step whose keys lie in their own slots for every row of the item is shared by all rows. In other steps the keys differ from row to row: there
// each row of the batch gathers its own, in groups of 16 in the order of positions, so that its sums are those it would have alone. Items with
// such steps are shared by the warps.
#include "attention_pairs.h"

namespace nativespec::cuda {
namespace {

constexpr int kWarps = 4, kStages = 2;

/// What a step's rows gather: for each group of 16 keys that is not shared, so many rows of the batch at a time, first all keys, then all values. Loads
/// are asked for two ahead.
template <class Shape>
struct Gathering {
  static constexpr int kRows = AttentionGatherRows(Shape::kFormat);  // of the batch that gather together
  const TreeAttentionArguments& a;
  int kv_head, first, last;     // rows of the batch
  int group, groups, position;  // the first such group, how many, and where the step begins
  uint8_t* places;              // for two loads

  NS_DEVICE int Batches() const { return (last - first + kRows) / kRows; }
  NS_DEVICE bool Has(int n) const { return n >= group && n < group + groups; }
  NS_DEVICE const uint8_t* Place(int load, int row) const { return places + (load % 2 * kRows + row) * Shape::kSixteen; }

  NS_DEVICE void Ask(int load) const {
    const int half = groups * Batches(), index = load % half;
    if (load < 2 * half) {
      const Vector* plane = (const Vector*)(load < half ? a.keys : a.values);
      const int row = first + index % Batches() * kRows, from = position + (group + index / Batches()) * 16;
      // A warp copies one row's keys, or its share of them; its lanes look their cache rows up, and pass them on.
      constexpr int kShares = kWarps / kRows, kPieces = Shape::kRowPieces;
      const int mine = Warp() / kShares, its = row + mine < last ? row + mine : last;
      const uint32_t cache_row = (uint32_t)KeyRow(a, its, from + Lane() % 16);
      uint8_t* to = places + (load % 2 * kRows + mine) * Shape::kSixteen;
      for (int i = Warp() % kShares * 32 + Lane(); i < 16 * kPieces; i += 32 * kShares) {
        const int key = i / kPieces, piece = i % kPieces;
        CopyAsync(to + Shape::Piece(key, piece), plane + KvPiece((int)ShuffleFrom(cache_row, key), kv_head, piece, a.kv_heads, kPieces * 8));
      }
    }
    CommitCopies();
  }
  /// Waits for a load, on all threads.
  NS_DEVICE void Await() const {
    WaitForCopies<1>();
    SyncThreads();
  }
};

/// Shared memory of an item: 64 pairs' queries; or 16 pairs', what is gathered, scores, probabilities and maxima.
template <class Shape>
struct ItemMemory {
  static constexpr int kGathered = Shape::kSixteen, kScores = kGathered + 2 * Gathering<Shape>::kRows * Shape::kSixteen, kProbabilities = kScores + 4 * 16 * 16 * 4,
                       kMaxima = kProbabilities + Shape::kParts * 4 * 512, kBytes = kMaxima + 4 * 16 * 4;
  static_assert(kWarps * Shape::kSixteen <= kBytes);
  static_assert(AttentionRingBytes(Shape::kRowBytes) + kBytes == AttentionBytes(Shape::kWidth, Shape::kFormat));
};

/// An item of up to 16 pairs, by all warps.
template <class Shape>
struct SharedItem {
  using Memory = ItemMemory<Shape>;
  static constexpr int kTiles = Shape::kPieces / kWarps;  // of eight numbers, that a warp weighs
  Pairs<Shape> pairs;
  uint8_t* memory;
  float o[kTiles][4];

  NS_DEVICE SharedItem(const TreeAttentionArguments& a, const OpenItem& item, int kv_head, uint8_t* place) : pairs(a, item, kv_head, 0, place), memory(place) {
    pairs.LoadQueries(memory, ThreadIndex(), kWarps * 32);
    NS_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0;
    }
    SyncThreads();
  }

  /// Scores of a group whose rows gather, to shared memory: each warp takes one row of the batch.
  NS_DEVICE void GatherScores(const Gathering<Shape>& what, int n, int& load) const {
    for (int batch = 0; batch < what.Batches(); ++batch, ++load) {
      what.Await();
      const int row = what.first + batch * what.kRows + Warp();
      if ((what.kRows == kWarps || Warp() < what.kRows) && row <= what.last) {
        float s[2][4] = {};
        pairs.template Score<1>(s, what.Place(load, Warp()));
        float* to = (float*)(memory + Memory::kScores) + n * 256;
        NS_UNROLL
        for (int i = 0; i < 8; ++i) {
          const int h = i / 2 % 2;
          if (pairs.PairOf(h) < pairs.count && pairs.Row(pairs.PairOf(h)) == row) {
            to[(h * 8 + Lane() / 4) * 16 + i / 4 * 8 + Lane() % 4 * 2 + i % 2] = s[i / 4][i % 4];
          }
        }
      }
      SyncThreads();
      what.Ask(load + 2);
    }
  }

  NS_DEVICE void Step(int position, const uint8_t* keys, StepStages<Shape>& stages) {
    const OpenItem& item = pairs.item;
    const int past = item.end - position;
    const int group = item.slots <= position ? 0 : item.slots >= item.end || item.slots >= position + kStepKeys ? 4 : (item.slots - position) / 16;
    const int groups = group == 4 ? 0 : (past < kStepKeys ? (past + 15) / 16 : 4) - group;
    const int last = (pairs.count < 16 ? pairs.count : 16) - 1;
    const Gathering<Shape> what{pairs.a, pairs.kv_head, pairs.Row(0), pairs.Row(last), group, groups, position, memory + Memory::kGathered};
    int load = 0;
    if (groups > 0) {
      what.Ask(0);
      what.Ask(1);
      for (int n = group; n < group + groups; ++n) {
        GatherScores(what, n, load);
      }
      SyncThreads();
    }

    float s[2][4] = {};
    if (what.Has(Warp())) {
      const float* from = (const float*)(memory + Memory::kScores) + Warp() * 256;
      NS_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int r = i / 2 % 2 * 8 + Lane() / 4;
        s[i / 4][i % 4] = r <= last ? from[r * 16 + i / 4 * 8 + Lane() % 4 * 2 + i % 2] : 0;
      }
    } else if (Warp() < group) {
      pairs.template Score<1>(s, keys + Warp() * Shape::kSixteen);
    }
    float highest[2], minus_base[2], factor[2];
    pairs.template Mask<1>(s, highest, position + Warp() * 16);
    float* maxima = (float*)(memory + Memory::kMaxima);
    if (Lane() % 4 == 0) {
      maxima[Warp() * 16 + Lane() / 4] = highest[0];
      maxima[Warp() * 16 + 8 + Lane() / 4] = highest[1];
    }
    SyncThreads();
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      NS_UNROLL
      for (int warp = 0; warp < kWarps; ++warp) {
        highest[h] = Maximum(highest[h], maxima[warp * 16 + h * 8 + Lane() / 4]);
      }
    }
    const bool rescale = pairs.Advance(highest, minus_base, factor);
    uint32_t mine[Shape::kParts][4];
    pairs.Probabilities(mine, s[0], s[1], minus_base);
    Vector* probabilities = (Vector*)(memory + Memory::kProbabilities);
    NS_UNROLL
    for (int part = 0; part < Shape::kParts; ++part) {
      probabilities[(part * kWarps + Warp()) * 32 + Lane()] = {mine[part][0], mine[part][1], mine[part][2], mine[part][3]};
    }
    if (Any(rescale)) {
      pairs.Rescale(o, factor);
    }
    SyncThreads();

    const uint8_t* values = stages.AwaitValues(keys);
    const int piece = Warp() * kTiles;
    for (int n = 0; n < 4; ++n) {
      uint32_t p[Shape::kParts][4];
      NS_UNROLL
      for (int part = 0; part < Shape::kParts; ++part) {
        const Vector v = probabilities[(part * kWarps + n) * 32 + Lane()];
        p[part][0] = v.x;
        p[part][1] = v.y;
        p[part][2] = v.z;
        p[part][3] = v.w;
      }
      if (!what.Has(n)) {
        if (n < group) {
          pairs.Weigh(o, p, values + n * Shape::kSixteen, piece);
        }
        continue;
      }
      for (int batch = 0; batch < what.Batches(); ++batch, ++load) {
        what.Await();
        for (int j = 0; j < what.kRows && what.first + batch * what.kRows + j <= what.last; ++j) {
          const int row = what.first + batch * what.kRows + j;
          uint32_t its[Shape::kParts][4];
          NS_UNROLL
          for (int part = 0; part < Shape::kParts; ++part) {
            NS_UNROLL
            for (int e = 0; e < 4; ++e) {
              its[part][e] = pairs.Row(pairs.PairOf(e % 2)) == row ? p[part][e] : 0;  // nothing plus nothing changes no sum
            }
          }
          pairs.Weigh(o, its, what.Place(load, j), piece);
        }
        SyncThreads();
        what.Ask(load + 2);
      }
    }
    WaitForCopies<0>();
  }

  NS_DEVICE void Store() const { pairs.Store(o, Warp() * kTiles); }
};

/// Sixteen of an item's pairs, by one warp.
template <class Shape>
struct OwnItem {
  Pairs<Shape> pairs;
  float o[Shape::kPieces][4];

  NS_DEVICE OwnItem(const TreeAttentionArguments& a, const OpenItem& item, int kv_head, uint8_t* place) : pairs(a, item, kv_head, Warp() * 16, place) {
    pairs.LoadQueries(place, Lane(), 32);
    NS_UNROLL
    for (int n = 0; n < Shape::kPieces; ++n) {
      o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0;
    }
    SyncWarp();
  }

  NS_DEVICE void Step(int position, const uint8_t* keys, StepStages<Shape>& stages) {
    if (pairs.first >= pairs.count) {
      stages.AwaitValues(keys);
      return;
    }
    float s[8][4] = {}, highest[2], minus_base[2], factor[2];
    pairs.template Score<4>(s, keys);
    pairs.template Mask<4>(s, highest, position);
    const bool rescale = pairs.Advance(highest, minus_base, factor);
    if (Any(rescale)) {
      pairs.Rescale(o, factor);
    }
    const uint8_t* values = stages.AwaitValues(keys);
    NS_UNROLL
    for (int n = 0; n < 4; ++n) {
      uint32_t p[Shape::kParts][4];
      pairs.Probabilities(p, s[n * 2], s[n * 2 + 1], minus_base);
      pairs.Weigh(o, p, values + n * Shape::kSixteen, 0);
    }
  }

  NS_DEVICE void Store() const { pairs.Store(o, 0); }
};

template <class Shape, class Item>
NS_DEVICE void Attend(const OpenItem& item, Item& state, StepStages<Shape>& stages) {
  for (int position = item.begin; position < item.end; position += kStepKeys) {
    state.Step(position, stages.Await(), stages);
    stages.Leave();
  }
  state.Store();
}

template <class Shape>
NS_DEVICE void TreeAttention(const TreeAttentionArguments& a) {
  const Ring ring{SharedMemory(), Shape::kStageBytes, kStages};
  uint8_t* memory = SharedMemory() + AttentionRingBytes(Shape::kRowBytes);
  AllowKernelBehind();
  ring.Init(kWarps);
  WaitForKernelInFront();
  const int warp = Warp();
  StepStages<Shape> stages(a, ring);
  stages.Ask();
  for (int i = BlockIndex(); i < stages.ahead.work; i += Blocks()) {
    const OpenItem item = LoadItem(a.items + i / a.kv_heads);
    SyncThreads();  // the item before has left the shared memory
    if (item.rows * (a.heads / a.kv_heads) <= 16) {
      SharedItem<Shape> state(a, item, i % a.kv_heads, memory);
      Attend(item, state, stages);
    } else {
      OwnItem<Shape> state(a, item, i % a.kv_heads, memory + warp * Shape::kSixteen);
      Attend(item, state, stages);
    }
  }
  FillsDone();
}

}  // namespace
}  // namespace nativespec::cuda

#define NS_TREE_ATTENTION(name, format, width)                                                                     \
  NS_KERNEL(128, 2) tree_attention_##name##_##width(const nativespec::cuda::TreeAttentionArguments a) {            \
    nativespec::cuda::TreeAttention<nativespec::cuda::AttentionShape<width, nativespec::cuda::Format::format>>(a); \
  }
NS_TREE_ATTENTION(bf16, kBF16, 64)
NS_TREE_ATTENTION(bf16, kBF16, 128)
NS_TREE_ATTENTION(f32, kF32, 64)
NS_TREE_ATTENTION(f32, kF32, 128)
