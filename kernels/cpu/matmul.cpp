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
//
// While one tile of tokens computes, the next outputs' weights are fetched, block by block; where several tiles of tokens pass over a group
// of outputs, the next group is fetched meanwhile, from end to end and at an even pace. The activations of a tile are cut into stretches
// that stay in the first-level cache, and the sums of the group wait in memory between stretches. From one token to as many as the
// arithmetic keeps up with, the time is then that of reading the weights once.
#include "level.h"
#include "token_tiles.h"
#include "weight_formats.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

/// Most tokens of a tile, and the outputs that go with so many tokens: what the registers hold.
constexpr int kMostTokens = kRegisters / 4;
constexpr int OutputsFor(int64_t tokens) {
  constexpr int kFor32[] = {0, 8, 8, 6, 4, 4, 3, 3, 3};
  constexpr int kFor16[] = {0, 8, 4, 3, 2};
  constexpr int kFor8[] = {0, 4, 2};
  return kRegisters == 32 ? kFor32[tokens] : kRegisters == 16 ? kFor16[tokens] : kFor8[tokens];
}

/// Outputs whose sums wait together while a stretch of the activations lies in the first-level cache, and the size of that stretch.
constexpr int kGroup = 24;
constexpr int64_t kStretchBytes = 24 * 1024;

constexpr int64_t kLine = 64;

template <class Format, int R, int T>
NATIVESPEC_INLINE void AddBlock(const uint8_t* weights, int64_t row_bytes, const uint8_t* x, Floats (&sums)[R][T]) {
  typename Format::Fetched fetched[R];
  NATIVESPEC_UNROLL
  for (int r = 0; r < R; ++r) {
    fetched[r] = Format::Fetch(weights + r * row_bytes);
  }
  NATIVESPEC_UNROLL
  for (int step = 0; step < Format::kSteps; ++step) {
    typename Format::Register w[R];
    NATIVESPEC_UNROLL
    for (int r = 0; r < R; ++r) {
      w[r] = Format::Weights(fetched[r], step);
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
      const float sum = (a.bias == nullptr ? totals[r * T + t] : totals[r * T + t] + bias) * a.multiplier;
      *y = a.accumulate ? *y + sum : sum;
    }
  }
}

int64_t Blocks(int64_t in) { return (in + kBlock - 1) / kBlock; }

/// The next group on its way to the second-level cache: where the stream stands, where it ends, and what it moves by per block.
struct Ahead {
  const uint8_t* at;
  const uint8_t* end;
  int64_t pace;
};

/// A stretch of blocks for a tile of outputs and a tile of tokens.
struct Place {
  int64_t output;
  int64_t token;
  int64_t first;        // block
  int64_t last;         // block
  const uint8_t* x;     // the tile's activations
  float* kept;          // [R, T] vectors of sums between stretches
  const uint8_t* next;  // weights that are wanted next: R rows, as long as the stretch
};

