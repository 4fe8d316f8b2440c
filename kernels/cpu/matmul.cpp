// y[t, o] = Σ_k W[o, k] x[t, k] with F32, F16 or BF16 weights, read where they lie in the file ([out, in], row after row).
//
// The order of the sum is the contract: one vector of partial sums per output, fed block after block, then Sum8's tree of the lanes.
// Tiles only decide which outputs are computed together, never how one is: a token's result has the same bits alone or among others.
//
// A block is 2·kWidth weights. A block of BF16 becomes two vectors with one operation each (even ones: shift left by 16; odd ones: mask),
// so the activations are laid out even, odd once per call. They also stand tile by tile and block by block, so that a tile of tokens
// reads one stream with fixed distances.
//
// Tiles of R outputs × T tokens keep R·T sums in registers: each converted weight serves T products and each loaded activation R.
// While a tile computes, the next tile's weights are prefetched, at an even pace over the tiles of tokens. A core has few slots for lines
// under way to its first-level cache, and weights on their way from memory hold them long; so the activations must not need any: they
// are cut into stretches that stay in that cache, and the sums of a group of outputs wait in memory between stretches. From one token to
// as many as the arithmetic keeps up with, the time is then that of reading the weights once.
#include "level.h"
#include "token_tiles.h"
#include "weight_formats.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

/// Most tokens of a tile, and the outputs that go with so many tokens: what the registers hold.
constexpr int kMostTokens = kRegisters / 4;
constexpr int OutputsFor(int64_t tokens) {
  constexpr int kFor32[] = {0, 8, 8, 6, 6, 4, 4, 3, 3};
  constexpr int kFor16[] = {0, 8, 4, 3, 3};
  constexpr int kFor8[] = {0, 4, 2};
  return kRegisters == 32 ? kFor32[tokens] : kRegisters == 16 ? kFor16[tokens] : kFor8[tokens];
}

/// Outputs whose sums wait together while a stretch of the activations lies in the first-level cache, and the size of that stretch.
constexpr int kGroup = 24;
constexpr int64_t kStretchBytes = 24 * 1024;

/// With one or two tokens a stretch is the whole row, and what comes next lies so many bytes ahead in each row.
constexpr int64_t kAheadInRow = 1024;

/// Tiles of tokens that share a stretch.
constexpr int kTilesTogether = 2;

template <class Format, int R, int T>
NATIVESPEC_INLINE void AddBlock(const uint8_t* weights, int64_t row_bytes, const uint8_t* x, Floats (&sums)[R][T]) {
  NATIVESPEC_UNROLL
  for (int step = 0; step < Format::kSteps; ++step) {
    typename Format::Register w[R];
    NATIVESPEC_UNROLL
    for (int r = 0; r < R; ++r) {
      w[r] = Format::Weights(weights + r * row_bytes, step);
    }
    NATIVESPEC_UNROLL
    for (int t = 0; t < T; ++t) {
      auto v = Format::Activations(x + t * Format::kBlockBytes, step);
      NATIVESPEC_KEEP(v);
      NATIVESPEC_UNROLL
      for (int r = 0; r < R; ++r) {
        sums[r][t] = Format::Accumulate(w[r], v, sums[r][t]);
      }
    }
  }
}

/// The columns past the last whole block, filled up with zeros.
template <class Format, int R, int T>
NATIVESPEC_INLINE void AddRest(const MatMulArguments& a, const uint8_t* weights, int64_t row_bytes, const uint8_t* x, Floats (&sums)[R][T]) {
  constexpr int64_t kWeightBlock = kBlock * sizeof(typename Format::Element);
  if (const int64_t rest = a.in % kBlock; rest != 0) {
    alignas(64) uint8_t padded[R * kWeightBlock] = {};
    for (int r = 0; r < R; ++r) {
      std::memcpy(padded + r * kWeightBlock, weights + r * row_bytes, static_cast<size_t>(rest) * sizeof(typename Format::Element));
    }
    AddBlock<Format, R, T>(padded, kWeightBlock, x, sums);
  }
}

/// Adds the lanes, the bias and what stood there.
template <int R, int T>
NATIVESPEC_INLINE void Finish(const MatMulArguments& a, int64_t o, int64_t t0, const Floats (&sums)[R][T]) {
  constexpr int kPadded = (R * T + 7) / 8 * 8;
  alignas(64) float totals[kPadded];
  NATIVESPEC_UNROLL
  for (int i = 0; i < R * T; i += 8) {
    Floats eight[8];
    NATIVESPEC_UNROLL
    for (int j = 0; j < 8; ++j) {
      const int at = i + j < R * T ? i + j : i;
      eight[j] = sums[at / T][at % T];
    }
    Sum8(eight, totals + i);
  }

  for (int r = 0; r < R; ++r) {
    const float bias = a.bias == nullptr ? 0.0f : a.bias[o + r];
    float* y = a.y + t0 * a.y_stride + o + r;
    for (int t = 0; t < T; ++t, y += a.y_stride) {
      const float sum = a.bias == nullptr ? totals[r * T + t] : totals[r * T + t] + bias;
      *y = a.accumulate ? *y + sum : sum;
    }
  }
}

