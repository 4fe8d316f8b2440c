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
constexpr int kMostTokens = kVectors == 2 ? 8 : 2;

/// Sums that a token and a vector of outputs are divided between, group after group in turn: a dot product waits some five cycles for the
/// one before in its own sum, and two begin in each cycle. Whole numbers may be added in any order.
template <int T>
constexpr int kChains = kMostTokens >= 4 * T ? 4 : kMostTokens >= 2 * T ? 2 : 1;

/// How far ahead in the stream weights are fetched, in bytes: into the second-level cache, which has many more requests to memory under way
/// than the first, and from there into the first.
constexpr int64_t kFarAhead = 16 * 1024;
constexpr int64_t kNearAhead = 2 * 1024;

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

/// Adds a block's groups of columns, from `first` on, to the integer sums.
template <class Layout, int T>
NATIVESPEC_INLINE void AddGroups(const uint8_t* data, const uint8_t* x, int first, Ints (&sums)[kChains<T>][kVectors][T]) {
  constexpr int kGroups = Layout::kBlockColumns / kGroupColumns;
  constexpr int kShared = Layout::kBits == 8 ? 1 : 2;  // groups that share their bytes
  constexpr int kTogether = kChains<T> > kShared ? kChains<T> : kShared;
  for (int group = first; group < first + kGroups; group += kTogether) {
    NATIVESPEC_UNROLL
    for (int step = 0; step < kTogether; step += kShared) {
      const uint8_t* bytes = data + (group + step) / kShared * kGroupBytes;
      NATIVESPEC_UNROLL
      for (int line = 0; line < kGroupBytes; line += 64) {
        PrefetchFar(bytes + kFarAhead + line);
        PrefetchNear(bytes + kNearAhead + line);
      }

      Bytes weights[kVectors][kShared];
      NATIVESPEC_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const Bytes loaded = LoadBytes(bytes + v * 4 * kWidth);
        weights[v][0] = WithoutOffset<Layout::kOffset>(kShared == 1 ? loaded : LowNibbles(loaded));
        if constexpr (kShared == 2) {
          weights[v][1] = WithoutOffset<Layout::kOffset>(HighNibbles(loaded));
        }
      }

      NATIVESPEC_UNROLL
      for (int half = 0; half < kShared; ++half) {
        NATIVESPEC_UNROLL
        for (int t = 0; t < T; ++t) {
          const Ints four = BroadcastInt(IntAt(x + ((group + step + half) * T + t) * 4));
          NATIVESPEC_UNROLL
          for (int v = 0; v < kVectors; ++v) {
            Ints& sum = sums[(step + half) % kChains<T>][v][t];
            sum = Dot4(sum, weights[v][half], four);
            NATIVESPEC_KEEP(sum);
          }
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
    Ints sums[kChains<T>][kVectors][T];
    NATIVESPEC_UNROLL
    for (int t = 0; t < T; ++t) {
      const Ints start = BroadcastInt(kWeightsKeepOffset ? IntAt(x + T * Part::kStartsAt + (block * T + t) * 4) : 0);
      NATIVESPEC_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        sums[0][v][t] = start;
        NATIVESPEC_UNROLL
        for (int chain = 1; chain < kChains<T>; ++chain) {
          sums[chain][v][t] = BroadcastInt(0);
        }
      }
    }

    AddGroups<Layout, T>(weights + Layout::kScaleBytes, x, block * kGroups, sums);
    NATIVESPEC_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Floats scale = LoadF16(scales + block * kPanelOutputs + v * kWidth);
      NATIVESPEC_UNROLL
      for (int t = 0; t < T; ++t) {
        Ints whole = sums[0][v][t];
        NATIVESPEC_UNROLL
        for (int chain = 1; chain < kChains<T>; ++chain) {
          whole = AddInts(whole, sums[chain][v][t]);
        }
        const Floats sum = ToFloats(whole);
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
    const float sum = (a.bias == nullptr ? totals[i] : totals[i] + a.bias[output + i]) * a.multiplier;
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

/// Quantises one super-block of one token: the whole numbers as bytes and, for their sums, as they are. A value that is not finite makes
/// the scale so, and is seen in every output.
void Quantize(const float* x, int8_t* q, int32_t* whole_numbers, float& scale) {
  // As whole numbers the bits of magnitudes have the same order, and what is not a number comes last.
  Ints most = BroadcastInt(0);
  for (int i = 0; i < kSuperColumns; i += kWidth) {
    most = LargerInts(most, BitsOf(Absolute(Load(x + i))));
  }

  alignas(64) int32_t lanes[kWidth];
  StoreInts(lanes, most);
  int32_t bits = 0;
  for (const int32_t lane : lanes) {
    bits = lane > bits ? lane : bits;
  }
  float largest;
  std::memcpy(&largest, &bits, sizeof largest);

  // Below this the quotient would overflow, and nothing of the values would be left in a sum anyway.
  const bool none = largest <= 1e-30f;
  const Floats inverse = Broadcast(none ? 0.0f : 127.0f / largest);
  scale = none ? 0.0f : largest / 127.0f;
  for (int i = 0; i < kSuperColumns; i += kWidth) {
    // What is not a number becomes the least of all: kept small, so that no sum overflows.
    const Ints whole = LargerInts(ToInts(Round(Multiply(Load(x + i), inverse))), BroadcastInt(-128));
    StoreBytes(q + i, whole);
    StoreInts(whole_numbers + i, whole);
  }
}

template <class Layout>
void PrepareToken(const float* x, int64_t in, uint8_t* target, int64_t token, int64_t tokens) {
  using Part = Activations<Layout>;
  for (int64_t k = 0; k < in; k += kSuperColumns, target += tokens * Part::kTokenBytes) {
    alignas(64) float padded[kSuperColumns] = {};
    alignas(64) int8_t q[kSuperColumns];
    alignas(64) int32_t whole[kSuperColumns];
    const bool inside = k + kSuperColumns <= in;
    if (!inside) {
      std::memcpy(padded, x + k, static_cast<size_t>(in - k) * sizeof(float));
    }

    float scale;
    Quantize(inside ? x + k : padded, q, whole, scale);
    std::memcpy(target + tokens * Part::kScalesAt + token * 4, &scale, 4);
    for (int group = 0; group < kSuperColumns / kGroupColumns; ++group) {
      std::memcpy(target + (group * tokens + token) * 4, q + group * kGroupColumns, kGroupColumns);
    }

    for (int block = 0; block < Layout::kBlocks; ++block) {
      int32_t sum = 0;
      for (int i = 0; i < Layout::kBlockColumns; ++i) {
        sum += whole[block * Layout::kBlockColumns + i];
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
