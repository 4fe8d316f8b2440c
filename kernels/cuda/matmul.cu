// The product of packed weights and 8 rows or more. Weights are the left operand, 16 outputs a warp; rows are its columns, eight to an
// instruction, so that one row costs what eight do and no row's sums depend on the others (docs/cuda.md).
//
// A block of eight warps takes slabs of 128 outputs by one segment of k, one after another as the grid's size says, and a ninth warp fills the ring
// for them, across the ends of slabs. Which block computes a slab changes no bit.
//
// Rows of prompts are taken 128 at a time: a block computes a slab for some 128 of them, and blocks of one slab run side by side, so that its weights come
// from memory once and from the second-level cache for the others.
//
// On parts that have them, products of four warps (wgmma) read the rows from shared memory by themselves; they give the bits of the products of
// one warp (docs/performance-gpu.md).
#include "operations.h"
#include "ring.h"
#include "weights.h"

#ifndef NATIVESPEC_GROUP_TILES
#define NATIVESPEC_GROUP_TILES 4  // row tiles from which products of four warps are taken
#endif

namespace nativespec::cuda {
namespace {

constexpr int kConsumers = 8;

/// Tiles of eight rows from which on there may be several blocks of rows.
constexpr int kPromptTiles = 16;

template <int N>
NS_DEVICE int RowBlocks(const MatMulArguments& a) { return N >= kPromptTiles ? a.row_blocks : 1; }
template <int N>
NS_DEVICE int Items(const MatMulArguments& a) { return a.slabs * a.segments * RowBlocks<N>(a); }

/// A piece of work: a segment of a slab for a block of N tiles of rows.
template <int N>
struct MatMulItem {
  int slab, segment, block = 0;

  NS_DEVICE MatMulItem(const MatMulArguments& a, int item) {
    int pair = item;
    if constexpr (N >= kPromptTiles) {
      pair = item / a.row_blocks;
      block = item % a.row_blocks;
    }
    slab = pair / a.segments;
    segment = pair % a.segments;
  }
  NS_DEVICE int Begin(const MatMulArguments& a) const { return SegmentBegin(segment, a.segments, a.stages); }
  NS_DEVICE int End(const MatMulArguments& a) const { return SegmentBegin(segment + 1, a.segments, a.stages); }
  NS_DEVICE int Stages(const MatMulArguments& a) const { return End(a) - Begin(a); }
};

/// The block's work, stage after stage.
template <int N>
struct MatMulWalk {
  const MatMulArguments& a;
  int item, stage, end;
  MatMulItem<N> its;

