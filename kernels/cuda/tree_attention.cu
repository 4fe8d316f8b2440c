// Attention of a tree's rows over a unit of their keys (layout.h).
//
// (row, query head) pairs of one KV head are the 16 rows of a warp's products. A block has four warps and takes items in one of two ways, which
// form the same sums:
//   - up to 64 pairs: each warp has 16 of them to itself and keeps their scores in registers, where the accumulator of q kᵀ has the shape of the
//     left operand of p v;
//   - up to 16 pairs: the warps share them. In q kᵀ each has 16 of the step's 64 keys, in p v a quarter of the numbers of a head; maxima and
//     probabilities are exchanged between. That is for few rows, where one warp alone would take four times as long.
// The sum of p is one more column of p v, a column of ones. The first warp also fills a ring with the steps to come, 64 keys and values each: a
// whole page of one KV head.
//
// A step whose keys lie in their own slots for every row of the item is shared by all rows. In other steps the keys differ from row to row: there
// each row of the batch gathers its own, in groups of 16 in the order of positions, so that its sums are those it would have alone. Items with
// such steps are shared by the warps.
#include "operations.h"
#include "ring.h"

namespace nativespec::cuda {
namespace {

constexpr int kWarps = 4, kStages = 2;
constexpr int kGatherRows = 4;  // rows of the batch that gather together

template <int Width>
struct AttentionShape {
  static constexpr int kPieces = Width / 8, kRowBytes = Width * 2, kPlaneBytes = kStepKeys * kRowBytes, kStageBytes = 2 * kPlaneBytes;
  static constexpr int kSixteen = 16 * kRowBytes;
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
  int index, position;
  AttentionItem item;
  int work;

  // The first item is asked for before it is known whether there is one: two loads at once instead of one after the other.
  NS_DEVICE explicit StepWalk(const TreeAttentionArguments& arguments)
      : a(arguments), index(BlockIndex()), item(LoadItem(a.items + (index / a.kv_heads < a.most_items ? index / a.kv_heads : 0))), work(*a.item_count * a.kv_heads) {
    position = item.begin;
  }
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
template <int Width>
NS_DEVICE void FillStep(const StepWalk& walk, const Ring& ring, const RingPlace& place) {
  using Shape = AttentionShape<Width>;
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
template <int Width>
NS_DEVICE int SharedPiece(int row, int piece) {
  return row * (Width * 2) + (piece ^ (row & 7)) * 16;
}

/// Sixteen pairs and what is common to both ways.
template <int Width>
struct Pairs {
  const TreeAttentionArguments& a;
  const AttentionItem& item;
  const int kv_head, group, first, count;  // pairs first to first + 15, as far as the item has so many
  const uint8_t* queries;
  int own[2];  // positions of this lane's rows g and g + 8; −1 past the item
  float m[2], sum[4];

  NS_DEVICE Pairs(const TreeAttentionArguments& arguments, const AttentionItem& its, int head, int first_pair, const uint8_t* place)
      : a(arguments), item(its), kv_head(head), group(a.heads / a.kv_heads), first(first_pair), count(item.rows * group), queries(place) {
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      own[h] = PairOf(h) < count ? a.positions[Row(PairOf(h))] : -1;
      m[h] = Bits(0xff800000u);
    }
    sum[0] = sum[1] = sum[2] = sum[3] = 0;
  }

  NS_DEVICE int PairOf(int h) const { return first + h * 8 + Lane() / 4; }
  NS_DEVICE int Row(int pair) const { return item.first + pair / group; }

  /// Copies the queries to shared memory, by so many threads of which this is one.
  NS_DEVICE void LoadQueries(uint8_t* place, int thread, int threads) const {
    using Shape = AttentionShape<Width>;
    for (int i = thread; i < 16 * Shape::kPieces; i += threads) {
      const int r = i / Shape::kPieces, piece = i % Shape::kPieces, pair = first + r;
      Vector v = {0, 0, 0, 0};
      if (pair < count) {
        v = ((const Vector*)a.q)[((int64_t)Row(pair) * a.heads + kv_head * group + pair % group) * Shape::kPieces + piece];
      }
      *(Vector*)(place + SharedPiece<Width>(r, piece)) = v;
    }
  }

  /// Scores of Groups groups of 16 keys, one behind the other.
  template <int Groups>
  NS_DEVICE void Score(float (&s)[Groups * 2][4], const uint8_t* keys) const {
    const int r = Lane() & 7, b3 = Lane() >> 3 & 1, b4 = Lane() >> 4;
    NS_UNROLL
    for (int k = 0; k < Width / 16; ++k) {
      uint32_t q[4];
      LoadMatrices(q, queries + SharedPiece<Width>(Lane() & 15, k * 2 + b4));
      NS_UNROLL
      for (int n = 0; n < Groups; ++n) {
        uint32_t key[4];
        LoadMatrices(key, keys + n * AttentionShape<Width>::kSixteen + SharedPiece<Width>(r + b4 * 8, k * 2 + b3));
        MatrixMultiplyAdd<true>(s[n * 2], q, key[0], key[1]);
        MatrixMultiplyAdd<true>(s[n * 2 + 1], q, key[2], key[3]);
      }
    }
  }

  /// Scales and masks scores of keys from a position on; the highest of each row, over the four lanes that hold it.
  template <int Groups>
  NS_DEVICE void Mask(float (&s)[Groups * 2][4], float (&highest)[2], int position) const {
    const bool masked = position + Groups * 16 - 1 > item.sees_all || a.window > 0;
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      highest[h] = Bits(0xff800000u);
      NS_UNROLL
      for (int n = 0; n < Groups * 2; ++n) {
        NS_UNROLL
        for (int e = 0; e < 2; ++e) {
          float& score = s[n][h * 2 + e];
          score = Multiply(score, a.scale);
          const int key = position + n * 8 + Lane() % 4 * 2 + e;
          if (masked && (key > own[h] || (a.window > 0 && key <= own[h] - a.window))) {
            score = Bits(0xff800000u);
          }
          highest[h] = Maximum(highest[h], score);
        }
      }
      highest[h] = Maximum(highest[h], ShuffleXor(highest[h], 1));
      highest[h] = Maximum(highest[h], ShuffleXor(highest[h], 2));
    }
  }

