// Weights of 8 and 4 bits. This layout is the same for every instruction set, so a file can hold it.
//
// A weight is scale · (q - offset) with one binary16 scale for a block of neighbouring columns of one output:
//     q8   blocks of 64 columns, q in 1..255,  offset 128   8.25 bits per weight
//     q4   blocks of 32 columns, q in 0..15,   offset 8     4.5 bits per weight
//
// A panel is 32 outputs. It is one stream of super-blocks of 128 columns, each a whole number of cache lines:
//     scales   [block][output]             binary16, 2 · 32 (q8) or 4 · 32 (q4)
//     data     q8: [group][output][4]      group g holds columns 4g .. 4g+3 of each output: 32 groups of 128 bytes
//              q4: [pair][output][4]       pair p holds group 2p in the low halves of its bytes, 2p+1 in the high: 16 pairs
// Panels follow one another. Outputs and columns past the matrix have scale 0 and q = offset.
//
// So a 64-byte vector has four columns of sixteen outputs, and the dot-product instruction adds four products into each output's lane:
// nothing is ever summed across lanes, and one pass reads the stream from end to end. Two such vectors share each activation that is
// loaded, which the load ports need as much as the multipliers. The dot products are exact, whatever computes them.
#pragma once

#include <cstdint>

#if defined(_MSC_VER)
#define NATIVESPEC_ALWAYS_INLINE __forceinline
#else
#define NATIVESPEC_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

namespace nativespec {

inline constexpr int kPanelOutputs = 32;
inline constexpr int kSuperColumns = 128;
inline constexpr int kGroupColumns = 4;

/// Of a group of all outputs (q8), or of a pair of groups (q4).
inline constexpr int64_t kGroupBytes = kPanelOutputs * kGroupColumns;

template <int Bits>
struct PackedLayout {
  static_assert(Bits == 8 || Bits == 4);
  static constexpr int kBits = Bits;
  static constexpr int kOffset = Bits == 8 ? 128 : 8;
  static constexpr int kBlockColumns = Bits == 8 ? 64 : 32;
  static constexpr int kBlocks = kSuperColumns / kBlockColumns;
  static constexpr int64_t kScaleBytes = kBlocks * kPanelOutputs * 2;
  static constexpr int64_t kSuperBytes = kScaleBytes + kSuperColumns * kPanelOutputs * Bits / 8;

  NATIVESPEC_ALWAYS_INLINE static constexpr int64_t Supers(int64_t in) { return (in + kSuperColumns - 1) / kSuperColumns; }
  NATIVESPEC_ALWAYS_INLINE static constexpr int64_t Panels(int64_t out) { return (out + kPanelOutputs - 1) / kPanelOutputs; }
  NATIVESPEC_ALWAYS_INLINE static constexpr int64_t PanelBytes(int64_t in) { return Supers(in) * kSuperBytes; }
};

static_assert(PackedLayout<8>::kSuperBytes == 66 * 64 && PackedLayout<4>::kSuperBytes == 36 * 64);

}  // namespace nativespec
