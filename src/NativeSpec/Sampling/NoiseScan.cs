using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>An id of a block, and the prefix of its noise (<see cref="GumbelNoise.PrefixOf"/>).</summary>
internal readonly record struct NoisePrefix(ushort InBlock, ushort Prefix);

/// <summary>Finds the ids of a block whose noise is large, by the prefixes alone.</summary>
internal static class NoiseScan
{
    /// <summary>Ids of a block.</summary>
    public const int BlockLength = 256;

    /// <summary>A scan by vectors of one width; all give the same answer.</summary>
    public delegate int Width(ulong seed, long position, int block, ushort least, Span<NoisePrefix> found);

    /// <summary>The widest vectors of this processor.</summary>
    public static Width Widest { get; } =
        Vector512.IsHardwareAccelerated ? Find<NoiseLanes512, Vector512<ulong>>
        : Vector256.IsHardwareAccelerated ? Find<NoiseLanes256, Vector256<ulong>>
        : Vector128.IsHardwareAccelerated ? Find<NoiseLanes128, Vector128<ulong>>
        : Find<NoiseLane, ulong>;

    /// <summary>Writes the ids of a block with a prefix of at least <paramref name="least"/>, in any order.</summary>
    /// <param name="seed">The request's seed.</param>
    /// <param name="position">Absolute position of the token to choose.</param>
    /// <param name="block">The block: ids from <see cref="BlockLength"/> · block on.</param>
    /// <param name="least">The bound.</param>
    /// <param name="found">[<see cref="BlockLength"/>] receives them.</param>
    /// <returns>How many there are.</returns>
    public static int Find<TLanes, TVector>(ulong seed, long position, int block, ushort least, Span<NoisePrefix> found)
        where TLanes : INoiseLanes<TVector>
    {
        const int Calls = BlockLength / GumbelNoise.IdsOfPrefixCall;
        const int Half = GumbelNoise.IdsOfPrefixCall / 2;
        var count = 0;
        for (var call = 0; call < Calls; call += TLanes.Count)
        {
            Philox<TLanes, TVector>(seed, position, (uint)((block * Calls) + call), out var lower, out var upper);
            var (inLower, inUpper) = (TLanes.AtLeast(lower, least), TLanes.AtLeast(upper, least));
            if ((inLower | inUpper) != 0)
            {
                var first = call * GumbelNoise.IdsOfPrefixCall;
                count += Collect<TLanes, TVector>(lower, inLower, first, found[count..]);
                count += Collect<TLanes, TVector>(upper, inUpper, first + Half, found[count..]);
            }
        }

        return count;
    }

    /// <summary>One call of the generator per lane: words 0 and 1, words 2 and 3, as 16-bit numbers in the order of the ids.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Philox<TLanes, TVector>(ulong seed, long position, uint counter, out TVector lower, out TVector upper)
        where TLanes : INoiseLanes<TVector>
    {
        var (c0, c1) = (TLanes.Create((uint)position), TLanes.Create((uint)((ulong)position >> 32)));
        var (c2, c3) = (TLanes.CountFrom(counter), TLanes.Create(GumbelNoise.PrefixStream));
        var (k0, k1) = (TLanes.Create((uint)seed), TLanes.Create((uint)(seed >> 32)));
        var (m0, m1) = (TLanes.Create(CounterRandom.Multiplier0), TLanes.Create(CounterRandom.Multiplier1));
        var (w0, w1) = (TLanes.Create(CounterRandom.Weyl0), TLanes.Create(CounterRandom.Weyl1));
        for (var round = 0; round < CounterRandom.Rounds; round++)
        {
            var (product0, product1) = (TLanes.Multiply(c0, m0), TLanes.Multiply(c2, m1));
            (c0, c1) = (TLanes.Mix(product1, c1, k0), product1);
            (c2, c3) = (TLanes.Mix(product0, c3, k1), product0);
            (k0, k1) = (TLanes.Add(k0, w0), TLanes.Add(k1, w1));
        }

        lower = TLanes.Join(c0, c1);
        upper = TLanes.Join(c2, c3);
    }

    /// <summary>Writes the numbers whose bit is set: four of each lane, for ids that are consecutive; the next lane's come eight ids later.</summary>
    private static int Collect<TLanes, TVector>(TVector numbers, ulong bits, int first, Span<NoisePrefix> found)
        where TLanes : INoiseLanes<TVector>
    {
        const int PerLane = 4;
        Span<ulong> lanes = stackalloc ulong[8];
        TLanes.Store(numbers, lanes);
        var count = 0;
        for (; bits != 0; bits &= bits - 1)
        {
            var bit = BitOperations.TrailingZeroCount(bits);
            var (lane, place) = (bit / PerLane, bit % PerLane);
            found[count++] = new NoisePrefix(
                (ushort)(first + (lane * GumbelNoise.IdsOfPrefixCall) + place), (ushort)(lanes[lane] >> (16 * place)));
        }

        return count;
    }
}