int64_t Blocks(int64_t in) { return (in + kBlock - 1) / kBlock; }

/// A stretch of blocks for a tile of outputs and a tile of tokens.
struct Place {
  int64_t output;
  int64_t token;
  int64_t first;        // block
  int64_t last;         // block
  const uint8_t* x;     // the tile's activations
  float* kept;          // [R, T] vectors of sums between stretches
  const uint8_t* next;  // weights to prefetch: Lines rows, as long as the stretch
};

template <class Format, int R, int T, int Lines>
void Tile(const MatMulArguments& a, const Place& place) {
  constexpr int64_t kWeightBlock = kBlock * sizeof(typename Format::Element);
  const int64_t row_bytes = a.in * static_cast<int64_t>(sizeof(typename Format::Element));
  const uint8_t* w = a.weights + place.output * row_bytes + place.first * kWeightBlock;
  const uint8_t* x = place.x + place.first * T * Format::kBlockBytes;
  const uint8_t* next = place.next;
  Floats sums[R][T];
  NATIVESPEC_UNROLL
  for (int i = 0; i < R * T; ++i) {
    sums[i / T][i % T] = place.first == 0 ? Broadcast(0.0f) : Load(place.kept + i * kWidth);
  }

  for (int64_t block = Smaller(place.last, a.in / kBlock) - place.first; block > 0; --block) {
    NATIVESPEC_UNROLL
    for (int line = 0; line < Lines; ++line) {
      PrefetchNear(T <= 2 ? w + line * row_bytes + kAheadInRow : next + line * row_bytes);
    }
    AddBlock<Format, R, T>(w, row_bytes, x, sums);
    w += kWeightBlock;
    x += T * Format::kBlockBytes;
    next += kWeightBlock;
  }

  if (place.last < Blocks(a.in)) {
    NATIVESPEC_UNROLL
    for (int i = 0; i < R * T; ++i) {
      Store(place.kept + i * kWidth, sums[i / T][i % T]);
    }
    return;
  }

  AddRest<Format, R, T>(a, w, row_bytes, x, sums);
  Finish<R, T>(a, place.output, place.token, sums);
}

/// One output and one token, for outputs that fill no tile: the same sums in the same order.
template <class Format>
void One(const MatMulArguments& a, int64_t output, int64_t token, const uint8_t* x, int64_t block_stride) {
  constexpr int64_t kWeightBlock = kBlock * sizeof(typename Format::Element);
  const int64_t row_bytes = a.in * static_cast<int64_t>(sizeof(typename Format::Element));
  const uint8_t* w = a.weights + output * row_bytes;
  Floats sums[1][1] = {{Broadcast(0.0f)}};
  for (int64_t block = a.in / kBlock; block > 0; --block) {
    AddBlock<Format, 1, 1>(w, row_bytes, x, sums);
    w += kWeightBlock;
    x += block_stride;
  }
  AddRest<Format, 1, 1>(a, w, row_bytes, x, sums);
  Finish<1, 1>(a, output, token, sums);
}

/// The tile for R outputs and so many tokens. Sharing says how many tiles of tokens divide the prefetching between them; where they do,
/// the second may have a token less.
template <class Format, int R, int Sharing, int T = kMostTokens>
void TileOf(int64_t tokens, const MatMulArguments& a, const Place& place) {
  constexpr bool kFits = R == OutputsFor(T) || (Sharing > 1 && T < kMostTokens && R == OutputsFor(T + 1));
  if constexpr (kFits) {
    if (tokens == T) {
      return Tile<Format, R, T, (R + Sharing - 1) / Sharing>(a, place);
    }
  }
  if constexpr (T > 1) {
    TileOf<Format, R, Sharing, T - 1>(tokens, a, place);
  }
}