  /// The new maxima: minus what is taken from scores, and the factors of what was summed. True where a factor of this lane is not 1.
  NS_DEVICE bool Advance(const float (&highest)[2], float (&minus_base)[2], float (&factor)[2]) {
    bool rescale = false;
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      const float next = Maximum(m[h], highest[h]);
      minus_base[h] = next == Bits(0xff800000u) ? 0 : -next;
      factor[h] = m[h] == next ? 1 : Exp2(Add(m[h], minus_base[h]));
      rescale = rescale || m[h] != next;
      m[h] = next;
    }
    return rescale;
  }

  /// Probabilities of sixteen keys as a left operand.
  NS_DEVICE void Probabilities(uint32_t (&p)[4], const float (&even)[4], const float (&odd)[4], const float (&minus_base)[2]) const {
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      p[h] = PackBF16(Exp2(Add(even[h * 2], minus_base[h])), Exp2(Add(even[h * 2 + 1], minus_base[h])));
      p[h + 2] = PackBF16(Exp2(Add(odd[h * 2], minus_base[h])), Exp2(Add(odd[h * 2 + 1], minus_base[h])));
    }
  }

  template <int Tiles>
  NS_DEVICE void Rescale(float (&o)[Tiles][4], const float (&factor)[2]) {
    NS_UNROLL
    for (int e = 0; e < 4; ++e) {
      sum[e] = Multiply(sum[e], factor[e / 2]);
      NS_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        o[n][e] = Multiply(o[n][e], factor[e / 2]);
      }
    }
  }

  /// Adds sixteen keys' weighted values, of the numbers of a head from piece on, and the sum of their weights.
  template <int Tiles>
  NS_DEVICE void Weigh(float (&o)[Tiles][4], const uint32_t (&p)[4], const uint8_t* values, int piece) {
    constexpr uint32_t kOnes = 0x3f803f80;
    const int r = Lane() & 7, b3 = Lane() >> 3 & 1, b4 = Lane() >> 4;
    MatrixMultiplyAdd<true>(sum, p, kOnes, kOnes);
    NS_UNROLL
    for (int n = 0; n < Tiles / 2; ++n) {
      uint32_t v[4];
      LoadMatricesTransposed(v, values + SharedPiece<Width>(r + b3 * 8, piece + n * 2 + b4));
      MatrixMultiplyAdd<true>(o[n * 2], p, v[0], v[1]);
      MatrixMultiplyAdd<true>(o[n * 2 + 1], p, v[2], v[3]);
    }
  }

  template <int Tiles>
  NS_DEVICE void Store(const float (&o)[Tiles][4], int piece) const {
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int pair = PairOf(h);
      if (pair < count) {
        const int64_t at = ((int64_t)item.unit * a.bucket + Row(pair)) * a.heads + kv_head * group + pair % group;
        if (piece == 0 && Lane() % 4 == 0) {
          a.maxima_sums[at] = {m[h], sum[h * 2]};
        }
        NS_UNROLL
        for (int n = 0; n < Tiles; ++n) {
          *(Pair*)(a.weighted + at * Width + (piece + n) * 8 + Lane() % 4 * 2) = {o[n][h * 2], o[n][h * 2 + 1]};
        }
      }
    }
  }
};

