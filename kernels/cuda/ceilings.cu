// What a device does at most: bytes that it reads, and products that it makes of what lies in registers. Benchmarks hold the other kernels against
// these; no forward has them.
#include "operations.h"

namespace nativespec::cuda {
namespace {

NS_DEVICE int64_t ThreadOfGrid() { return (int64_t)BlockIndex() * BlockThreads() + ThreadIndex(); }

/// Eight loads are under way at once; what is folded is written, so that no load is left out.
NS_DEVICE void ReadBytes(const CeilingArguments& a) {
  const int64_t threads = (int64_t)Blocks() * BlockThreads();
  uint32_t folded = 0;
  for (int64_t i = ThreadOfGrid(); i < a.vectors; i += 8 * threads) {
    Vector v[8] = {};
    NS_UNROLL
    for (int j = 0; j < 8; ++j) {
      if (i + j * threads < a.vectors) {
        v[j] = LoadVector(a.data + i + j * threads);
      }
    }
    NS_UNROLL
    for (int j = 0; j < 8; ++j) {
      folded ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
    }
  }
  a.folded[ThreadOfGrid()] = folded;
}

/// Eight sums of a warp at once, of operands that it loads once.
NS_DEVICE void MultiplyTiles(const CeilingArguments& a) {
  const Vector left = LoadVector(a.data + ThreadOfGrid() % a.vectors), right = LoadVector(a.data + (ThreadOfGrid() + 1) % a.vectors);
  const uint32_t tile[4] = {left.x, left.y, left.z, left.w};
  float sums[8][4] = {};
  for (int round = 0; round < a.rounds; ++round) {
    NS_UNROLL
    for (int i = 0; i < 8; ++i) {
      MatrixMultiplyAdd<true>(sums[i], tile, i % 2 == 0 ? right.x : right.z, i % 2 == 0 ? right.y : right.w);
    }
  }
  float sum = 0;
  NS_UNROLL
  for (int i = 0; i < 8; ++i) {
    sum = Add(sum, Add(Add(sums[i][0], sums[i][1]), Add(sums[i][2], sums[i][3])));
  }
  ((float*)a.folded)[ThreadOfGrid()] = sum;
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(256, 2) read_bytes(const nativespec::cuda::CeilingArguments a) { nativespec::cuda::ReadBytes(a); }
NS_KERNEL(256, 2) multiply_tiles(const nativespec::cuda::CeilingArguments a) { nativespec::cuda::MultiplyTiles(a); }