/// Outputs [begin, end), at most a group, for a few tiles of tokens: stretch by stretch, so that their activations come from the
/// first-level cache and leave the way from memory to the weights.
template <class Format, int R, int Sharing>
void Group(const MatMulArguments& a, const TokenTiles& tiles, int64_t first_tile, int64_t begin, int64_t end, int64_t chunk_end) {
  alignas(64) float kept[kGroup * kTilesTogether * kMostTokens * kWidth];
  const int64_t row_bytes = a.in * static_cast<int64_t>(sizeof(typename Format::Element));
  const int64_t token_bytes = Blocks(a.in) * Format::kBlockBytes;
  constexpr int kLines = (R + Sharing - 1) / Sharing;
  constexpr int64_t kWeightBlock = kBlock * sizeof(typename Format::Element);
  const int64_t first_token = tiles.First(first_tile), tokens = tiles.First(first_tile + Sharing) - first_token;
  const int64_t blocks = Blocks(a.in), tiled_end = end - (end - begin) % R;
  const int64_t together = tokens <= 2 ? blocks : Larger(kStretchBytes / (tokens * Format::kBlockBytes), 1);
  for (int64_t first = 0; first < blocks; first += together) {
    const int64_t last = Smaller(first + together, blocks);
    for (int64_t o = begin; o < tiled_end; o += R) {
      // What the next tile reads: the next outputs, or else the first ones of the next stretch, or of the next group.
      int64_t next_output = o + R, next_block = first;
      if (next_output >= tiled_end && last < blocks) {
        next_output = begin;
        next_block = last;
      } else if (next_output >= tiled_end) {
        next_output = end < chunk_end ? end : begin;
        next_block = 0;
      }

      const uint8_t* next = a.weights + next_output * row_bytes + next_block * kWeightBlock;
      float* sums = kept + (o - begin) * tokens * kWidth;
      for (int i = 0; i < Sharing; ++i) {
        const int64_t token = tiles.First(first_tile + i), size = tiles.Size(first_tile + i);
        TileOf<Format, R, Sharing>(size, a, {o, token, first, last, a.x + token * token_bytes, sums, next});
        sums += R * size * kWidth;
        next += kLines * row_bytes;
      }
    }
  }

  for (int64_t o = tiled_end; o < end; ++o) {
    for (int i = 0; i < Sharing; ++i) {
      const int64_t token = tiles.First(first_tile + i), size = tiles.Size(first_tile + i);
      for (int64_t t = 0; t < size; ++t) {
        One<Format>(a, o, token + t, a.x + token * token_bytes + t * Format::kBlockBytes, size * Format::kBlockBytes);
      }
    }
  }
}

/// The group for the tile's number of tokens, together with the next tile where there is one.
template <class Format, int T>
void GroupOf(const MatMulArguments& a, const TokenTiles& tiles, int64_t tile, int64_t begin, int64_t end, int64_t chunk_end) {
  if (tiles.Size(tile) == T) {
    // Tiles are alike, so where there are two they are at least half full.
    if constexpr (2 * T >= kMostTokens) {
      if (tile + kTilesTogether <= tiles.count) {
        return Group<Format, OutputsFor(T), kTilesTogether>(a, tiles, tile, begin, end, chunk_end);
      }
    }
    return Group<Format, OutputsFor(T), 1>(a, tiles, tile, begin, end, chunk_end);
  }
  if constexpr (T > 1) {
    GroupOf<Format, T - 1>(a, tiles, tile, begin, end, chunk_end);
  }
}

template <class Format>
void MatMul(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const MatMulArguments*>(arguments);
  const TokenTiles tiles(a.tokens, kMostTokens);
  for (int64_t o = begin; o < end; o += kGroup) {
    const int64_t o_end = Smaller(o + kGroup, end);
    for (int64_t tile = 0; tile < tiles.count; tile += kTilesTogether) {
      GroupOf<Format, kMostTokens>(a, tiles, tile, o, o_end, end);
    }
  }
}

/// Lays rows out for MatMul: [tile][block][token of the tile][2·kWidth], the last block filled up with zeros.
template <class Format>
void Prepare(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const PrepareArguments*>(arguments);
  const TokenTiles tiles(a.tokens, kMostTokens);
  const int64_t token_bytes = Blocks(a.in) * Format::kBlockBytes;
  for (int64_t tile = 0; tile < tiles.count; ++tile) {
    const int64_t first = tiles.First(tile), size = tiles.Size(tile);
    for (int64_t t = Larger(first, begin); t < Smaller(first + size, end); ++t) {
      const float* x = a.x + t * a.in;
      uint8_t* target = a.prepared + first * token_bytes + (t - first) * Format::kBlockBytes;
      for (int64_t k = 0; k < a.in; k += kBlock, target += size * Format::kBlockBytes) {
        if (k + kBlock <= a.in) {
          Format::Place(x + k, target);
        } else {
          float padded[kBlock] = {};
          std::memcpy(padded, x + k, static_cast<size_t>(a.in - k) * sizeof(float));
          Format::Place(padded, target);
        }
      }
    }
  }
}

template <class Format>
constexpr MatMulKernel Kernel() {
  return {&Prepare<Format>, &MatMul<Format>, [](int64_t in) { return Blocks(in) * Format::kBlockBytes; }, 24};
}

}  // namespace

#if defined(NATIVESPEC_BF16)
MatMulKernel BF16DotMatMul() { return Kernel<BF16DotWeights>(); }
#else
MatMulKernel FloatMatMul(ElementType type) {
  switch (type) {
    case ElementType::kF32: return Kernel<F32Weights>();
    case ElementType::kF16: return Kernel<F16Weights>();
    default: return Kernel<BF16Weights>();
  }
}
#endif

}  // namespace nativespec::NATIVESPEC_LEVEL
