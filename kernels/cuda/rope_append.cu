// What lies between the product of q, k and v and attention: sums, biases, norms of heads, rotation, and keys and values to their cache rows.
#include "operations.h"
#include "sums.h"

namespace nativespec::cuda {
namespace {

constexpr int kMostWidth = 128;

NS_DEVICE void RopeAppend(const RopeAppendArguments& a) {
  AllowKernelBehind();
  const int row = BlockIndex(), head = BlockIndexY() * 4 + Warp(), heads = a.heads + 2 * a.kv_heads, half = a.rotated / 2, piece = Lane();
  const bool key = head >= a.heads && head < a.heads + a.kv_heads, value = head >= a.heads + a.kv_heads;

  // Where the row stands went up before the round's first kernel, and angles long before, so they are asked for while the kernel in front still sums.
  const int position = a.positions[row];
  const int64_t angles = (int64_t)(position < 0 ? 0 : position) * half;
  float c[8], s[8];
  NS_UNROLL
  for (int j = 0; j < 8; ++j) {
    const int i = piece * 8 + j, pair = i < half ? i : i - half;
    const bool turns = !value && i < a.rotated;
    c[j] = turns ? a.cos[angles + pair] : 1;
    s[j] = turns ? a.sin[angles + pair] : 0;
  }
  WaitForKernelInFront();
  if (head >= heads) {
    return;
  }
  float* values = (float*)SharedMemory() + Warp() * kMostWidth;
  const int64_t first = (int64_t)row * heads * a.head_width + (int64_t)head * a.head_width;
  const int64_t segment = (int64_t)a.bucket * heads * a.head_width;
  float squares = 0;
  if (Lane() * 4 < a.head_width) {
    const int i = Lane() * 4;
    Quad sum = AddSegments({}, (const Quad*)(a.partials + first + i), segment / 4, a.segments);
    if (a.bias != nullptr) {
      const Quad bias = *(const Quad*)(a.bias + head * a.head_width + i);
      sum = {Add(sum.x, bias.x), Add(sum.y, bias.y), Add(sum.z, bias.z), Add(sum.w, bias.w)};
    }
    *(Quad*)(values + i) = sum;
    squares = MultiplyAdd(sum.w, sum.w, MultiplyAdd(sum.z, sum.z, MultiplyAdd(sum.y, sum.y, Multiply(sum.x, sum.x))));
  }
  const float* gain = value ? nullptr : key ? a.k_gain : a.q_gain;
  if (gain != nullptr) {
    NS_UNROLL
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      squares = Add(squares, ShuffleXor(squares, lanes));
    }
    const float root = Divide(1.0f, SquareRoot(Add(Divide(squares, (float)a.head_width), a.epsilon)));
    SyncWarp();
    for (int i = Lane(); i < a.head_width; i += 32) {
      values[i] = Multiply(Multiply(values[i], root), gain[i]);
    }
  }
  SyncWarp();

  auto turned = [&](int i, int j) -> float {
    if (i >= a.head_width) {
      return 0;
    }
    if (value || i >= a.rotated) {
      return values[i];
    }
    return i < half ? Add(Multiply(values[i], c[j]), Multiply(values[i + half], -s[j])) : Add(Multiply(values[i], c[j]), Multiply(values[i - half], s[j]));
  };
  if (piece * 8 >= a.width) {
    return;
  }
  float v[8];
  NS_UNROLL
  for (int j = 0; j < 8; ++j) {
    v[j] = turned(piece * 8 + j, j);
    // Rows that see a key of no number get none. Those that do not see it weigh its value with nothing, which must be a number for that.
    if (value && Multiply(v[j], 0) != 0) {
      v[j] = 0;
    }
  }
  const int pieces = a.width / 8, all_width = a.parts * a.width;
  for (int part = 0; part < a.parts; ++part) {
    const Vector packed = PackBF16(v);
    if (head < a.heads) {
      ((Vector*)a.q)[(((int64_t)row * a.heads + head) * a.parts + part) * pieces + piece] = packed;
    } else {
      Vector* plane = (Vector*)(key ? a.keys : a.values);
      plane[KvPiece(a.kv_rows[row], (head - a.heads) % a.kv_heads, part * pieces + piece, a.kv_heads, all_width)] = packed;
    }
    TakeBF16(v[0], v[1], packed.x);
    TakeBF16(v[2], v[3], packed.y);
    TakeBF16(v[4], v[5], packed.z);
    TakeBF16(v[6], v[7], packed.w);
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(128, 1) rope_append(const nativespec::cuda::RopeAppendArguments a) { nativespec::cuda::RopeAppend(a); }
