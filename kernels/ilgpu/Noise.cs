using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>The engine's Gumbel noise, bit for bit: a number for every (seed, position, id). src/NativeSpec/Sampling/GumbelNoise.cs has the definition; where logits are
/// equal, every back end draws the same token.</summary>
internal static class Noise
{
    /// <summary>Ids whose prefixes are one call.</summary>
    public const int PrefixIds = 8;

    private const double LeastStep = 1.0 / (1L << 48);

    /// <summary>The leading 16 bits of u of eight ids, two in a word, of the group id / 8.</summary>
    public static Word4 Prefixes(ulong seed, long position, int group) => Philox(seed, position, (uint)group, 1);

    /// <summary>The prefix of an id of a group.</summary>
    public static uint Prefix(Word4 words, int inGroup) => (Word(words, inGroup / 2) >> (inGroup % 2 * 16)) & 0xFFFF;

    /// <summary>The noise of an id whose prefix is known.</summary>
    public static double Of<TArithmetic>(ulong seed, long position, int id, uint prefix)
        where TArithmetic : struct, IArithmetic
    {
        var tail = Word(Philox(seed, position, (uint)(id / 4), 2), id % 4);
        var u = TArithmetic.Multiply(TArithmetic.Add(((ulong)prefix << 32) | tail, 0.5), LeastStep);
        return -Log<TArithmetic>(-Log<TArithmetic>(u));
    }

    /// <summary>No noise with such a prefix is larger: −ln u ≥ 1 − u ≥ (65535 − prefix) / 65536, rounded down to a power of 2.</summary>
    public static float BoundOf(uint prefix)
    {
        var rest = 65535 - prefix;
        var bits = 0;
        while (rest != 0)
        {
            rest >>= 1;
            bits++;
        }

        return bits == 0 ? 34f : ((17 - bits) * 0.69314724f) + 1e-5f;
    }

    /// <summary>ln x of a positive normal number: a fixed sequence of roundings.</summary>
    public static double Log<TArithmetic>(double x)
        where TArithmetic : struct, IArithmetic
    {
        const long SqrtHalf = 0x3FE6A09E667F3BCD;
        var bits = (long)Interop.FloatAsInt(x);
        var k = (bits - SqrtHalf) >> 52;
        var m = Interop.IntAsFloat((ulong)(bits - (k << 52)));
        var s = TArithmetic.Add(m, -1.0) / TArithmetic.Add(m, 1.0);
        var z = TArithmetic.Multiply(s, s);
        var p = 1.0 / 23;
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 21);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 19);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 17);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 15);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 13);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 11);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 9);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 7);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 5);
        p = TArithmetic.Add(TArithmetic.Multiply(p, z), 1.0 / 3);
        var logOfM = TArithmetic.Multiply(2.0, TArithmetic.Add(s, TArithmetic.Multiply(TArithmetic.Multiply(s, z), p)));
        return TArithmetic.Add(TArithmetic.Multiply(k, 6.93147180369123816490e-01), TArithmetic.Add(logOfM, TArithmetic.Multiply(k, 1.90821492927058770002e-10)));
    }

    /// <summary>Philox4x32-10 (Salmon et al., 2011) of a counter under the seed as key.</summary>
    private static Word4 Philox(ulong seed, long position, uint counter, uint stream)
    {
        var (c0, c1, c2, c3) = ((uint)position, (uint)((ulong)position >> 32), counter, stream);
        var (k0, k1) = ((uint)seed, (uint)(seed >> 32));
        for (var round = 0; round < 10; round++)
        {
            var product0 = (ulong)0xD2511F53u * c0;
            var product1 = (ulong)0xCD9E8D57u * c2;
            c0 = (uint)(product1 >> 32) ^ c1 ^ k0;
            c1 = (uint)product1;
            c2 = (uint)(product0 >> 32) ^ c3 ^ k1;
            c3 = (uint)product0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }

        return new Word4 { X = c0, Y = c1, Z = c2, W = c3 };
    }

    private static uint Word(Word4 words, int index) => index == 0 ? words.X : index == 1 ? words.Y : index == 2 ? words.Z : words.W;
}
