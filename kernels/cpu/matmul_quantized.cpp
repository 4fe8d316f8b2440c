// y[t, o] = Σ_k W[o, k] x[t, k] with packed 8-bit or 4-bit weights (quantized.h).
//
// Activations are quantised per token, by super-blocks of 128 columns: x = scale · q with q in -127..127. Then
//     Σ_k W x = Σ_super scale_x Σ_block scale_w Σ_k (u - offset) q,   Σ_k (u - offset) q = Σ_k u q - offset · Σ_k q,
// where the inner sums are whole numbers, exact in any order, and the last term is where the integer sum starts. Floats are added block
// by block and super-block by super-block, in this order for every output: that is the whole batch-invariance argument.
//
// Lanes are outputs, so one weight vector serves the tokens of a tile, and each token costs one broadcast dot product. All tiles of
// tokens pass over a super-block while it lies in the first-level cache; between super-blocks the totals wait in memory, 64 bytes a token.
#include "level.h"
#include "quantized.h"
#include "token_tiles.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

constexpr int kVectors = kPanelOutputs / kWidth;  // per panel

/// Most tokens of a tile: their integer sums, beside a weight vector or two, are what the registers hold.
constexpr int kMostTokens = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;

/// How far ahead in the stream weights are fetched: more than memory's latency at a core's share of its bandwidth.
constexpr int64_t kAhead = 4096;

/// Prepared activations that stay in the second-level cache while the weights pass by.
constexpr int64_t kActivationBytes = 512 * 1024;

/// Activations of a tile and a super-block: q [group][token][4], the starts of the integer sums [block][token], scales [token].
template <class Layout>
struct Activations {
  static constexpr int64_t kStartsAt = kSuperColumns;
  static constexpr int64_t kScalesAt = kStartsAt + Layout::kBlocks * 4;
  static constexpr int64_t kTokenBytes = kScalesAt + 4;
};

NATIVESPEC_INLINE int32_t IntAt(const uint8_t* at) {
  int32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

NATIVESPEC_INLINE float FloatAt(const uint8_t* at) {
  float value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// Adds groups First .. First + Count - 1 of columns to the integer sums.
template <class Layout, int T>
NATIVESPEC_INLINE void AddGroups(const uint8_t* data, const uint8_t* x, int first, Ints (&sums)[kVectors][T]) {
  constexpr int kGroups = Layout::kBlockColumns / kGroupColumns;
  constexpr int kTogether = Layout::kBits == 8 ? 1 : 2;  // groups in one vector of bytes
  for (int group = first; group < first + kGroups; group += kTogether) {
    const uint8_t* line = data + group / kTogether * 64;
    PrefetchNear(line + kAhead);

    Bytes weights[kVectors][kTogether];
    NATIVESPEC_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Bytes bytes = LoadBytes(line + v * 4 * kWidth);
      weights[v][0] = WithoutOffset<Layout::kOffset>(kTogether == 1 ? bytes : LowNibbles(bytes));
      if constexpr (kTogether == 2) {
        weights[v][1] = WithoutOffset<Layout::kOffset>(HighNibbles(bytes));
      }
    }

    NATIVESPEC_UNROLL
    for (int half = 0; half < kTogether; ++half) {
      NATIVESPEC_UNROLL
      for (int t = 0; t < T; ++t) {
        const Ints four = BroadcastInt(IntAt(x + ((group + half) * T + t) * 4));
        NATIVESPEC_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          sums[v][t] = Dot4(sums[v][t], weights[v][half], four);
        }
      }
    }
  }
}