/// Alone says that no other tile of tokens passes over the group.
template <class Format, int R, int T, bool Alone>
void Tile(const MatMulArguments& a, const Place& place, Ahead& ahead) {
  constexpr int64_t kWeightBlock = kBlock * sizeof(typename Format::Element);
  constexpr int kLines = R * static_cast<int>((kWeightBlock + kLine - 1) / kLine);
  const int64_t row_bytes = a.in * static_cast<int64_t>(sizeof(typename Format::Element));
  const uint8_t* w = a.weights + place.output * row_bytes + place.first * kWeightBlock;
  const uint8_t* x = place.x + place.first * T * Format::kBlockBytes;
  const uint8_t* next = place.next;
  // Past the end of the stream: what is in the cache already.
  const uint8_t* far = ahead.at < ahead.end ? ahead.at : w;
  Floats sums[R][T];
  NATIVESPEC_UNROLL
  for (int i = 0; i < R * T; ++i) {
    sums[i / T][i % T] = place.first == 0 ? Broadcast(0.0f) : Load(place.kept + i * kWidth);
  }

  for (int64_t block = Smaller(place.last, a.in / kBlock) - place.first; block > 0; --block) {
    NATIVESPEC_UNROLL
    for (int line = 0; line < (Alone ? R : (kLines + 1) / 2); ++line) {
      Alone ? PrefetchNear(next + line * row_bytes) : PrefetchFar(far + line * kLine);
    }
    AddBlock<Format, R, T>(w, row_bytes, x, sums);
    w += kWeightBlock;
    x += T * Format::kBlockBytes;
    next += kWeightBlock;
    far += ahead.pace;
  }
  ahead.at += (place.last - place.first) * ahead.pace;

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

/// Outputs [begin, end), at most a group, for a tile of tokens: stretch by stretch, so that the activations come from the first-level
/// cache.
template <class Format, int R, int T, bool Alone>
void Group(const MatMulArguments& a, int64_t token, int64_t begin, int64_t end, Ahead& ahead) {
  alignas(64) float kept[kGroup * T * kWidth];
  constexpr int64_t kWeightBlock = kBlock * sizeof(typename Format::Element);
  const int64_t row_bytes = a.in * static_cast<int64_t>(sizeof(typename Format::Element));
  const int64_t blocks = Blocks(a.in), tiled_end = end - (end - begin) % R;
  const uint8_t* x = a.x + token * blocks * Format::kBlockBytes;
  const int64_t stretch = T <= 2 ? blocks : kStretchBytes / (T * Format::kBlockBytes);
  for (int64_t first = 0; first < blocks; first += stretch) {
    const int64_t last = Smaller(first + stretch, blocks);
    for (int64_t o = begin; o < tiled_end; o += R) {
      // The next outputs, or else the first ones of the next stretch, or of the next group.
      const uint8_t* next = ahead.at;
      if (o + R < tiled_end) {
        next = a.weights + (o + R) * row_bytes + first * kWeightBlock;
      } else if (last < blocks) {
        next = a.weights + begin * row_bytes + last * kWeightBlock;
      }
      Tile<Format, R, T, Alone>(a, {o, token, first, last, x, kept + (o - begin) * T * kWidth, next}, ahead);
    }
  }

  for (int64_t o = tiled_end; o < end; ++o) {
    for (int64_t t = 0; t < T; ++t) {
      One<Format>(a, o, token + t, x + t * Format::kBlockBytes, T * Format::kBlockBytes);
    }
  }
}

/// The group for the tile's number of tokens.
template <class Format, int T>
void GroupOf(const MatMulArguments& a, const TokenTiles& tiles, int64_t tile, int64_t begin, int64_t end, Ahead& ahead) {
  if (tiles.Size(tile) == T) {
    // Tiles are alike, so where there are two they are at least half full.
    if constexpr (2 * T >= kMostTokens) {
      if (tiles.count > 1) {
        return Group<Format, OutputsFor(T), T, false>(a, tiles.First(tile), begin, end, ahead);
      }
    }
    return Group<Format, OutputsFor(T), T, true>(a, tiles.First(tile), begin, end, ahead);
  }
  if constexpr (T > 1) {
    GroupOf<Format, T - 1>(a, tiles, tile, begin, end, ahead);
  }
}

template <class Format>
void MatMul(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const MatMulArguments*>(arguments);
  const int64_t row_bytes = a.in * static_cast<int64_t>(sizeof(typename Format::Element));
  const TokenTiles tiles(a.tokens, kMostTokens);
  for (int64_t o = begin; o < end; o += kGroup) {
    const int64_t o_end = Smaller(o + kGroup, end), next_end = Smaller(o_end + kGroup, end);
    Ahead ahead{a.weights + o_end * row_bytes, a.weights + next_end * row_bytes, 0};
    if (tiles.count > 1) {
      // The next group's bytes, divided between all blocks that the tiles of tokens pass over.
      ahead.pace = kBlock * static_cast<int64_t>(sizeof(typename Format::Element)) * OutputsFor(tiles.Size(0)) / tiles.count;
    }
    for (int64_t tile = 0; tile < tiles.count; ++tile) {
      GroupOf<Format, kMostTokens>(a, tiles, tile, o, o_end, ahead);
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