  NS_DEVICE explicit MatMulWalk(const MatMulArguments& arguments) : a(arguments), item(BlockIndex()), its(a, item) { Begin(); }
  NS_DEVICE bool Done() const { return item >= Items<N>(a); }
  NS_DEVICE void Begin() {
    stage = its.Begin(a);
    end = its.End(a);
  }
  NS_DEVICE void NextStage() {
    if (++stage == end) {
      item += Blocks();
      its = MatMulItem<N>(a, item);
      Begin();
    }
  }
};

template <Format F, int N>
NS_DEVICE void Fill(const MatMulArguments& a, const Ring& ring) {
  using L = WeightLayout<F>;
  constexpr int kRowBytes = L::kColumns / 32 * N * 512;
  auto weights = [&](const MatMulWalk<N>& walk, int slot) {
    FillBegin(ring.Full(slot), L::kStageBytes + kRowBytes);
    FillCopy<(N < kPromptTiles)>(ring.Stage(slot), a.weights + ((int64_t)walk.its.slab * a.stages + walk.stage) * L::kStageBytes, L::kStageBytes, ring.Full(slot));
  };
  auto rows = [&](const MatMulWalk<N>& walk, int slot) {
    uint8_t* stage = ring.Stage(slot) + L::kStageBytes;
    if constexpr (N >= kPromptTiles) {  // other blocks' rows lie between
      NS_UNROLL
      for (int i = 0; i < L::kColumns / 32; ++i) {
        const int64_t columns32 = (int64_t)walk.stage * (L::kColumns / 32) + i;
        FillCopy<false>(stage + i * N * 512, a.x + (columns32 * a.row_blocks + walk.its.block) * (N * 512), N * 512, ring.Full(slot));
      }
    } else {
      FillCopy<false>(stage, a.x + (int64_t)walk.stage * kRowBytes, kRowBytes, ring.Full(slot));
    }
    FillEnd(ring.Full(slot));
  };

  // Weights are what they always were: they are under way before the kernel in front has ended.
  MatMulWalk<N> ahead(a);
  int filled = 0;
  for (; filled < ring.stages && !ahead.Done(); ++filled, ahead.NextStage()) {
    weights(ahead, filled);
  }
  WaitForKernelInFront();
  MatMulWalk<N> walk(a);
  for (int slot = 0; slot < filled; ++slot, walk.NextStage()) {
    rows(walk, slot);
  }
  for (RingPlace place; !walk.Done(); walk.NextStage(), place.Next(ring)) {
    BarrierWait(ring.Empty(place.slot), place.round);
    weights(walk, place.slot);
    rows(walk, place.slot);
  }
  FillsDone();
}

/// Steps of a stage by one warp's products.
template <Format F, int N, int Step = 0>
NS_DEVICE void WarpSteps(float (&c)[N][4], StageTiles<F>& tiles, const uint8_t* rows, uint32_t (&b)[N][4]) {
  using L = WeightLayout<F>;
  if constexpr (Step < StageTiles<F>::kSteps) {
    constexpr int kColumns16 = StageTiles<F>::Columns16(Step);
    if constexpr (Step == 0 || kColumns16 / 2 != StageTiles<F>::Columns16(Step == 0 ? 0 : Step - 1) / 2) {
      NS_UNROLL
      for (int n = 0; n < N; ++n) {
        LoadMatrices(b[n], rows + (kColumns16 / 2 * N + n) * 512 + Lane() * 16);
      }
    }
    uint32_t a[4];
    tiles.template Tile<Step>(a);
    NS_UNROLL
    for (int n = 0; n < N; ++n) {
      MatrixMultiplyAdd<L::kBF16>(c[n], a, b[n][kColumns16 % 2 * 2], b[n][kColumns16 % 2 * 2 + 1]);
    }
    WarpSteps<F, N, Step + 1>(c, tiles, rows, b);
  }
}

/// The same for many rows, which have few registers left: what reads the same 32 columns goes together, and of the right operand one tile is held at a
/// time.
template <Format F, int N, int Step = 0>
NS_DEVICE void WideWarpSteps(float (&c)[N][4], StageTiles<F>& tiles, const uint8_t* rows) {
  using L = WeightLayout<F>;
  constexpr int kTogether = F == Format::kF32 ? 4 : 2;
  if constexpr (Step < StageTiles<F>::kSteps) {
    uint32_t a[kTogether][4];
    tiles.template Tile<Step>(a[0]);
    tiles.template Tile<Step + 1>(a[1]);
    if constexpr (kTogether == 4) {
      tiles.template Tile<Step + 2>(a[2]);
      tiles.template Tile<Step + 3>(a[3]);
    }
    NS_UNROLL
    for (int n = 0; n < N; ++n) {
      uint32_t b[4];
      LoadMatrices(b, rows + (StageTiles<F>::Columns16(Step) / 2 * N + n) * 512 + Lane() * 16);
      NS_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        const int half = StageTiles<F>::Columns16(Step + i) % 2;
        MatrixMultiplyAdd<L::kBF16>(c[n], a[i], b[half * 2], b[half * 2 + 1]);
      }
    }
    WideWarpSteps<F, N, Step + kTogether>(c, tiles, rows);
  }
}

/// A step of four warps' products: 64 rows to an instruction at most.
template <bool BF16, int N>
NS_DEVICE void GroupStep(float (&c)[N][4], const uint32_t (&a)[4], uint64_t rows) {
  if constexpr (N <= 8) {
    GroupMultiplyAdd<BF16, N>(c, a, rows);
  } else {
    NS_UNROLL
    for (int n = 0; n < N; n += 8) {
      GroupMultiplyAdd<BF16, 8>(*(float (*)[8][4])c[n], a, GroupMatrixAt(rows, n * 512));
    }
  }
}

/// The same by products of four warps, two steps at a time. The operands of the two steps before are free once their products have ended; so is
/// the stage before, which is given back after the first two.
template <Format F, int N, int Step = 0>
NS_DEVICE void GroupSteps(float (&c)[N][4], StageTiles<F>& tiles, uint64_t rows, uint32_t (&a)[4][4], Barrier* before) {
  using L = WeightLayout<F>;
  if constexpr (Step < StageTiles<F>::kSteps) {
    constexpr int kFirst = StageTiles<F>::Columns16(Step), kSecond = StageTiles<F>::Columns16(Step + 1);
    tiles.template Tile<Step>(a[Step % 4]);
    tiles.template Tile<Step + 1>(a[Step % 4 + 1]);
    GroupFence();
    GroupStep<L::kBF16, N>(c, a[Step % 4], GroupMatrixAt(rows, kFirst / 2 * N * 512 + kFirst % 2 * 256));
    GroupStep<L::kBF16, N>(c, a[Step % 4 + 1], GroupMatrixAt(rows, kSecond / 2 * N * 512 + kSecond % 2 * 256));
    GroupCommit();
    GroupWait<1>();
    if constexpr (Step == 0) {
      if (before != nullptr && Lane() == 0) {
        BarrierArrive(before);
      }
    }
    GroupSteps<F, N, Step + 2>(c, tiles, rows, a, before);
  }
}

template <int N>
NS_DEVICE void StorePartial(const MatMulArguments& a, const float (&c)[N][4], const MatMulItem<N>& item, int row) {
  const int first = Lane() % 4 * 2;
  float* y = (float*)a.y + (((int64_t)item.segment * RowBlocks<N>(a) + item.block) * N * 8 + first) * a.out;
  NS_UNROLL
  for (int n = 0; n < N; ++n, y += (int64_t)8 * a.out) {
    NS_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int output = row + Lane() / 4 + i / 2 * 8;
      if (output < a.out) {
        y[i % 2 * (int64_t)a.out + output] = Multiply(c[n][i], a.scale);
      }
    }
  }
}

