// The operations of a level that has everything.
#include "level.h"

#define NATIVESPEC_TEXT2(text) #text
#define NATIVESPEC_TEXT(text) NATIVESPEC_TEXT2(text)

namespace nativespec::NATIVESPEC_LEVEL {

const Operations& Table() {
  static const Operations table = {
      NATIVESPEC_TEXT(NATIVESPEC_LEVEL),
      {FloatMatMul(ElementType::kF32), FloatMatMul(ElementType::kF16), FloatMatMul(ElementType::kBF16)},
      QuantizedMatMul(8),
      QuantizedMatMul(4),
      &Gemm,
      QuantizeWork(8),
      QuantizeWork(4),
      &RmsNorm,
      &SwiGlu,
      &AddSilu,
      &Rope,
      &TreeAttention,
      &Embed,
      &Read,
      &Peak,
  };
  return table;
}

}  // namespace nativespec::NATIVESPEC_LEVEL
