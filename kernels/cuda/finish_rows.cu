// From a product's partial sums to a value that stays: biases, SwiGLU of gate above up, a Medusa head's residual block, chosen rows, their norm. Where
// the next step is a product the kernels on the way to it do this; here are the others.
#include "norms.h"
#include "operations.h"

namespace nativespec::cuda {
namespace {

NS_DEVICE Quad Sum(const Quad& a, const Quad& b) { return {Add(a.x, b.x), Add(a.y, b.y), Add(a.z, b.z), Add(a.w, b.w)}; }
NS_DEVICE float Silu(float x) { return Divide(x, Add(1.0f, Exp2(Multiply(x, -1.4426950408889634f)))); }
NS_DEVICE Quad Silu(const Quad& x) { return {Silu(x.x), Silu(x.y), Silu(x.z), Silu(x.w)}; }

NS_DEVICE void FinishRows(const FinishRowsArguments& a) {
  Quad* values = (Quad*)SharedMemory();
  float* warps = (float*)SharedMemory() + a.width;
  AllowKernelBehind();
  WaitForKernelInFront();
  const bool pair = a.epilogue == kSwiGlu;
  const int row = BlockIndex(), from = a.source == nullptr ? row : a.source[row], quads = a.width / 4, of_product = pair ? 2 * quads : quads;
  const Quad* x = a.x == nullptr ? nullptr : (const Quad*)a.x + (int64_t)from * quads;
  const Quad* partials = (const Quad*)a.partials + (int64_t)from * of_product;
  const int64_t segment = (int64_t)a.bucket * of_product;
  auto product = [&](const Quad& first, int i) {
    const Quad sum = AddSegments<2>(first, partials + i, segment, a.segments);
    return a.bias == nullptr ? sum : Sum(sum, ((const Quad*)a.bias)[i]);
  };

  float squares = 0;
  for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
    const Quad base = x == nullptr ? Quad{0, 0, 0, 0} : x[i];
    Quad y;
    if (pair) {
      const Quad gate = Silu(product({0, 0, 0, 0}, i)), up = product({0, 0, 0, 0}, quads + i);
      y = {Multiply(gate.x, up.x), Multiply(gate.y, up.y), Multiply(gate.z, up.z), Multiply(gate.w, up.w)};
    } else if (a.epilogue == kAddSilu) {
      y = Sum(base, Silu(product({0, 0, 0, 0}, i)));
    } else {
      y = product(base, i);
    }
    values[i] = y;
    squares = AddSquares(squares, y);
  }
  // The block's barriers also stand between what was read and what is written, which may be the same rows.
  const float root = InverseRoot(BlockSum(squares, warps), a.width, a.epsilon);
  Quad* to = (Quad*)a.y + (int64_t)row * quads;
  for (int i = ThreadIndex(); i < quads; i += BlockThreads()) {
    to[i] = a.gain == nullptr ? values[i] : Normed(values[i], root, ((const Quad*)a.gain)[i]);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kNormThreads, 1) finish_rows(const nativespec::cuda::FinishRowsArguments a) { nativespec::cuda::FinishRows(a); }
