// Weights to packed panels of 8 or 4 bits (quantized.h). Lanes are outputs here too, so as many blocks as a vector has lanes are quantised side by side.
//
// 8 bits: the scale is the block's largest magnitude over 127.
// 4 bits: the largest magnitude m goes to -8 or beyond: the scale is tried at -m/c for c from 6.5 to 9, the one of least squared error is
// refitted to its whole numbers (scale = Σ w q / Σ q², the least-squares solution), and the whole numbers are taken anew.
#include "level.h"
#include "quantized.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

constexpr int kVectors = kPanelOutputs / kWidth;
constexpr float kCandidates[] = {9.0f, 8.75f, 8.5f, 8.25f, 8.0f, 7.75f, 7.5f, 7.25f, 7.0f, 6.75f, 6.5f};

/// [columns of a super-block][outputs of a panel]
using Square = float[kSuperColumns][kPanelOutputs];

float ValueAt(const MatrixPart& part, int64_t index) {
  switch (part.type) {
    case ElementType::kF32: {
      float value;
      std::memcpy(&value, part.data + index * 4, sizeof value);
      return value;
    }
    case ElementType::kF16: {
      uint16_t value;
      std::memcpy(&value, part.data + index * 2, sizeof value);
      return FromF16(value);
    }
    default: {
      uint16_t value;
      std::memcpy(&value, part.data + index * 2, sizeof value);
      return FromBF16(value);
    }
  }
}

/// Columns [first, first + kSuperColumns) of a panel's outputs, zero past the matrix.
void Read(const QuantizeArguments& a, int64_t panel, int64_t first, Square& square) {
  std::memset(square, 0, sizeof square);
  const int64_t columns = Smaller(kSuperColumns, a.in - first);
  for (int64_t i = 0; i < kPanelOutputs; ++i) {
    int64_t row = panel * kPanelOutputs + i;
    for (int64_t p = 0; p < a.part_count; ++p) {
      if (row < a.parts[p].rows) {
        for (int64_t k = 0; k < columns; ++k) {
          square[k][i] = ValueAt(a.parts[p], row * a.in + first + k);
        }
        break;
      }
      row -= a.parts[p].rows;
    }
  }
}

NATIVESPEC_INLINE Floats Whole(Floats w, Floats inverse, Floats least, Floats most) {
  return Min(Max(Round(Multiply(w, inverse)), least), most);
}

/// A finite scale as binary16, 1/scale or 0 beside it.
NATIVESPEC_INLINE void SetScale(float scale, uint16_t& stored, float& inverse) {
  stored = ToF16(scale);
  const float exact = FromF16(stored);
  inverse = exact != 0.0f ? 1.0f / exact : 0.0f;
}

/// The scales of one block, for one vector of outputs, by the largest magnitude.
void ScalesByLargest(const Square& square, int first, int columns, int v, float* scales) {
  Floats most = Broadcast(0.0f), poison = Broadcast(0.0f);
  for (int k = first; k < first + columns; ++k) {
    const Floats w = Load(square[k] + v * kWidth);
    most = Max(Absolute(w), most);
    poison = MultiplyAdd(w, Broadcast(0.0f), poison);  // a weight that is not finite shall be seen
  }
  Store(scales, Add(Multiply(most, Broadcast(1.0f / 127)), poison));
}

