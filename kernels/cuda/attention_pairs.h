// Sixteen (row, query head) pairs of one KV head: their scores, maxima, probabilities and sums in the registers of a warp.
#pragma once

#include "attention_steps.h"
#include "sums.h"

namespace nativespec::cuda {

/// Sixteen pairs and what is common to both ways.
template <class Shape>
struct Pairs {
  const TreeAttentionArguments& a;
  const OpenItem& item;
  const int kv_head, group, first, count;  // pairs first to first + 15, as far as the item has so many
  const uint8_t* queries;
  int own[2];  // positions of this lane's rows g and g + 8; −1 past the item
  float m[2], sum[4];

  NS_DEVICE Pairs(const TreeAttentionArguments& arguments, const OpenItem& its, int head, int first_pair, const uint8_t* place)
      : a(arguments), item(its), kv_head(head), group(a.heads / a.kv_heads), first(first_pair), count(item.rows * group), queries(place) {
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      own[h] = PairOf(h) < count ? a.positions[Row(PairOf(h))] : -1;
      m[h] = Bits(0xff800000u);
    }
    sum[0] = sum[1] = sum[2] = sum[3] = 0;
  }

  NS_DEVICE int PairOf(int h) const { return first + h * 8 + Lane() / 4; }
  NS_DEVICE int Row(int pair) const { return item.first + pair / group; }

  /// Copies the queries to shared memory, by so many threads of which this is one.
  NS_DEVICE void LoadQueries(uint8_t* place, int thread, int threads) const {
    constexpr int kPieces = Shape::kRowPieces;
    for (int i = thread; i < 16 * kPieces; i += threads) {
      const int r = i / kPieces, piece = i % kPieces, pair = first + r;
      Vector v = {0, 0, 0, 0};
      if (pair < count) {
        v = ((const Vector*)a.q)[((int64_t)Row(pair) * a.heads + kv_head * group + pair % group) * kPieces + piece];
      }
      *(Vector*)(place + Shape::Piece(r, piece)) = v;
    }
  }

  /// Scores of Groups groups of 16 keys, one behind the other.
  template <int Groups>
  NS_DEVICE void Score(float (&s)[Groups * 2][4], const uint8_t* keys) const {
    const int r = Lane() & 7, b3 = Lane() >> 3 & 1, b4 = Lane() >> 4;
    NS_UNROLL
    for (int k = 0; k < Shape::kWidth / 16; ++k) {
      uint32_t q[Shape::kParts][4];
      NS_UNROLL
      for (int part = 0; part < Shape::kParts; ++part) {
        LoadMatrices(q[part], queries + Shape::Piece(Lane() & 15, part * Shape::kPieces + k * 2 + b4));
      }
      NS_UNROLL
      for (int n = 0; n < Groups; ++n) {
        NS_UNROLL
        for (int part = 0; part < Shape::kParts; ++part) {
          uint32_t key[4];
          LoadMatrices(key, keys + n * Shape::kSixteen + Shape::Piece(r + b4 * 8, part * Shape::kPieces + k * 2 + b3));
          NS_UNROLL
          for (int of_q = 0; of_q + part < Shape::kParts; ++of_q) {
            MatrixMultiplyAdd<true>(s[n * 2], q[of_q], key[0], key[1]);
            MatrixMultiplyAdd<true>(s[n * 2 + 1], q[of_q], key[2], key[3]);
          }
        }
      }
    }
  }