/// Rows g and g + 8 of the tile are gate and up of one column of y. Rows past the matrix give the zeros that fill y's columns; where slabs end in
/// the middle of 128 columns the last one also fills the other half.
template <bool BF16, int N>
NS_DEVICE void StoreSwiGlu(const MatMulArguments& a, const float (&c)[N][4], const MatMulItem<N>& item, int row) {
  const int column = row / 2 + Lane() / 4, tiles = N * RowBlocks<N>(a);
  const bool fill = row / kSlabRows == a.slabs - 1 && a.slabs % 2 != 0;
  NS_UNROLL
  for (int n = 0; n < N; ++n) {
    NS_UNROLL
    for (int i = 0; i < 2; ++i) {
      const float gate = Multiply(c[n][i], a.scale), up = Multiply(c[n][i + 2], a.scale);
      const float silu = Divide(gate, Add(1.0f, Exp2(Multiply(gate, -1.4426950408889634f))));
      const float value = Multiply(Multiply(silu, up), a.swiglu_scale);
      const uint32_t packed = BF16 ? PackBF16(value, 0) : PackF16(value > 65504 ? 65504 : value < -65504 ? -65504 : value, 0);
      const int place = (item.block * N + n) * 8 + Lane() % 4 * 2 + i;
      uint16_t* piece = (uint16_t*)a.y + ActivationPiece(place, column, tiles) * 8;
      piece[column % 8] = (uint16_t)packed;
      if (fill) {
        ((uint16_t*)a.y + ActivationPiece(place, column + kSlabRows / 2, tiles) * 8)[column % 8] = 0;
      }
    }
  }
}

template <Format F, int N>
NS_DEVICE void MatMul(const MatMulArguments& a) {
  using L = WeightLayout<F>;
  constexpr bool kGroups = kWarpGroups && N >= NATIVESPEC_GROUP_TILES;
  const Ring ring{SharedMemory(), L::kStageBytes + L::kColumns / 32 * N * 512, a.ring};
  AllowKernelBehind();
  ring.Init(kConsumers);
  const int warp = Warp();
  if (warp == kConsumers) {
    Fill<F, N>(a, ring);
    return;
  }

  RingPlace place;
  for (int item = BlockIndex(); item < Items<N>(a); item += Blocks()) {
    int left = MatMulItem<N>(a, item).Stages(a);
    float c[N][4] = {};
    Barrier* before = nullptr;
    uint32_t operand[4][4] = {};
    for (; left > 0; --left, place.Next(ring)) {
      BarrierWait(ring.Full(place.slot), place.round);
      const uint8_t* stage = ring.Stage(place.slot);
      StageTiles<F> tiles(stage, warp);
      if constexpr (kGroups) {
        GroupSteps<F, N>(c, tiles, GroupMatrix(stage + L::kStageBytes), operand, before);
        before = ring.Empty(place.slot);
      } else {
        if constexpr (N >= 8) {
          WideWarpSteps<F, N>(c, tiles, stage + L::kStageBytes);
        } else {
          uint32_t b[N][4];
          WarpSteps<F, N>(c, tiles, stage + L::kStageBytes, b);
        }
        SyncWarp();
        if (Lane() == 0) {
          BarrierArrive(ring.Empty(place.slot));
        }
      }
    }
    if constexpr (kGroups) {
      GroupWait<0>();
      if (Lane() == 0) {
        BarrierArrive(before);
      }
    }
    Forget(item);  // where the sums go is reckoned again, since registers for it would have to be held all along
    const MatMulItem<N> its(a, item);
    const int row = its.slab * kSlabRows + warp * 16;
    if constexpr (RowParts(F) < 2) {
      if (a.swiglu != 0) {
        StoreSwiGlu<L::kBF16, N>(a, c, its, row);
        continue;
      }
    }
    StorePartial<N>(a, c, its, row);
  }
}

}  // namespace
}  // namespace nativespec::cuda

// Two blocks a multiprocessor; one where a block takes 128 rows.
#define NS_MATMUL(name, format, rows)                                                                                                          \
  NS_KERNEL(nativespec::cuda::kMatMulThreads, rows < 128 ? 2 : 1) matmul_##name##_##rows(const nativespec::cuda::MatMulArguments a) { \
    nativespec::cuda::MatMul<nativespec::cuda::Format::format, rows / 8>(a);                                                                  \
  }
#define NS_MATMULS(name, format) \
  NS_MATMUL(name, format, 16)    \
  NS_MATMUL(name, format, 32)    \
  NS_MATMUL(name, format, 64)    \
  NS_MATMUL(name, format, 128)

NS_MATMUL(bf16, kBF16, 8)
NS_MATMUL(f16, kF16, 8)
NS_MATMUL(q8, kQ8, 8)
NS_MATMUL(q4, kQ4, 8)
NS_MATMULS(bf16, kBF16)
NS_MATMULS(f16, kF16)
NS_MATMULS(f32, kF32)
NS_MATMULS(q8, kQ8)
NS_MATMULS(q4, kQ4)