/// The scales of least squared error for whole numbers -8 .. 7.
void ScalesByError(const Square& square, int first, int columns, int v, float* scales) {
  const Floats least = Broadcast(-8.0f), most = Broadcast(7.0f);
  alignas(64) float largest[kWidth] = {}, poison[kWidth] = {}, best[kWidth], inverse[kWidth], errors[kWidth];
  for (int k = first; k < first + columns; ++k) {
    for (int i = 0; i < kWidth; ++i) {
      const float w = square[k][v * kWidth + i];
      largest[i] = fabsf(w) > fabsf(largest[i]) ? w : largest[i];
      poison[i] += w * 0.0f;
    }
  }

  alignas(64) float chosen[kWidth] = {};
  Store(best, Broadcast(INFINITY));
  for (const float candidate : kCandidates) {
    for (int i = 0; i < kWidth; ++i) {
      inverse[i] = fabsf(largest[i]) > 1e-30f ? -candidate / largest[i] : 0.0f;
    }

    const Floats inverses = Load(inverse);
    Floats error = Broadcast(0.0f);
    for (int k = first; k < first + columns; ++k) {
      // In units of the scale; the same for all candidates once divided by the candidate's square.
      const Floats w = Multiply(Load(square[k] + v * kWidth), inverses);
      const Floats off = Subtract(w, Min(Max(Round(w), least), most));
      error = MultiplyAdd(off, off, error);
    }

    Store(errors, Multiply(error, Broadcast(1.0f / (candidate * candidate))));
    for (int i = 0; i < kWidth; ++i) {
      if (errors[i] < best[i]) {
        best[i] = errors[i];
        chosen[i] = inverse[i];
      }
    }
  }

  Floats products = Broadcast(0.0f), squares = Broadcast(0.0f);
  const Floats inverses = Load(chosen);
  for (int k = first; k < first + columns; ++k) {
    const Floats w = Load(square[k] + v * kWidth);
    const Floats q = Whole(w, inverses, least, most);
    products = MultiplyAdd(w, q, products);
    squares = MultiplyAdd(q, q, squares);
  }

  alignas(64) float product[kWidth], sum[kWidth];
  Store(product, products);
  Store(sum, squares);
  for (int i = 0; i < kWidth; ++i) {
    scales[i] = (sum[i] > 0.0f ? product[i] / sum[i] : 0.0f) + poison[i];
  }
}

template <class Layout>
void PackSuper(const Square& square, uint8_t* target) {
  const Floats least = Broadcast(Layout::kBits == 8 ? -127.0f : -8.0f), most = Broadcast(Layout::kBits == 8 ? 127.0f : 7.0f);
  uint8_t q[kSuperColumns][kPanelOutputs];
  auto* stored = reinterpret_cast<uint16_t*>(target);
  for (int block = 0; block < Layout::kBlocks; ++block) {
    const int first = block * Layout::kBlockColumns;
    for (int v = 0; v < kVectors; ++v) {
      alignas(64) float scales[kWidth], inverse[kWidth];
      Layout::kBits == 8 ? ScalesByLargest(square, first, Layout::kBlockColumns, v, scales)
                         : ScalesByError(square, first, Layout::kBlockColumns, v, scales);
      for (int i = 0; i < kWidth; ++i) {
        SetScale(scales[i], stored[block * kPanelOutputs + v * kWidth + i], inverse[i]);
      }

      for (int k = first; k < first + Layout::kBlockColumns; ++k) {
        int32_t whole[kWidth];
        const Ints ints = ToInts(Whole(Load(square[k] + v * kWidth), Load(inverse), least, most));
        std::memcpy(whole, &ints, sizeof whole);
        for (int i = 0; i < kWidth; ++i) {
          q[k][v * kWidth + i] = static_cast<uint8_t>(whole[i] + Layout::kOffset);
        }
      }
    }
  }

  uint8_t* data = target + Layout::kScaleBytes;
  for (int k = 0; k < kSuperColumns; ++k) {
    const int group = k / kGroupColumns;
    for (int i = 0; i < kPanelOutputs; ++i) {
      const int at = i * kGroupColumns + k % kGroupColumns;
      if constexpr (Layout::kBits == 8) {
        data[group * kGroupBytes + at] = q[k][i];
      } else if (group % 2 == 0) {
        data[group / 2 * kGroupBytes + at] = q[k][i] & 15;
      } else {
        uint8_t& low = data[group / 2 * kGroupBytes + at];
        low = static_cast<uint8_t>(low | q[k][i] << 4);
      }
    }
  }
}

template <class Layout>
void Pack(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const QuantizeArguments*>(arguments);
  alignas(64) Square square;
  for (int64_t panel = begin; panel < end; ++panel) {
    uint8_t* target = a.packed + panel * Layout::PanelBytes(a.in);
    for (int64_t k = 0; k < a.in; k += kSuperColumns, target += Layout::kSuperBytes) {
      Read(a, panel, k, square);
      PackSuper<Layout>(square, target);
    }
  }
}

}  // namespace

Work QuantizeWork(int bits) { return bits == 8 ? &Pack<PackedLayout<8>> : &Pack<PackedLayout<4>>; }

}  // namespace nativespec::NATIVESPEC_LEVEL
