// Adds the product in front to the residual stream, norms it and packs it for the next product. A thread takes four columns at a time.
#include "norms.h"
#include "operations.h"

namespace nativespec::cuda {
namespace {

/// Four columns of y, half a piece, in the parts of the row.
NS_DEVICE void Pack(const RmsNormArguments& a, int row, int quad, Quad y) {
  const int parts = RowsOfParts(a.parts), rows = a.y_tiles * 8 / parts;
  for (int part = 0; part < parts; ++part) {
    uint32_t* half = (uint32_t*)((Vector*)a.y + ActivationPiece(row + part * rows, quad * 4, a.y_tiles)) + quad % 2 * 2;
    half[0] = a.parts > 0 ? PackBF16(y.x, y.y) : PackF16(y.x, y.y);
    half[1] = a.parts > 0 ? PackBF16(y.z, y.w) : PackF16(y.z, y.w);
    TakeBF16(y.x, y.y, half[0]);
    TakeBF16(y.z, y.w, half[1]);
  }
}

NS_DEVICE void RmsNorm(const RmsNormArguments& a) {
  AllowKernelBehind();
  WaitForKernelInFront();
  const int row = BlockIndex(), from = a.source == nullptr ? row : a.source[row], quads = a.width / 4, filled = FilledColumns(a.width) / 4;
  const bool stays = a.source == nullptr && a.segments > 0;
  Quad* x = (Quad*)a.x + (int64_t)from * quads;
  const Quad* partials = (const Quad*)a.partials + (int64_t)from * quads;
  const int64_t segment = (int64_t)a.bucket * quads;

  if (a.gain == nullptr && a.post_gain == nullptr) {  // every column by itself: rows may be wider than shared memory
    for (int i = ThreadIndex(); i < filled; i += BlockThreads()) {
      const Quad sum = i < quads ? AddSegments(x[i], partials + i, segment, a.segments) : Quad{0, 0, 0, 0};
      if (stays && i < quads) {
        x[i] = sum;
      }
      Pack(a, row, i, sum);
    }
    return;
  }

  Quad* values = (Quad*)SharedMemory();
  float* warps = (float*)SharedMemory() + a.width;
  float squares = 0;
  if (a.post_gain != nullptr) {
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      const Quad sum = AddSegments(Quad{}, partials + i, segment, a.segments);
      values[i] = sum;
      squares = AddSquares(squares, sum);
    }
    const float root = InverseRoot(BlockSum(squares, warps), a.width, a.epsilon);
    squares = 0;
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      const Quad sum = Add(x[i], Normed(values[i], root, ((const Quad*)a.post_gain)[i]));
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

  if (stays) {
    for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
      x[i] = values[i];
    }
  }
  for (int i = ThreadIndex(); i < filled; i += BlockThreads()) {
    Quad y = {0, 0, 0, 0};
    if (i < quads) {
      y = a.gain == nullptr ? values[i] : Normed(values[i], root, ((const Quad*)a.gain)[i]);
    }
    Pack(a, row, i, y);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kNormThreads, 1) rms_norm(const nativespec::cuda::RmsNormArguments a) { nativespec::cuda::RmsNorm(a); }
