// Adds the product in front to the residual stream, norms it and packs it for the next product. A thread takes four columns at a time; the sum
// of squares is a fixed tree: a thread's columns in ascending order, lanes by exchange, warps from the first to the last. Where a row has fewer
// columns, warps without any are left out: they would add zeros.
#include "operations.h"
#include "sums.h"

namespace nativespec::cuda {
namespace {

/// The sum of all threads' values, the same on each.
NS_DEVICE float BlockSum(float value, float* warps) {
  NS_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    value = Add(value, ShuffleXor(value, lanes));
  }
  SyncThreads();
  if (Lane() == 0) {
    warps[Warp()] = value;
  }
  SyncThreads();
  float sum = 0;
  for (int warp = 0; warp < BlockThreads() / 32; ++warp) {
    sum = Add(sum, warps[warp]);
  }
  return sum;
}

NS_DEVICE float InverseRoot(float squares, int width, float epsilon) {
  return Divide(1, SquareRoot(Add(Divide(squares, (float)width), epsilon)));
}

NS_DEVICE float AddSquares(float squares, const Quad& v) {
  return MultiplyAdd(v.w, v.w, MultiplyAdd(v.z, v.z, MultiplyAdd(v.y, v.y, MultiplyAdd(v.x, v.x, squares))));
}

NS_DEVICE void RmsNorm(const RmsNormArguments& a) {
  Quad* values = (Quad*)SharedMemory();
  float* warps = (float*)SharedMemory() + a.width;
  AllowKernelBehind();
  WaitForKernelInFront();
  const int row = BlockIndex(), from = a.source == nullptr ? row : a.source[row], quads = a.width / 4;
  Quad* x = (Quad*)a.x + (int64_t)from * quads;
  const Quad* partials = (const Quad*)a.partials + (int64_t)from * quads;
  const int64_t segment = (int64_t)a.bucket * quads;

  float squares = 0;
  if (a.post_gain != nullptr) {
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      const Quad sum = AddSegments({}, partials + i, segment, a.segments);
      values[i] = sum;
      squares = AddSquares(squares, sum);
    }
    const float root = InverseRoot(BlockSum(squares, warps), a.width, a.epsilon);
    squares = 0;
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      const Quad gain = ((const Quad*)a.post_gain)[i], v = values[i], before = x[i];
      const Quad sum = {Add(before.x, Multiply(Multiply(v.x, root), gain.x)), Add(before.y, Multiply(Multiply(v.y, root), gain.y)),
                        Add(before.z, Multiply(Multiply(v.z, root), gain.z)), Add(before.w, Multiply(Multiply(v.w, root), gain.w))};
      values[i] = sum;
      squares = AddSquares(squares, sum);
    }
  } else {
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      const Quad sum = AddSegments(x[i], partials + i, segment, a.segments);
      values[i] = sum;
      squares = AddSquares(squares, sum);
    }
  }
  const float root = InverseRoot(BlockSum(squares, warps), a.width, a.epsilon);  // its barriers also show all values to all

  if (a.source == nullptr && a.segments > 0) {
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      x[i] = values[i];
    }
  }
  // Four columns a thread: half a piece.
  for (int i = ThreadIndex(); i < FilledColumns(a.width) / 4; i += BlockThreads()) {
    Quad y = {0, 0, 0, 0};
    if (i < quads) {
      y = values[i];
      if (a.gain != nullptr) {
        const Quad gain = ((const Quad*)a.gain)[i];
        y = {Multiply(Multiply(y.x, root), gain.x), Multiply(Multiply(y.y, root), gain.y), Multiply(Multiply(y.z, root), gain.z), Multiply(Multiply(y.w, root), gain.w)};
      }
    }
    uint32_t* half = (uint32_t*)((Vector*)a.y + ActivationPiece(row, i * 4, a.y_tiles)) + i % 2 * 2;
    half[0] = a.bf16 != 0 ? PackBF16(y.x, y.y) : PackF16(y.x, y.y);
    half[1] = a.bf16 != 0 ? PackBF16(y.z, y.w) : PackF16(y.z, y.w);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kNormThreads, 1) rms_norm(const nativespec::cuda::RmsNormArguments a) { nativespec::cuda::RmsNorm(a); }
