// Sums over a row by all threads of a block, in one fixed tree: a thread's columns in ascending order, lanes by exchange, warps from the first to the
// last. Where a row has fewer columns than a block could have threads, warps without any are left out: they would add zeros.
#pragma once

#include "sums.h"

namespace nativespec::cuda {

/// The sum of all threads' values, the same on each. warps: a float for each warp, in shared memory.
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
  return Divide(1.0f, SquareRoot(Add(Divide(squares, (float)width), epsilon)));
}

NS_DEVICE float AddSquares(float squares, const Quad& v) {
  return MultiplyAdd(v.w, v.w, MultiplyAdd(v.z, v.z, MultiplyAdd(v.y, v.y, MultiplyAdd(v.x, v.x, squares))));
}

/// v · root · gain, a rounding each.
NS_DEVICE Quad Normed(const Quad& v, float root, const Quad& gain) {
  return {Multiply(Multiply(v.x, root), gain.x), Multiply(Multiply(v.y, root), gain.y), Multiply(Multiply(v.z, root), gain.z), Multiply(Multiply(v.w, root), gain.w)};
}

}  // namespace nativespec::cuda