/// What a step's rows gather: for each group of 16 keys that is not shared, four rows of the batch at a time, first all keys, then all values. Loads
/// are asked for two ahead.
template <int Width>
struct Gathering {
  using Shape = AttentionShape<Width>;
  const TreeAttentionArguments& a;
  int kv_head, first, last;     // rows of the batch
  int group, groups, position;  // the first such group, how many, and where the step begins
  uint8_t* places;              // for two loads

  NS_DEVICE int Batches() const { return (last - first + kGatherRows) / kGatherRows; }
  NS_DEVICE bool Has(int n) const { return n >= group && n < group + groups; }
  NS_DEVICE const uint8_t* Place(int load, int row) const { return places + (load % 2 * kGatherRows + row) * Shape::kSixteen; }

  NS_DEVICE void Ask(int load) const {
    const int half = groups * Batches(), index = load % half;
    if (load < 2 * half) {
      const Vector* plane = (const Vector*)(load < half ? a.keys : a.values);
      const int row = first + index % Batches() * kGatherRows, from = position + (group + index / Batches()) * 16;
      // A warp copies one row's keys; its lanes look their cache rows up, and pass them on.
      const int its = row + Warp() < last ? row + Warp() : last;
      const uint32_t cache_row = (uint32_t)KeyRow(a, its, from + Lane() % 16);
      uint8_t* to = places + (load % 2 * kGatherRows + Warp()) * Shape::kSixteen;
      for (int i = Lane(); i < 16 * Shape::kPieces; i += 32) {
        const int key = i / Shape::kPieces, piece = i % Shape::kPieces;
        CopyAsync(to + SharedPiece<Width>(key, piece), plane + KvPiece((int)ShuffleFrom(cache_row, key), kv_head, piece, a.kv_heads, Width));
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
template <int Width>
struct ItemMemory {
  using Shape = AttentionShape<Width>;
  static constexpr int kGathered = Shape::kSixteen, kScores = kGathered + 2 * kGatherRows * Shape::kSixteen, kProbabilities = kScores + 4 * 16 * 16 * 4,
                       kMaxima = kProbabilities + 4 * 512, kBytes = kMaxima + 4 * 16 * 4;
  static_assert(AttentionRingBytes(Width) + kBytes == AttentionBytes(Width));
};

/// An item of up to 16 pairs, by all warps.
template <int Width>
struct SharedItem {
  using Shape = AttentionShape<Width>;
  using Memory = ItemMemory<Width>;
  static constexpr int kTiles = Shape::kPieces / kWarps;  // of eight numbers, that a warp weighs
  Pairs<Width> pairs;
  uint8_t* memory;
  float o[kTiles][4];

  NS_DEVICE SharedItem(const TreeAttentionArguments& a, const AttentionItem& item, int kv_head, uint8_t* place) : pairs(a, item, kv_head, 0, place), memory(place) {
    pairs.LoadQueries(memory, ThreadIndex(), kWarps * 32);
    NS_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0;
    }
    SyncThreads();
  }

  /// Scores of a group whose rows gather, to shared memory: each warp takes one row of the batch.
  NS_DEVICE void GatherScores(const Gathering<Width>& what, int n, int& load) const {
    for (int batch = 0; batch < what.Batches(); ++batch, ++load) {
      what.Await();
      const int row = what.first + batch * kGatherRows + Warp();
      if (row <= what.last) {
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

  NS_DEVICE void Step(int position, const uint8_t* keys, const uint8_t* values) {
    const AttentionItem& item = pairs.item;
    const int past = item.end - position;
    const int group = item.slots <= position ? 0 : item.slots >= item.end || item.slots >= position + kStepKeys ? 4 : (item.slots - position) / 16;
    const int groups = group == 4 ? 0 : (past < kStepKeys ? (past + 15) / 16 : 4) - group;
    const int last = (pairs.count < 16 ? pairs.count : 16) - 1;
    const Gathering<Width> what{pairs.a, pairs.kv_head, pairs.Row(0), pairs.Row(last), group, groups, position, memory + Memory::kGathered};
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
    uint32_t mine[4];
    pairs.Probabilities(mine, s[0], s[1], minus_base);
    Vector* probabilities = (Vector*)(memory + Memory::kProbabilities);
    probabilities[Warp() * 32 + Lane()] = {mine[0], mine[1], mine[2], mine[3]};
    if (Any(rescale)) {
      pairs.Rescale(o, factor);
    }
    SyncThreads();

    const int piece = Warp() * kTiles;
    for (int n = 0; n < 4; ++n) {
      const Vector v = probabilities[n * 32 + Lane()];
      const uint32_t p[4] = {v.x, v.y, v.z, v.w};
      if (!what.Has(n)) {
        if (n < group) {
          pairs.Weigh(o, p, values + n * Shape::kSixteen, piece);
        }
        continue;
      }
      for (int batch = 0; batch < what.Batches(); ++batch, ++load) {
        what.Await();
        for (int j = 0; j < kGatherRows && what.first + batch * kGatherRows + j <= what.last; ++j) {
          const int row = what.first + batch * kGatherRows + j;
          uint32_t its[4];
          NS_UNROLL
          for (int e = 0; e < 4; ++e) {
            its[e] = pairs.Row(pairs.PairOf(e % 2)) == row ? p[e] : 0;  // nothing plus nothing changes no sum
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
template <int Width>
struct OwnItem {
  using Shape = AttentionShape<Width>;
  Pairs<Width> pairs;
  float o[Shape::kPieces][4];

  NS_DEVICE OwnItem(const TreeAttentionArguments& a, const AttentionItem& item, int kv_head, uint8_t* place) : pairs(a, item, kv_head, Warp() * 16, place) {
    pairs.LoadQueries(place, Lane(), 32);
    NS_UNROLL
    for (int n = 0; n < Shape::kPieces; ++n) {
      o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0;
    }
    SyncWarp();
  }

  NS_DEVICE void Step(int position, const uint8_t* keys, const uint8_t* values) {
    if (pairs.first >= pairs.count) {
      return;
    }
    float s[8][4] = {}, highest[2], minus_base[2], factor[2];
    pairs.template Score<4>(s, keys);
    pairs.template Mask<4>(s, highest, position);
    const bool rescale = pairs.Advance(highest, minus_base, factor);
    if (Any(rescale)) {
      pairs.Rescale(o, factor);
    }
    NS_UNROLL
    for (int n = 0; n < 4; ++n) {
      uint32_t p[4];
      pairs.Probabilities(p, s[n * 2], s[n * 2 + 1], minus_base);
      pairs.Weigh(o, p, values + n * Shape::kSixteen, 0);
    }
  }

  NS_DEVICE void Store() const { pairs.Store(o, 0); }
};

template <int Width>
NS_DEVICE void TreeAttention(const TreeAttentionArguments& a) {
  using Shape = AttentionShape<Width>;
  const Ring ring{SharedMemory(), Shape::kStageBytes, kStages};
  uint8_t* memory = SharedMemory() + AttentionRingBytes(Width);
  AllowKernelBehind();
  ring.Init(kWarps);
  WaitForKernelInFront();
  const int warp = Warp();
  StepWalk ahead(a);
  RingPlace ahead_place;
  auto fill_one = [&] {
    if (warp == 0 && !ahead.Done()) {
      FillStep<Width>(ahead, ring, ahead_place);
      ahead.Next();
      ahead_place.Next(ring);
    }
  };
  fill_one();

  RingPlace place;
  auto steps = [&](const AttentionItem& item, auto& state) {
    for (int position = item.begin; position < item.end; position += kStepKeys, place.Next(ring)) {
      fill_one();
      BarrierWait(ring.Full(place.slot), place.round);
      const uint8_t* keys = ring.Stage(place.slot);
      state.Step(position, keys, keys + Shape::kPlaneBytes);
      SyncWarp();
      if (Lane() == 0) {
        BarrierArrive(ring.Empty(place.slot));
      }
    }
    state.Store();
  };
  for (int i = BlockIndex(); i < ahead.work; i += Blocks()) {
    const AttentionItem item = LoadItem(a.items + i / a.kv_heads);
    SyncThreads();  // the item before has left the shared memory
    if (item.rows * (a.heads / a.kv_heads) <= 16) {
      SharedItem<Width> state(a, item, i % a.kv_heads, memory);
      steps(item, state);
    } else {
      OwnItem<Width> state(a, item, i % a.kv_heads, memory + warp * Shape::kSixteen);
      steps(item, state);
    }
  }
  FillsDone();
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(128, 2) tree_attention_64(const nativespec::cuda::TreeAttentionArguments a) { nativespec::cuda::TreeAttention<64>(a); }
NS_KERNEL(128, 2) tree_attention_128(const nativespec::cuda::TreeAttentionArguments a) { nativespec::cuda::TreeAttention<128>(a); }
