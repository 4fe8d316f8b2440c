// The noise that makes the choice of a token random: a function of (seed, position, id) alone, so that no order of work and no other row changes
// what is drawn. The bits are those of the engine (src/NativeSpec/Sampling/GumbelNoise.cs has the definition): where logits are equal every back end
// chooses the same token.
#pragma once

#include "device.h"

namespace nativespec::cuda {

/// Four random words.
struct Words {
  uint32_t word[4];
};

/// Philox4x32-10 (Salmon et al., 2011) of a counter under the seed as key.
NS_DEVICE Words Philox(uint64_t seed, int64_t position, uint32_t counter, uint32_t stream) {
  uint32_t c0 = (uint32_t)position, c1 = (uint32_t)((uint64_t)position >> 32), c2 = counter, c3 = stream;
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  NS_UNROLL
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = (uint64_t)0xD2511F53u * c0, product1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)product1;
    c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)product0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

inline constexpr int kPrefixIds = 8;  // whose prefixes are one call
/// The leading 16 bits of u of eight ids, two in a word, of the group id / 8.
NS_DEVICE Words NoisePrefixes(uint64_t seed, int64_t position, int group) { return Philox(seed, position, (uint32_t)group, 1); }
NS_DEVICE uint32_t Prefix(const Words& words, int in_group) { return words.word[in_group / 2] >> in_group % 2 * 16 & 0xffff; }

/// ln x of a positive normal number: a fixed sequence of roundings.
NS_DEVICE double Log(double x) {
  constexpr int64_t kSqrtHalf = 0x3FE6A09E667F3BCD;
  constexpr int kMantissaBits = 52;
  const int64_t bits = (int64_t)BitsOf(x), k = (bits - kSqrtHalf) >> kMantissaBits;
  const double m = Bits((uint64_t)(bits - (int64_t)((uint64_t)k << kMantissaBits)));
  const double s = Divide(Add(m, -1.0), Add(m, 1.0)), z = Multiply(s, s);
  double p = 1.0 / 23;
  NS_UNROLL
  for (int odd = 21; odd >= 3; odd -= 2) {
    p = Add(Multiply(p, z), 1.0 / odd);
  }
  const double ln_m = Multiply(2.0, Add(s, Multiply(Multiply(s, z), p)));
  return Add(Multiply((double)k, 6.93147180369123816490e-01), Add(ln_m, Multiply((double)k, 1.90821492927058770002e-10)));
}

/// −ln(−ln u) with u = (bits + ½) · 2^-48.
NS_DEVICE double NoiseAt(uint64_t bits) { return -Log(-Log(Multiply(Add((double)bits, 0.5), 1.0 / (double)(1LL << 48)))); }

/// The noise of an id whose prefix is known.
NS_DEVICE double GumbelNoise(uint64_t seed, int64_t position, int id, uint32_t prefix) {
  const Words tail = Philox(seed, position, (uint32_t)id / 4, 2);
  return NoiseAt((uint64_t)prefix << 32 | tail.word[id % 4]);
}

/// No noise with such a prefix is larger: −ln u ≥ 1 − u ≥ (65535 − prefix) / 65536, rounded down to a power of 2.
NS_DEVICE float NoiseBound(uint32_t prefix) {
  uint32_t rest = 65535 - prefix;
  int bits = 0;
  NS_UNROLL
  for (int step = 16; step > 0; step /= 2) {
    if (rest >> step != 0) {
      rest >>= step;
      bits += step;
    }
  }
  bits += rest != 0 ? 1 : 0;
  return bits == 0 ? 34 : Add(Multiply((float)(17 - bits), 0.69314724f), 1e-5f);
}

}  // namespace nativespec::cuda
