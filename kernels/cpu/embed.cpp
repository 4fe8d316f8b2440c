// y[row] = table[tokens[row]] · multiplier, read in the file's element type and exact in F32 before it is multiplied.
//
// table: [vocabulary, width]; y: [rows, width]. The interface has checked the tokens.
#include "level.h"
#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {

void Embed(const void* arguments, int64_t begin, int64_t end) {
  const auto& a = *static_cast<const EmbedArguments*>(arguments);
  const int64_t size = a.type == ElementType::kF32 ? 4 : 2;
  for (int64_t row = begin; row < end; ++row) {
    const uint8_t* from = a.table + a.tokens[row] * a.width * size;
    float* y = a.y + row * a.width;
    if (a.type == ElementType::kF32) {
      std::memcpy(y, from, static_cast<size_t>(a.width) * sizeof(float));
    } else {
      const bool bf16 = a.type == ElementType::kBF16;
      const auto* halves = reinterpret_cast<const uint16_t*>(from);
      int64_t i = 0;
      for (; i + kWidth <= a.width; i += kWidth) {
        Store(y + i, bf16 ? LoadBF16(halves + i) : LoadF16(halves + i));
      }
      for (; i < a.width; ++i) {
        y[i] = bf16 ? FromBF16(halves[i]) : FromF16(halves[i]);
      }
    }
    for (int64_t i = 0; a.multiplier != 1.0f && i < a.width; ++i) {
      y[i] *= a.multiplier;
    }
  }
}

}  // namespace nativespec::NATIVESPEC_LEVEL
