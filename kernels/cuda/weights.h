// A 16×16 tile of weights from the packed form to the registers of the left operand.
#pragma once

#include "layout.h"

namespace nativespec::cuda {

/// Whole numbers of 8 bits become binary16 by writing them into the significand of 1024; then (q − 128) · scale with one rounding.
NS_DEVICE void TileFromQ8(uint32_t (&a)[4], uint32_t low, uint32_t high, uint32_t scale_g, uint32_t scale_g8) {
  constexpr uint32_t k1024 = 0x64646464, k1152 = 0x64806480;
  a[0] = MultiplyF16x2(SubtractF16x2(Bytes(low, k1024, 0x4140), k1152), scale_g);
  a[1] = MultiplyF16x2(SubtractF16x2(Bytes(low, k1024, 0x4342), k1152), scale_g8);
  a[2] = MultiplyF16x2(SubtractF16x2(Bytes(high, k1024, 0x4140), k1152), scale_g);
  a[3] = MultiplyF16x2(SubtractF16x2(Bytes(high, k1024, 0x4342), k1152), scale_g8);
}

/// The same for 4 bits: the low digits are 1024 + q, the high ones 1024 + 16 q.
NS_DEVICE void TileFromQ4(uint32_t (&a)[4], uint32_t word, uint32_t scale_g, uint32_t scale_g8) {
  constexpr uint32_t kLow = 0x000f000f, kHigh = 0x00f000f0, k1024 = 0x64006400, k1032 = 0x64086408, kSixteenth = 0x2c002c00, kMinus72 = 0xd480d480;
  const uint32_t next = word >> 8;
  a[0] = MultiplyF16x2(SubtractF16x2(AndOr(word, kLow, k1024), k1032), scale_g);
  a[1] = MultiplyF16x2(MultiplyAddF16x2(AndOr(word, kHigh, k1024), kSixteenth, kMinus72), scale_g8);
  a[2] = MultiplyF16x2(SubtractF16x2(AndOr(next, kLow, k1024), k1032), scale_g);
  a[3] = MultiplyF16x2(MultiplyAddF16x2(AndOr(next, kHigh, k1024), kSixteenth, kMinus72), scale_g8);
}

/// A stage of one row tile: Tile(i) makes the operand of step i, in the order of k.
template <Format F>
struct StageTiles {
  using L = WeightLayout<F>;
  /// Steps of a stage: products of 16 columns. F32 takes two for each, of its two parts.
  static constexpr int kSteps = F == Format::kF32 ? 4 : L::kColumns / 16;
  /// The step's 16 columns in the stage.
  static NS_BOTH int Columns16(int step) { return F == Format::kF32 ? step / 2 : step; }

  const Vector* vectors;
  const uint32_t* scales;
  Vector vector = {};
  uint32_t scale_g = 0, scale_g8 = 0;

  NS_DEVICE StageTiles(const uint8_t* stage, int tile)
      : vectors((const Vector*)stage + tile * 32 + Lane()),
        scales((const uint32_t*)(stage + L::kVectorBytes) + (tile * 8 + Lane() / 4) * L::kBlocks) {}

  template <int Step>
  NS_DEVICE void Tile(uint32_t (&a)[4]) {
    if constexpr (Step % L::kTilesPerVector == 0) {
      vector = vectors[Step / L::kTilesPerVector * 8 * 32];
    }
    if constexpr (L::kQuantized) {
      if constexpr (Step * 16 % L::kBlockColumns == 0) {
        const uint32_t pair = scales[Step * 16 / L::kBlockColumns];
        scale_g = Bytes(pair, pair, 0x1010);
        scale_g8 = Bytes(pair, pair, 0x3232);
      }
    }
    if constexpr (F == Format::kQ8) {
      if constexpr (Step % 2 == 0) {
        TileFromQ8(a, vector.x, vector.y, scale_g, scale_g8);
      } else {
        TileFromQ8(a, vector.z, vector.w, scale_g, scale_g8);
      }
    } else if constexpr (F == Format::kQ4) {
      constexpr int kWord = Step % 4;
      TileFromQ4(a, kWord == 0 ? vector.x : kWord == 1 ? vector.y : kWord == 2 ? vector.z : vector.w, scale_g, scale_g8);
    } else {
      a[0] = vector.x;
      a[1] = vector.y;
      a[2] = vector.z;
      a[3] = vector.w;
    }
  }
};

}  // namespace nativespec::cuda