  /// Scales and masks scores of keys from a position on; the highest of each row, over the four lanes that hold it.
  template <int Groups>
  NS_DEVICE void Mask(float (&s)[Groups * 2][4], float (&highest)[2], int position) const {
    const bool masked = position + Groups * 16 - 1 > item.sees_all || a.window > 0;
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      highest[h] = Bits(0xff800000u);
      NS_UNROLL
      for (int n = 0; n < Groups * 2; ++n) {
        NS_UNROLL
        for (int e = 0; e < 2; ++e) {
          float& score = s[n][h * 2 + e];
          score = Multiply(score, a.scale);
          const int key = position + n * 8 + Lane() % 4 * 2 + e;
          if (masked && (key > own[h] || (a.window > 0 && key <= own[h] - a.window))) {
            score = Bits(0xff800000u);
          }
          highest[h] = Maximum(highest[h], score);
        }
      }
      highest[h] = Maximum(highest[h], ShuffleXor(highest[h], 1));
      highest[h] = Maximum(highest[h], ShuffleXor(highest[h], 2));
    }
  }

  /// The new maxima: minus what is taken from scores, and the factors of what was summed. True where a factor of this lane is not 1.
  NS_DEVICE bool Advance(const float (&highest)[2], float (&minus_base)[2], float (&factor)[2]) {
    bool rescale = false;
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      const float next = Maximum(m[h], highest[h]);
      minus_base[h] = next == Bits(0xff800000u) ? 0 : -next;
      factor[h] = m[h] == next ? 1 : Exp2(Add(m[h], minus_base[h]));
      rescale = rescale || m[h] != next;
      m[h] = next;
    }
    return rescale;
  }

  /// Probabilities of sixteen keys as left operands.
  NS_DEVICE void Probabilities(uint32_t (&p)[Shape::kParts][4], const float (&even)[4], const float (&odd)[4], const float (&minus_base)[2]) const {
    NS_UNROLL
    for (int e = 0; e < 4; ++e) {
      const float(&s)[4] = e < 2 ? even : odd;
      const int h = e % 2;
      float low = Exp2(Add(s[h * 2], minus_base[h])), high = Exp2(Add(s[h * 2 + 1], minus_base[h]));
      NS_UNROLL
      for (int part = 0; part < Shape::kParts; ++part) {
        p[part][e] = PackBF16(low, high);
        TakeBF16(low, high, p[part][e]);
      }
    }
  }

  template <int Tiles>
  NS_DEVICE void Rescale(float (&o)[Tiles][4], const float (&factor)[2]) {
    NS_UNROLL
    for (int e = 0; e < 4; ++e) {
      sum[e] = Multiply(sum[e], factor[e / 2]);
      NS_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        o[n][e] = Multiply(o[n][e], factor[e / 2]);
      }
    }
  }

  /// Adds sixteen keys' weighted values, of the numbers of a head from piece on, and the sum of their weights.
  template <int Tiles>
  NS_DEVICE void Weigh(float (&o)[Tiles][4], const uint32_t (&p)[Shape::kParts][4], const uint8_t* values, int piece) {
    constexpr uint32_t kOnes = 0x3f803f80;
    const int r = Lane() & 7, b3 = Lane() >> 3 & 1, b4 = Lane() >> 4;
    NS_UNROLL
    for (int part = 0; part < Shape::kParts; ++part) {
      MatrixMultiplyAdd<true>(sum, p[part], kOnes, kOnes);
    }
    NS_UNROLL
    for (int n = 0; n < Tiles / 2; ++n) {
      NS_UNROLL
      for (int part = 0; part < Shape::kParts; ++part) {
        uint32_t v[4];
        LoadMatricesTransposed(v, values + Shape::Piece(r + b3 * 8, part * Shape::kPieces + piece + n * 2 + b4));
        NS_UNROLL
        for (int of_p = 0; of_p + part < Shape::kParts; ++of_p) {
          MatrixMultiplyAdd<true>(o[n * 2], p[of_p], v[0], v[1]);
          MatrixMultiplyAdd<true>(o[n * 2 + 1], p[of_p], v[2], v[3]);
        }
      }
    }
  }

  template <int Tiles>
  NS_DEVICE void Store(const float (&o)[Tiles][4], int piece) const {
    NS_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int pair = PairOf(h);
      if (pair < count) {
        const int64_t at = ((int64_t)item.unit * a.bucket + Row(pair)) * a.heads + kv_head * group + pair % group;
        if (piece == 0 && Lane() % 4 == 0) {
          a.maxima_sums[at] = {m[h], sum[h * 2]};
        }
        NS_UNROLL
        for (int n = 0; n < Tiles; ++n) {
          *(Pair*)(a.weighted + at * Shape::kWidth + (piece + n) * 8 + Lane() % 4 * 2) = {o[n][h * 2], o[n][h * 2 + 1]};
        }
      }
    }
  }
};

}  // namespace nativespec::cuda