/// totals[t] += one super-block's share.
template <class Layout, int T>
void Tile(const uint8_t* weights, const uint8_t* x, float* totals) {
  using Part = Activations<Layout>;
  constexpr int kGroups = Layout::kBlockColumns / kGroupColumns;
  const auto* scales = reinterpret_cast<const uint16_t*>(weights);
  Floats shares[kVectors][T];
  for (int block = 0; block < Layout::kBlocks; ++block) {
    Ints sums[kVectors][T];
    NATIVESPEC_UNROLL
    for (int t = 0; t < T; ++t) {
      const Ints start = BroadcastInt(kWeightsKeepOffset ? IntAt(x + T * Part::kStartsAt + (block * T + t) * 4) : 0);
      NATIVESPEC_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[v][t] = start;
      }
    }

    AddGroups<Layout, T>(weights + Layout::kScaleBytes, x, block * kGroups, sums);
    NATIVESPEC_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Floats scale = LoadF16(scales + block * kPanelOutputs + v * kWidth);
      NATIVESPEC_UNROLL
      for (int t = 0; t < T; ++t) {
        const Floats sum = ToFloats(sums[v][t]);
        shares[v][t] = block == 0 ? Multiply(sum, scale) : MultiplyAdd(sum, scale, shares[v][t]);
      }
    }
  }

  NATIVESPEC_UNROLL
  for (int t = 0; t < T; ++t) {
    const Floats scale = Broadcast(FloatAt(x + T * Part::kScalesAt + t * 4));
    NATIVESPEC_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float* total = totals + t * kPanelOutputs + v * kWidth;
      Store(total, MultiplyAdd(shares[v][t], scale, Load(total)));
    }
  }
}

template <class Layout, int T = kMostTokens>
void TileOf(int64_t tokens, const uint8_t* weights, const uint8_t* x, float* totals) {
  if (tokens == T) {
    return Tile<Layout, T>(weights, x, totals);
  }
  if constexpr (T > 1) {
    TileOf<Layout, T - 1>(tokens, weights, x, totals);
  }
}

/// Adds the bias and what stood there.
void Finish(const MatMulArguments& a, int64_t output, int64_t token, const float* totals) {
  const int64_t count = Smaller(kPanelOutputs, a.out - output);
  float* y = a.y + token * a.y_stride + output;
  for (int64_t i = 0; i < count; ++i) {
    const float sum = a.bias == nullptr ? totals[i] : totals[i] + a.bias[output + i];
    y[i] = a.accumulate ? y[i] + sum : sum;
  }
}

template <class Layout>
void MatMul(const void* arguments, int64_t begin, int64_t end) {
  constexpr int kTilesTogether = 8;
  const auto& a = *static_cast<const MatMulArguments*>(arguments);
  const TokenTiles tiles(a.tokens, kMostTokens);
  const int64_t supers = Layout::Supers(a.in);
  const int64_t token_bytes = supers * Activations<Layout>::kTokenBytes;
  const int64_t together = Smaller(Larger(kActivationBytes / (token_bytes * kMostTokens), 1), kTilesTogether);
  for (int64_t group = 0; group < tiles.count; group += together) {
    const int64_t group_end = Smaller(group + together, tiles.count);
    const int64_t first = tiles.First(group);
    const int64_t tokens = tiles.First(group_end) - first;
    for (int64_t output = begin; output < end; output += kPanelOutputs) {
      alignas(64) float totals[kTilesTogether * kMostTokens * kPanelOutputs];
      std::memset(totals, 0, static_cast<size_t>(tokens * kPanelOutputs) * sizeof(float));
      const uint8_t* weights = a.weights + output / kPanelOutputs * Layout::PanelBytes(a.in);
      for (int64_t super = 0; super < supers; ++super, weights += Layout::kSuperBytes) {
        for (int64_t tile = group; tile < group_end; ++tile) {
          const int64_t token = tiles.First(tile), size = tiles.Size(tile);
          const uint8_t* x = a.x + token * token_bytes + super * size * Activations<Layout>::kTokenBytes;
          TileOf<Layout>(size, weights, x, totals + (token - first) * kPanelOutputs);
        }
      }

      for (int64_t t = 0; t < tokens; ++t) {
        Finish(a, output, first + t, totals + t * kPanelOutputs);
      }
    }
  }
}

