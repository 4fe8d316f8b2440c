// Products of matrices, of one warp's lanes and of four warps. Sums are taken in the order of k, in F32, one rounding an operation.
#include "worker.h"

namespace nativespec::emulator {
namespace {

/// Numbers of 16 bits to F32: a loop without branches, so that it becomes vectors.
template <size_t Count>
void Widen(float (&to)[Count], const uint16_t (&from)[Count], bool bf16) {
  uint32_t bits[Count];
  if (bf16) {
    for (size_t i = 0; i < Count; ++i) {
      bits[i] = static_cast<uint32_t>(from[i]) << 16;
    }
    std::memcpy(to, bits, sizeof bits);
    return;
  }
  // The exponent of binary16 read as that of F32 is 112 too low, for subnormal numbers too.
  constexpr float kTwoTo112 = 5192296858534827628530496329220096.0f;
  for (size_t i = 0; i < Count; ++i) {
    bits[i] = static_cast<uint32_t>(from[i] & 0x7fffu) << 13;
  }
  std::memcpy(to, bits, sizeof bits);
  for (size_t i = 0; i < Count; ++i) {
    to[i] *= kTwoTo112;
  }
  std::memcpy(bits, to, sizeof bits);
  for (size_t i = 0; i < Count; ++i) {
    const uint32_t magnitude = from[i] & 0x7fffu;
    const uint32_t finite = bits[i], other = 0x7f800000u | (magnitude & 0x3ffu) << 13;
    bits[i] = (magnitude >= 0x7c00u ? other : finite) | static_cast<uint32_t>(from[i] & 0x8000u) << 16;
  }
  std::memcpy(to, bits, sizeof bits);
}

/// A lane's words of the left operand to its rows and columns.
void PlaceLeft(uint16_t (&a)[256], int lane, const uint32_t* words) {
  for (int word = 0; word < 4; ++word) {
    std::memcpy(a + (lane / 4 + word % 2 * 8) * 16 + lane % 4 * 2 + word / 2 * 8, words + word, 4);
  }
}

/// c[16][8] += a[16][16] b[16][8].
void MultiplyAdd(float (&c)[16][8], const float (&a)[256], const float (&b)[16][8]) {
  for (int row = 0; row < 16; ++row) {
    float sums[8];
    std::memcpy(sums, c[row], sizeof sums);
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) {
        sums[column] += a[row * 16 + k] * b[k][column];
      }
    }
    std::memcpy(c[row], sums, sizeof sums);
  }
}

/// b, which lies column by column, with k in front.
void Transpose(float (&b)[16][8], const float (&columns)[128]) {
  for (int k = 0; k < 16; ++k) {
    for (int column = 0; column < 8; ++column) {
      b[k][column] = columns[column * 16 + k];
    }
  }
}

}  // namespace

void MultiplyTile(const uint8_t (&in)[32][48], bool bf16, uint8_t (&out)[32][16]) {
  uint16_t a16[256], b16[128];
  float c[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    uint32_t words[10];
    std::memcpy(words, in[lane], 40);
    PlaceLeft(a16, lane, words);
    std::memcpy(b16 + lane / 4 * 16 + lane % 4 * 2, words + 4, 4);
    std::memcpy(b16 + lane / 4 * 16 + lane % 4 * 2 + 8, words + 5, 4);
    std::memcpy(&c[lane / 4][lane % 4 * 2], words + 6, 8);
    std::memcpy(&c[lane / 4 + 8][lane % 4 * 2], words + 8, 8);
  }
  float a[256], columns[128], b[16][8];
  Widen(a, a16, bf16);
  Widen(columns, b16, bf16);
  Transpose(b, columns);
  MultiplyAdd(c, a, b);
  for (int lane = 0; lane < 32; ++lane) {
    std::memcpy(out[lane], &c[lane / 4][lane % 4 * 2], 8);
    std::memcpy(out[lane] + 8, &c[lane / 4 + 8][lane % 4 * 2], 8);
  }
}

void MultiplyGroups(int warp, int groups) {
  Fiber* lanes = &worker->fibers[static_cast<size_t>(warp) * 32];
  const auto& first = lanes[0].products;
  const int until = lanes[0].product_group - groups;
  size_t done = 0;
  for (; done < first.size() && first[done].group < until; ++done) {
    const bool bf16 = first[done].bf16;
    uint16_t a16[256];
    for (int lane = 0; lane < 32; ++lane) {
      PlaceLeft(a16, lane, lanes[lane].products[done].a);
    }
    float a[256];
    Widen(a, a16, bf16);
    for (int tile = 0; tile < first[done].tiles; ++tile) {
      uint16_t b16[128];
      for (int column = 0; column < 8; ++column) {
        std::memcpy(b16 + column * 16, first[done].b + tile * 512 + column * 16, 16);
        std::memcpy(b16 + column * 16 + 8, first[done].b + tile * 512 + 128 + column * 16, 16);
      }
      float columns[128], b[16][8], c[16][8];
      Widen(columns, b16, bf16);
      Transpose(b, columns);
      for (int lane = 0; lane < 32; ++lane) {
        std::memcpy(&c[lane / 4][lane % 4 * 2], lanes[lane].products[done].c + tile * 4, 8);
        std::memcpy(&c[lane / 4 + 8][lane % 4 * 2], lanes[lane].products[done].c + tile * 4 + 2, 8);
      }
      MultiplyAdd(c, a, b);
      for (int lane = 0; lane < 32; ++lane) {
        std::memcpy(lanes[lane].products[done].c + tile * 4, &c[lane / 4][lane % 4 * 2], 8);
        std::memcpy(lanes[lane].products[done].c + tile * 4 + 2, &c[lane / 4 + 8][lane % 4 * 2], 8);
      }
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    auto& products = lanes[lane].products;
    products.erase(products.begin(), products.begin() + static_cast<int64_t>(done));
  }
}

void GroupProduct(bool bf16, int tiles, float* c, const uint32_t* a, const uint8_t* b) {
  Aligned(b, 128);
  Fiber& fiber = worker->Current();
  fiber.products.push_back({bf16, tiles, fiber.product_group, c, {a[0], a[1], a[2], a[3]}, b});
}

void GroupCommit() { ++worker->Current().product_group; }

}  // namespace nativespec::emulator
