// A row's units to its attention output, packed for the next product: every unit weighed by its distance from the highest maximum, from the first
// to the last. A row of position −1 fills its bucket and is zero.
#include "operations.h"
#include "sums.h"

namespace nativespec::cuda {
namespace {

template <int Numbers>  // of a head that a lane holds
NS_DEVICE void AttentionFold(const AttentionFoldArguments& a, int row, int head) {
  const int position = a.positions[row], units = position < 0 ? 0 : UnitOf(position) + 1;
  const int first = a.window > 0 && position - a.window + 1 > 0 ? UnitOf(position - a.window + 1) : 0;
  const int filled = head == a.heads - 1 ? FilledColumns(a.heads * a.head_width) : 0;
  const int parts = RowsOfParts(a.parts), rows = a.y_tiles * 8 / parts;
  for (int column = a.heads * a.head_width + Lane() * 8; column < filled; column += 256) {
    for (int part = 0; part < parts; ++part) {
      ((Vector*)a.y)[ActivationPiece(row + part * rows, column, a.y_tiles)] = {0, 0, 0, 0};
    }
  }
  const int64_t stride = (int64_t)a.bucket * a.heads, at = (int64_t)row * a.heads + head;
  float highest = Bits(0xff800000u);
  for (int unit = first + Lane(); unit < units; unit += 32) {
    highest = Maximum(highest, a.maxima_sums[unit * stride + at].x);
  }
  NS_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    highest = Maximum(highest, ShuffleXor(highest, lanes));
  }

  float sum = 0, o[Numbers] = {};
  NS_UNROLL4
  for (int unit = first; unit < units; ++unit) {
    const Pair part = a.maxima_sums[unit * stride + at];
    const float* weighted = a.weighted + (unit * stride + at) * a.width + Lane() * Numbers;
    const float factor = Exp2(Add(part.x, -highest));
    sum = MultiplyAdd(part.y, factor, sum);
    if constexpr (Numbers == 4) {
      const Quad v = *(const Quad*)weighted;
      o[0] = MultiplyAdd(v.x, factor, o[0]);
      o[1] = MultiplyAdd(v.y, factor, o[1]);
      o[2] = MultiplyAdd(v.z, factor, o[2]);
      o[3] = MultiplyAdd(v.w, factor, o[3]);
    } else {
      const Pair v = *(const Pair*)weighted;
      o[0] = MultiplyAdd(v.x, factor, o[0]);
      o[1] = MultiplyAdd(v.y, factor, o[1]);
    }
  }

  const int i = Lane() * Numbers;  // a head's width is a multiple of 8, so these lie in one piece
  if (i >= a.head_width) {
    return;
  }
  const int column = head * a.head_width + i;
  NS_UNROLL
  for (int j = 0; j < Numbers; j += 2) {
    float low = position < 0 ? 0 : Divide(o[j], sum), high = position < 0 ? 0 : Divide(o[j + 1], sum);
    for (int part = 0; part < parts; ++part) {
      uint32_t* y = (uint32_t*)((uint16_t*)a.y + ActivationPiece(row + part * rows, column, a.y_tiles) * 8 + column % 8);
      y[j / 2] = a.parts > 0 ? PackBF16(low, high) : PackF16(low, high);
      TakeBF16(low, high, y[j / 2]);
    }
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(128, 1) attention_fold(const nativespec::cuda::AttentionFoldArguments a) {
  using namespace nativespec::cuda;
  AllowKernelBehind();
  WaitForKernelInFront();
  const int head = BlockIndexY() * 4 + Warp();
  if (head < a.heads) {
    if (a.width == 128) {
      AttentionFold<4>(a, BlockIndex(), head);
    } else {
      AttentionFold<2>(a, BlockIndex(), head);
    }
  }
}
