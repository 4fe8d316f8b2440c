using System.Numerics;

namespace NativeSpec.Sampling;

/// <summary>Gumbel noise without a state: a number for every (seed, absolute position, token id). The arg-max of log pᵢ + gᵢ with independent
/// gᵢ = −ln(−ln uᵢ) has the distribution p (Gumbel 1954; Maddison, Tarlow, Minka, "A* Sampling", 2014), so choosing needs no running sum and
/// any device that splits the vocabulary in any way takes the same token.</summary>
/// <remarks>
/// <para><b>The bits of u.</b> Two numbers of Philox4x32-10 (see <see cref="CounterRandom"/>; words are 32 bits, position is 64) under the
/// seed as key, in streams that nothing else uses:
/// prefix (16 bits) = half h mod 2, low one first, of word h / 2 of philox(position low, position high, id / 8, 1), with h = id mod 8;
/// tail (32 bits) = word id mod 4 of philox(position low, position high, id / 4, 2);
/// u = (2³²·prefix + tail + ½) · 2⁻⁴⁸.
/// One call gives the prefixes of eight ids, and the prefix alone rules nearly all ids out, so tails are seldom computed. g lies between −3.6
/// and 33.97: a token less likely than e⁻³⁸ times the most likely one is never chosen.</para>
/// <para><b>The same bits everywhere.</b> u is exact in float64, and <see cref="Log"/> is a fixed sequence of float64 additions, multiplications
/// and one division, each rounded to nearest and never contracted to a fused multiply-add; a CUDA kernel repeats it with __dadd_rn,
/// __dmul_rn and __ddiv_rn.</para>
/// </remarks>
internal static class GumbelNoise
{
    /// <summary>Ids whose prefixes are one call of the generator.</summary>
    public const int IdsOfPrefixCall = 8;

    /// <summary>Counter word 3 of prefixes.</summary>
    public const uint PrefixStream = 1;

    /// <summary>No −ln u is as small: u is at most 1 − 2⁻⁴⁹.</summary>
    public const double LeastExponential = 1.0 / (1L << 49);

    private const uint TailStream = 2;
    private const int IdsOfTailCall = 4;
    private const int TailBits = 32;

    /// <summary>[bit length of 65535 − prefix] for <see cref="BoundOf"/>: −ln u ≥ 1 − u ≥ (65535 − prefix) / 65536, rounded down to a power of 2.</summary>
    private static readonly double[] Bounds = [.. Enumerable.Range(0, 17).Select(bits => bits == 0 ? 34 : ((17 - bits) * Math.Log(2)) + 1e-9)];

    /// <summary>The noise of an id.</summary>
    /// <param name="seed">The request's seed.</param>
    /// <param name="position">Absolute position of the token to choose.</param>
    /// <param name="id">The token.</param>
    public static double Of(ulong seed, long position, int id) => Of(seed, position, id, PrefixOf(seed, position, id));

    /// <summary>The noise of an id whose prefix is known.</summary>
    public static double Of(ulong seed, long position, int id, ushort prefix)
        => At(((ulong)prefix << TailBits) | Word(Call(seed, position, id / IdsOfTailCall, TailStream), id % IdsOfTailCall));

    /// <summary>The leading 16 bits of an id's u.</summary>
    public static ushort PrefixOf(ulong seed, long position, int id)
    {
        var half = id % IdsOfPrefixCall;
        return (ushort)(Word(Call(seed, position, id / IdsOfPrefixCall, PrefixStream), half / 2) >> (16 * (half % 2)));
    }

    /// <summary>No noise with such a prefix is larger.</summary>
    public static double BoundOf(ushort prefix) => Bounds[32 - BitOperations.LeadingZeroCount((uint)(ushort.MaxValue - prefix))];

    /// <summary>−ln(−ln u) with u = (bits + ½) · 2⁻⁴⁸.</summary>
    public static double At(ulong bits) => -Log(-Log((bits + 0.5) * (1.0 / (1L << 48))));

    /// <summary>ln x of a positive normal number, with a relative error below 10⁻¹⁵, also close to 1.</summary>
    /// <remarks>x = 2ᵏ·m with √½ ≤ m &lt; √2 and s = (m − 1) / (m + 1), where m − 1 is exact: ln x = k·ln 2 + 2·(s + s³/3 + … + s²³/23). |s| is at most
    /// 0.1716, so what the series leaves out is below 10⁻¹⁹ of it. ln 2 is taken in two parts, of which k times the first is exact.</remarks>
    public static double Log(double x)
    {
        const long SqrtHalf = 0x3FE6A09E667F3BCD;
        const int MantissaBits = 52;
        const double Ln2High = 6.93147180369123816490e-01; // its last 20 bits are 0
        const double Ln2Low = 1.90821492927058770002e-10;
        var bits = BitConverter.DoubleToInt64Bits(x);
        var k = (bits - SqrtHalf) >> MantissaBits;
        var m = BitConverter.Int64BitsToDouble(bits - (k << MantissaBits));
        var s = (m - 1) / (m + 1);
        var z = s * s;
        var p = 1.0 / 23;
        p = (p * z) + (1.0 / 21);
        p = (p * z) + (1.0 / 19);
        p = (p * z) + (1.0 / 17);
        p = (p * z) + (1.0 / 15);
        p = (p * z) + (1.0 / 13);
        p = (p * z) + (1.0 / 11);
        p = (p * z) + (1.0 / 9);
        p = (p * z) + (1.0 / 7);
        p = (p * z) + (1.0 / 5);
        p = (p * z) + (1.0 / 3);
        var lnM = 2 * (s + (s * z * p));
        return (k * Ln2High) + (lnM + (k * Ln2Low));
    }

    private static (uint, uint, uint, uint) Call(ulong seed, long position, int counter, uint stream)
        => CounterRandom.Philox((uint)position, (uint)((ulong)position >> 32), (uint)counter, stream, (uint)seed, (uint)(seed >> 32));

    private static uint Word((uint First, uint Second, uint Third, uint Fourth) words, int index)
        => index switch { 0 => words.First, 1 => words.Second, 2 => words.Third, _ => words.Fourth };
}
