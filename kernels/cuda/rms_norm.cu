// Adds the product in front to the residual stream, norms it and packs it for the next product. A thread takes four columns at a time.
#include "norms.h"
#include "operations.h"

namespace nativespec::cuda {
namespace {

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
      const Quad v = Normed(values[i], root, ((const Quad*)a.post_gain)[i]), before = x[i];
      const Quad sum = {Add(before.x, v.x), Add(before.y, v.y), Add(before.z, v.z), Add(before.w, v.w)};
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
  const int parts = RowsOfParts(a.parts), rows = a.y_tiles * 8 / parts;
  for (int i = ThreadIndex(); i < FilledColumns(a.width) / 4; i += BlockThreads()) {
    Quad y = {0, 0, 0, 0};
    if (i < quads) {
      y = values[i];
      if (a.gain != nullptr) {
        y = Normed(y, root, ((const Quad*)a.gain)[i]);
      }
    }
    for (int part = 0; part < parts; ++part) {
      uint32_t* half = (uint32_t*)((Vector*)a.y + ActivationPiece(row + part * rows, i * 4, a.y_tiles)) + i % 2 * 2;
      half[0] = a.parts > 0 ? PackBF16(y.x, y.y) : PackF16(y.x, y.y);
      half[1] = a.parts > 0 ? PackBF16(y.z, y.w) : PackF16(y.z, y.w);
      TakeBF16(y.x, y.y, half[0]);
      TakeBF16(y.z, y.w, half[1]);
    }
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kNormThreads, 1) rms_norm(const nativespec::cuda::RmsNormArguments a) { nativespec::cuda::RmsNorm(a); }
