namespace NativeSpec.Sampling;

/// <summary>Random numbers without a state: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
/// SC 2011), a bijection of a 128-bit counter under a 64-bit key, ten rounds.</summary>
/// <remarks>These numbers accept drafted tokens, draw drafts and draw from residuals. A number depends on (seed, absolute position, draw)
/// alone. How many numbers were drawn before, by whom and in which order does not matter, so a text is the same in any batch, and when it
/// is resumed.</remarks>
internal static class CounterRandom
{
    internal const int Rounds = 10;
    internal const uint Multiplier0 = 0xD2511F53;
    internal const uint Multiplier1 = 0xCD9E8D57;
    internal const uint Weyl0 = 0x9E3779B9;
    internal const uint Weyl1 = 0xBB67AE85;

    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    /// <param name="seed">The request's seed: the key.</param>
    /// <param name="position">Absolute position of the token to choose: counter words 0 and 1.</param>
    /// <param name="draw">Which of the position's numbers: counter word 2. Word 3 is 0; <see cref="GumbelNoise"/> has others there.</param>
    public static double Uniform(ulong seed, long position, uint draw)
    {
        var (word0, word1, _, _) = Philox((uint)position, (uint)((ulong)position >> 32), draw, 0, (uint)seed, (uint)(seed >> 32));
        var bits = ((ulong)word1 << 32) | word0;
        return (bits >> 11) * (1.0 / (1UL << 53));
    }

    /// <summary>The four words at counter (c0, c1, c2, c3) under key (k0, k1).</summary>
    internal static (uint C0, uint C1, uint C2, uint C3) Philox(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (var round = 0; round < Rounds; round++)
        {
            var product0 = (ulong)Multiplier0 * c0;
            var product1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(product1 >> 32) ^ c1 ^ k0, (uint)product1, (uint)(product0 >> 32) ^ c3 ^ k1, (uint)product0);
            k0 = unchecked(k0 + Weyl0);
            k1 = unchecked(k1 + Weyl1);
        }

        return (c0, c1, c2, c3);
    }
}