/// Quantises one super-block of one token. A value that is not finite makes the scale so, and is seen in every output.
void Quantize(const float* x, int8_t* q, float& scale) {
  Floats most = Broadcast(0.0f), poison = Broadcast(0.0f);
  for (int i = 0; i < kSuperColumns; i += kWidth) {
    const Floats v = Load(x + i);
    most = Max(Absolute(v), most);
    poison = MultiplyAdd(v, Broadcast(0.0f), poison);
  }

  alignas(64) float lanes[kWidth], poisons[kWidth];
  Store(lanes, most);
  Store(poisons, poison);
  float largest = 0, poisoned = 0;
  for (int i = 0; i < kWidth; ++i) {
    largest = lanes[i] > largest ? lanes[i] : largest;
    poisoned += poisons[i];
  }

  // Below this the quotient would overflow, and nothing of the values would be left in a sum anyway.
  const bool any = largest > 1e-30f;
  const Floats inverse = Broadcast(any ? 127.0f / largest : 0.0f);
  scale = (any ? largest / 127.0f : 0.0f) + poisoned;
  for (int i = 0; i < kSuperColumns; i += kWidth) {
    StoreBytes(q + i, ToInts(Round(Multiply(Load(x + i), inverse))));
  }
}

template <class Layout>
void PrepareToken(const float* x, int64_t in, uint8_t* target, int64_t token, int64_t tokens) {
  using Part = Activations<Layout>;
  for (int64_t k = 0; k < in; k += kSuperColumns, target += tokens * Part::kTokenBytes) {
    alignas(64) float padded[kSuperColumns] = {};
    alignas(64) int8_t q[kSuperColumns];
    const bool whole = k + kSuperColumns <= in;
    if (!whole) {
      std::memcpy(padded, x + k, static_cast<size_t>(in - k) * sizeof(float));
    }

    float scale;
    Quantize(whole ? x + k : padded, q, scale);
    std::memcpy(target + tokens * Part::kScalesAt + token * 4, &scale, 4);
    for (int group = 0; group < kSuperColumns / kGroupColumns; ++group) {
      std::memcpy(target + (group * tokens + token) * 4, q + group * kGroupColumns, kGroupColumns);
    }

    for (int block = 0; block < Layout::kBlocks; ++block) {
      int32_t sum = 0;
      for (int i = 0; i < Layout::kBlockColumns; ++i) {
        sum += q[block * Layout::kBlockColumns + i];
      }
      const int32_t start = -Layout::kOffset * sum;
      std::memcpy(target + tokens * Part::kStartsAt + (block * tokens + token) * 4, &start, 4);
    }
  }
}

template <class Layout>
void Prepare(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const PrepareArguments*>(arguments);
  const TokenTiles tiles(a.tokens, kMostTokens);
  const int64_t token_bytes = Layout::Supers(a.in) * Activations<Layout>::kTokenBytes;
  for (int64_t tile = 0; tile < tiles.count; ++tile) {
    const int64_t first = tiles.First(tile), size = tiles.Size(tile);
    for (int64_t t = Larger(first, begin); t < Smaller(first + size, end); ++t) {
      PrepareToken<Layout>(a.x + t * a.in, a.in, a.prepared + first * token_bytes, t - first, size);
    }
  }
}

template <class Layout>
constexpr MatMulKernel Kernel() {
  return {&Prepare<Layout>, &MatMul<Layout>, [](int64_t in) { return Layout::Supers(in) * Activations<Layout>::kTokenBytes; },
          kPanelOutputs};
}

}  // namespace

MatMulKernel QuantizedMatMul(int bits) { return bits == 8 ? Kernel<PackedLayout<8>>() : Kernel<PackedLayout<4>>(); }

}  // namespace nativespec::NATIVESPEC_LEVEL
