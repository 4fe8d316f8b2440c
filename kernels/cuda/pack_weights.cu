// From a matrix as a checkpoint holds it, or panels as the CPU packs them, to slabs. Once, when a model is loaded.
#include "../cpu/quantized.h"
#include "operations.h"

namespace nativespec::cuda {
namespace {

/// One matrix's numbers, wherever they lie.
struct Source {
  const PackWeightsArguments& a;

  NS_DEVICE bool Inside(int row, int column) const { return row < a.out && column < a.in; }
  NS_DEVICE int Row(int row) const { return a.gate_up != 0 ? GateUpRow(row, a.out / 2) : row; }

  NS_DEVICE float Number(int row, int column) const {
    if (!Inside(row, column)) {
      return 0;
    }
    const int64_t at = (int64_t)Row(row) * a.in + column;
    if (a.source_format == (int)Format::kF32) {
      return ((const float*)a.source)[at];
    }
    const uint16_t bits = ((const uint16_t*)a.source)[at];
    return a.source_format == (int)Format::kBF16 ? FromBF16(bits) : FromF16(bits);
  }

  /// q and the scale of a panel (kernels/cpu/quantized.h).
  template <int Bits>
  NS_DEVICE const uint8_t* Super(int row, int column) const {
    using Layout = PackedLayout<Bits>;
    return a.source + (row / kPanelOutputs * ((a.in + kSuperColumns - 1) / kSuperColumns) + column / kSuperColumns) * Layout::kSuperBytes;
  }
  template <int Bits>
  NS_DEVICE uint32_t Whole(int row, int column) const {
    using Layout = PackedLayout<Bits>;
    if (!Inside(row, column)) {
      return Layout::kOffset;
    }
    row = Row(row);
    const uint8_t* data = Super<Bits>(row, column) + Layout::kScaleBytes;
    const int output = row % kPanelOutputs, inner = column % kSuperColumns, piece = inner / kGroupColumns;
    if constexpr (Bits == 8) {
      return data[(piece * kPanelOutputs + output) * kGroupColumns + inner % kGroupColumns];
    } else {
      const uint8_t both = data[(piece / 2 * kPanelOutputs + output) * kGroupColumns + inner % kGroupColumns];
      return piece % 2 == 0 ? both & 15 : both >> 4;
    }
  }
  template <int Bits>
  NS_DEVICE uint32_t Scale(int row, int column) const {
    using Layout = PackedLayout<Bits>;
    if (!Inside(row, column)) {
      return 0;
    }
    row = Row(row);
    const uint16_t* scales = (const uint16_t*)Super<Bits>(row, column);
    const float scale = FromF16(scales[column % kSuperColumns / Layout::kBlockColumns * kPanelOutputs + row % kPanelOutputs]);
    return PackF16(Multiply(scale, a.scale), 0) & 0xffff;
  }
};

template <Format F>
NS_DEVICE void PackWeights(const PackWeightsArguments& a) {
  using L = WeightLayout<F>;
  const Source source{a};
  const int stages = Stages<F>(a.in), pieces = L::kStageBytes / 16;
  const int64_t all = (int64_t)Slabs(a.out) * stages * pieces;
  for (int64_t i = (int64_t)BlockIndex() * BlockThreads() + ThreadIndex(); i < all; i += (int64_t)Blocks() * BlockThreads()) {
    const int piece = (int)(i % pieces), stage = (int)(i / pieces % stages), slab = (int)(i / pieces / stages);
    uint32_t words[4] = {};
    if (piece < L::kVectors * 256) {
      const int vector = piece / 256, row = slab * kSlabRows + piece / 32 % 8 * 16 + piece % 32 / 4;
      for (int j = 0; j < 8 * L::kTilesPerVector; ++j) {  // numbers of this lane: register, half
        const int tile = j / 8, word = j % 8 / 2, half = j % 2;
        const int step = F == Format::kF32 ? vector / 2 : vector * L::kTilesPerVector + tile;
        const int r = row + word % 2 * 8, column = stage * L::kColumns + step * 16 + piece % 4 * 2 + half + word / 2 * 8;
        if constexpr (F == Format::kQ8) {
          words[tile * 2 + word / 2] |= source.Whole<8>(r, column) << (word % 2 * 16 + half * 8);
        } else if constexpr (F == Format::kQ4) {
          words[tile] |= source.Whole<4>(r, column) << (half * 16 + word * 4);
        } else {
          const float number = source.Number(r, column);
          uint32_t bits;
          if constexpr (F == Format::kF16) {
            bits = PackF16(Multiply(number, a.scale), 0);
          } else {
            bits = PackBF16(number, 0);
            if (F == Format::kF32 && vector % 2 == 1) {
              bits = PackBF16(Add(number, -FromBF16((uint16_t)bits)), 0);
            }
          }
          words[word] |= (bits & 0xffff) << (half * 16);
        }
      }
    } else if constexpr (L::kQuantized) {
      constexpr int kBits = F == Format::kQ8 ? 8 : 4;
      for (int j = 0; j < 4; ++j) {
        const int index = (piece - L::kVectors * 256) * 4 + j, block = index % L::kBlocks, g = index / L::kBlocks % 8, tile = index / L::kBlocks / 8;
        const int row = slab * kSlabRows + tile * 16 + g, column = stage * L::kColumns + block * L::kBlockColumns;
        words[j] = source.Scale<kBits>(row, column) | source.Scale<kBits>(row + 8, column) << 16;
      }
    }
    ((Vector*)a.packed)[i] = {words[0], words[1], words[2], words[3]};
  }
}

}  // namespace
}  // namespace nativespec::cuda

#define NS_PACK_WEIGHTS(name, format) \
  NS_KERNEL(256, 1) pack_weights_##name(const nativespec::cuda::PackWeightsArguments a) { nativespec::cuda::PackWeights<nativespec::cuda::Format::format>(a); }
NS_PACK_WEIGHTS(bf16, kBF16)
NS_PACK_WEIGHTS(f16, kF16)
NS_PACK_WEIGHTS(f32, kF32)
NS_PACK_WEIGHTS(q8, kQ8)
NS_PACK_WEIGHTS(q4, kQ4)
