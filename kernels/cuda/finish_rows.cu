// From a product's partial sums to a value that stays: biases, SwiGLU of gate above up, a Medusa head's residual block, chosen rows, their norm. Where
// the next step is a product the kernels on the way to it do this; here are the others, and sums of two parts (RowParts), which are added first.
#include "norms.h"
#include "operations.h"

namespace nativespec::cuda {
namespace {

NS_DEVICE float Silu(float x) { return Divide(x, Add(1.0f, Exp2(Multiply(x, -1.4426950408889634f)))); }
NS_DEVICE Quad Silu(const Quad& x) { return {Silu(x.x), Silu(x.y), Silu(x.z), Silu(x.w)}; }

/// A row of the value, by one or four columns.
template <class T>
struct FinishedRow {
  const FinishRowsArguments& a;
  int columns;
  bool pair;
  const T *x, *partials, *bias;
  int64_t segment;

  NS_DEVICE FinishedRow(const FinishRowsArguments& arguments, int from) : a(arguments), columns(a.width * 4 / (int)sizeof(T)), pair(a.epilogue == kSwiGlu) {
    const int of_product = pair ? 2 * columns : columns;
    x = a.x == nullptr ? nullptr : (const T*)a.x + (int64_t)from * columns;
    partials = (const T*)a.partials + (int64_t)from * of_product;
    bias = (const T*)a.bias;
    segment = (int64_t)a.bucket * of_product;
  }
  NS_DEVICE T Product(const T& first, int i) const {
    const T sum = AddSegments<2>(first, partials + i, segment, a.segments);
    return bias == nullptr ? sum : Add(sum, bias[i]);
  }
  NS_DEVICE T At(int i) const {
    if (pair) {
      const T gate = Silu(Product({}, i)), up = Product({}, columns + i);
      return Multiply(gate, up);
    }
    const T base = x == nullptr ? T{} : x[i];
    return a.epilogue == kAddSilu ? Add(base, Silu(Product({}, i))) : Product(base, i);
  }
};

/// Every column by itself: without a norm rows may be as wide as a vocabulary.
template <class T>
NS_DEVICE void StoreColumns(const FinishRowsArguments& a) {
  const FinishedRow<T> row(a, BlockIndex());
  T* to = (T*)a.y + (int64_t)BlockIndex() * row.columns;
  for (int i = BlockIndexY() * BlockThreads() + ThreadIndex(); i < row.columns; i += FinishBlocks(a.width) * BlockThreads()) {
    to[i] = row.At(i);
  }
}

NS_DEVICE void FinishRows(const FinishRowsArguments& a) {
  AllowKernelBehind();
  WaitForKernelInFront();
  if (a.gain == nullptr && a.source == nullptr) {
    if (a.width % 4 == 0) {
      StoreColumns<Quad>(a);
    } else {
      StoreColumns<float>(a);
    }
    return;
  }
  Quad* values = (Quad*)SharedMemory();
  float* warps = (float*)SharedMemory() + a.width;
  const FinishedRow<Quad> row(a, a.source == nullptr ? BlockIndex() : a.source[BlockIndex()]);
  float squares = 0;
  for (int i = ThreadIndex(); i < row.columns; i += BlockThreads()) {
    values[i] = row.At(i);
    squares = AddSquares(squares, values[i]);
  }
  // The block's barriers also stand between what was read and what is written, which may be the same rows.
  const float root = InverseRoot(BlockSum(squares, warps), a.width, a.epsilon);
  Quad* to = (Quad*)a.y + (int64_t)BlockIndex() * row.columns;
  for (int i = ThreadIndex(); i < row.columns; i += BlockThreads()) {
    to[i] = a.gain == nullptr ? values[i] : Normed(values[i], root, ((const Quad*)a.gain)[i]);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(nativespec::cuda::kNormThreads, 1) finish_rows(const nativespec::cuda::FinishRowsArguments a) { nativespec::cuda::FinishRows(a); }
