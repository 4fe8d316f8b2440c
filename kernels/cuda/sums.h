// Small sums and conversions that several kernels share.
#pragma once

#include "device.h"

namespace nativespec::cuda {

NS_DEVICE Quad Add(const Quad& a, const Quad& b) { return {Add(a.x, b.x), Add(a.y, b.y), Add(a.z, b.z), Add(a.w, b.w)}; }
NS_DEVICE Quad Multiply(const Quad& a, const Quad& b) { return {Multiply(a.x, b.x), Multiply(a.y, b.y), Multiply(a.z, b.z), Multiply(a.w, b.w)}; }

/// first + the segments' partial sums, from the first to the last. So many loads are under way at once. T: Quad or float.
template <int Together = 8, class T>
NS_DEVICE T AddSegments(T first, const T* partial, int64_t segment, int segments) {
  for (int done = 0; done < segments; done += Together) {
    T part[Together] = {};
    NS_UNROLL
    for (int s = 0; s < Together; ++s) {
      if (done + s < segments) {
        part[s] = partial[(done + s) * segment];
      }
    }
    NS_UNROLL
    for (int s = 0; s < Together; ++s) {
      if (done + s < segments) {
        first = Add(first, part[s]);
      }
    }
  }
  return first;
}

/// Eight numbers in BF16.
NS_DEVICE Vector PackBF16(const float (&v)[8]) {
  return {PackBF16(v[0], v[1]), PackBF16(v[2], v[3]), PackBF16(v[4], v[5]), PackBF16(v[6], v[7])};
}

/// What two numbers as BF16 leave of them.
NS_DEVICE void TakeBF16(float& low, float& high, uint32_t packed) {
  low = Add(low, -Bits(packed << 16));
  high = Add(high, -Bits(packed & 0xffff0000u));
}

}  // namespace nativespec::cuda
