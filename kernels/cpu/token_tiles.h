// How a matmul cuts its tokens.
#pragma once

#include "simd.h"

namespace nativespec::NATIVESPEC_LEVEL {
namespace {

/// Tiles of nearly equal size, at most `most` tokens each.
struct TokenTiles {
  TokenTiles(int64_t tokens, int64_t most) : count((tokens + most - 1) / most), size(tokens / count), larger(tokens % count) {}

  int64_t First(int64_t tile) const { return tile * size + (tile < larger ? tile : larger); }
  int64_t Size(int64_t tile) const { return size + (tile < larger ? 1 : 0); }

  int64_t count;
  int64_t size;
  int64_t larger;
};

}  // namespace
}  // namespace nativespec::NATIVESPEC_LEVEL
