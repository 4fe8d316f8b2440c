// A block of a row's positions, as tree attention reads it: keys and values of one key-value head in F32, converted once for all queries
// that see the same block.
//
// A plane of keys or values is [cache rows, kv_heads·head_dim], F32 or BF16. Keys are turned, so that a vector holds one column of several
// positions and a score needs no sum across lanes; values stay as they lie.
#pragma once

#include "operations.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

constexpr int64_t kPositions = 32;     // per block, cut at multiples of it
constexpr int64_t kColumnsHeld = 128;  // of a head; wider ones are held in parts

struct F32Kv {
  using Element = float;
  static constexpr int kTileColumns = kWidth;
  NATIVESPEC_INLINE Floats Read(const Element* at) { return Load(at); }
  NATIVESPEC_INLINE float ReadOne(Element value) { return value; }

  /// Turns kWidth positions' kTileColumns columns from d on.
  NATIVESPEC_INLINE void Turn(const Element* const* rows, int64_t d, float* turned) {
    Floats v[kWidth];
    NATIVESPEC_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      v[i] = Load(rows[i] + d);
    }
    Transpose(v);
    NATIVESPEC_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      Store(turned + i * kPositions, v[i]);
    }
  }
};

struct BF16Kv {
  using Element = uint16_t;
  static constexpr int kTileColumns = 2 * kWidth;
  NATIVESPEC_INLINE Floats Read(const Element* at) { return LoadBF16(at); }
  NATIVESPEC_INLINE float ReadOne(Element value) { return FromBF16(value); }

  /// Two columns travel as one lane: half the shuffles.
  NATIVESPEC_INLINE void Turn(const Element* const* rows, int64_t d, float* turned) {
    Floats v[kWidth];
    NATIVESPEC_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      v[i] = BitsOfPairs(LoadPairsBF16(rows[i] + d));
    }
    Transpose(v);
    NATIVESPEC_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      Store(turned + 2 * i * kPositions, EvenBF16(PairsOfBits(v[i])));
      Store(turned + (2 * i + 1) * kPositions, OddBF16(PairsOfBits(v[i])));
    }
  }
};

/// The cache rows of a block's positions: those of the trunk in their own slots, then those of tree nodes.
struct Places {
  int32_t at[kPositions];
  int64_t count = 0;

  /// Positions [start, start + seen) of a row.
  static Places Of(const TreeAttentionArguments& a, int64_t row, int64_t start, int64_t seen) {
    Places places;
    places.count = seen;
    const int64_t in_trunk = Smaller(Larger(a.trunk[row] - start, 0), seen);
    if (in_trunk > 0) {
      // A page is a multiple of a block.
      const int32_t first = static_cast<int32_t>(a.pages[a.page_start[row] + start / kPageSize] * kPageSize + start % kPageSize);
      for (int32_t j = 0; j < kPositions; ++j) {
        places.at[j] = first + j;
      }
    }
    const int32_t* path = a.path_rows + a.path_start[row] + (start - a.trunk[row]);
    for (int64_t j = in_trunk; j < seen; ++j) {
      places.at[j] = path[j];
    }
    return places;
  }

  bool BeginWith(const Places& others) const {
    if (others.count > count) {
      return false;
    }
    int32_t differences = 0;
    for (int64_t j = 0; j < others.count; ++j) {
      differences |= at[j] ^ others.at[j];
    }
    return differences == 0;
  }
};

/// A plane's columns of one key-value head.
template <class Kv>
struct Plane {
  const typename Kv::Element* data;
  int64_t stride;

  const typename Kv::Element* Row(int32_t cache_row) const { return data + cache_row * stride; }

  /// Asks for a block while another is worked on: rows lie apart, and no prefetcher of the processor's follows a page table.
  void Prefetch(const Places& places, int64_t columns) const {
    for (int64_t j = 0; j < places.count; ++j) {
      const auto* row = reinterpret_cast<const uint8_t*>(Row(places.at[j]));
      for (int64_t byte = 0; byte < columns * static_cast<int64_t>(sizeof(typename Kv::Element)); byte += 64) {
        PrefetchNear(row + byte);
      }
    }
  }
};

/// turned[d][j] = column d of position j; past the last position the last again.
template <class Kv>
void TurnKeys(const Plane<Kv>& plane, const Places& places, int64_t columns, float* turned) {
  using Element = typename Kv::Element;
  for (int64_t j = 0; j < places.count; j += kWidth) {
    const Element* rows[kWidth];
    for (int64_t i = 0; i < kWidth; ++i) {
      rows[i] = plane.Row(places.at[Smaller(j + i, places.count - 1)]);
    }
    int64_t d = 0;
    for (; d + Kv::kTileColumns <= columns; d += Kv::kTileColumns) {
      Kv::Turn(rows, d, turned + d * kPositions + j);
    }
    if (d < columns) {
      Element rest[kWidth][Kv::kTileColumns] = {};
      for (int64_t i = 0; i < kWidth; ++i) {
        std::memcpy(rest[i], rows[i] + d, static_cast<size_t>(columns - d) * sizeof(Element));
        rows[i] = rest[i];
      }
      Kv::Turn(rows, 0, turned + d * kPositions + j);
    }
  }
}

/// values[j][d] = column d of position j.
template <class Kv>
void WidenValues(const Plane<Kv>& plane, const Places& places, int64_t columns, float* values) {
  for (int64_t j = 0; j < places.count; ++j, values += columns) {
    const auto* row = plane.Row(places.at[j]);
    int64_t d = 0;
    for (; d + kWidth <= columns; d += kWidth) {
      Store(values + d, Kv::Read(row + d));
    }
    for (; d < columns; ++d) {
      values[d] = Kv::ReadOne(row[d]);
    }
  }
}

/// Keys or values in F32, with what they were made of.
struct Held {
  Places places;
  int64_t start = -1;
  int64_t column = 0;
  alignas(64) float numbers[kPositions * kColumnsHeld];

  bool Has(const Places& wanted, int64_t wanted_start, int64_t wanted_column) const {
    return start == wanted_start && column == wanted_column && places.BeginWith(wanted);
  }
};

}  // namespace
}  // namespace nativespec::NATIVESPEC_LEVEL
