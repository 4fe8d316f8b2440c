using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace NativeSpec.Sampling;

/// <summary>Philox in wide vectors: 64-bit lanes, one counter each, whose lower halves hold a 32-bit word; what stands in the upper halves does
/// not matter until <see cref="Join"/>. So a product of 32 by 32 bits needs no shuffle.</summary>
internal interface INoiseLanes<TVector>
{
    /// <summary>Lanes of a vector.</summary>
    static abstract int Count { get; }

    /// <summary>The word in every lane.</summary>
    static abstract TVector Create(uint word);

    /// <summary>first, first + 1, …</summary>
    static abstract TVector CountFrom(uint first);

    static abstract TVector Add(TVector a, TVector b);

    /// <summary>The 64-bit products of the words.</summary>
    static abstract TVector Multiply(TVector a, TVector b);

    /// <summary>The upper half of a product ⊕ word ⊕ key.</summary>
    static abstract TVector Mix(TVector product, TVector word, TVector key);

    /// <summary>low + 2³²·high.</summary>
    static abstract TVector Join(TVector low, TVector high);

    /// <summary>One bit for each 16-bit number, from the lowest of the first lane on: whether it is at least <paramref name="least"/>.</summary>
    static abstract ulong AtLeast(TVector numbers, ushort least);

    static abstract void Store(TVector numbers, Span<ulong> into);
}

/// <summary>One counter at a time, where the processor has no vectors.</summary>
internal readonly struct NoiseLane : INoiseLanes<ulong>
{
    public static int Count => 1;

    public static ulong Create(uint word) => word;

    public static ulong CountFrom(uint first) => first;

    public static ulong Add(ulong a, ulong b) => unchecked(a + b);

    public static ulong Multiply(ulong a, ulong b) => (ulong)(uint)a * (uint)b;

    public static ulong Mix(ulong product, ulong word, ulong key) => (product >> 32) ^ word ^ key;

    public static ulong Join(ulong low, ulong high) => (uint)low | (high << 32);

    public static ulong AtLeast(ulong numbers, ushort least)
    {
        var bits = 0u;
        for (var i = 0; i < 4; i++)
        {
            bits |= (ushort)(numbers >> (16 * i)) >= least ? 1u << i : 0;
        }

        return bits;
    }

    public static void Store(ulong numbers, Span<ulong> into) => into[0] = numbers;
}

/// <summary>Two counters at a time.</summary>
internal readonly struct NoiseLanes128 : INoiseLanes<Vector128<ulong>>
{
    public static int Count => 2;

    public static Vector128<ulong> Create(uint word) => Vector128.Create((ulong)word);

    public static Vector128<ulong> CountFrom(uint first) => Vector128.Create((ulong)first) + Vector128<ulong>.Indices;

    public static Vector128<ulong> Add(Vector128<ulong> a, Vector128<ulong> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<ulong> Multiply(Vector128<ulong> a, Vector128<ulong> b) =>
        Sse2.IsSupported ? Sse2.Multiply(a.AsUInt32(), b.AsUInt32())
        : AdvSimd.IsSupported ? AdvSimd.MultiplyWideningLower(AdvSimd.ExtractNarrowingLower(a), AdvSimd.ExtractNarrowingLower(b))
        : (a & Vector128.Create((ulong)uint.MaxValue)) * (b & Vector128.Create((ulong)uint.MaxValue));

    public static Vector128<ulong> Mix(Vector128<ulong> product, Vector128<ulong> word, Vector128<ulong> key) => (product >>> 32) ^ word ^ key;

    public static Vector128<ulong> Join(Vector128<ulong> low, Vector128<ulong> high) => (low & Vector128.Create((ulong)uint.MaxValue)) | (high << 32);

    public static ulong AtLeast(Vector128<ulong> numbers, ushort least) =>
        Vector128.GreaterThanOrEqual(numbers.AsUInt16(), Vector128.Create(least)).ExtractMostSignificantBits();

    public static void Store(Vector128<ulong> numbers, Span<ulong> into) => numbers.CopyTo(into);
}

/// <summary>Four counters at a time.</summary>
internal readonly struct NoiseLanes256 : INoiseLanes<Vector256<ulong>>
{
    public static int Count => 4;

    public static Vector256<ulong> Create(uint word) => Vector256.Create((ulong)word);

    public static Vector256<ulong> CountFrom(uint first) => Vector256.Create((ulong)first) + Vector256<ulong>.Indices;

    public static Vector256<ulong> Add(Vector256<ulong> a, Vector256<ulong> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ulong> Multiply(Vector256<ulong> a, Vector256<ulong> b) =>
        Avx2.IsSupported ? Avx2.Multiply(a.AsUInt32(), b.AsUInt32())
        : (a & Vector256.Create((ulong)uint.MaxValue)) * (b & Vector256.Create((ulong)uint.MaxValue));

    public static Vector256<ulong> Mix(Vector256<ulong> product, Vector256<ulong> word, Vector256<ulong> key) => (product >>> 32) ^ word ^ key;

    public static Vector256<ulong> Join(Vector256<ulong> low, Vector256<ulong> high) => (low & Vector256.Create((ulong)uint.MaxValue)) | (high << 32);

    public static ulong AtLeast(Vector256<ulong> numbers, ushort least) =>
        Vector256.GreaterThanOrEqual(numbers.AsUInt16(), Vector256.Create(least)).ExtractMostSignificantBits();

    public static void Store(Vector256<ulong> numbers, Span<ulong> into) => numbers.CopyTo(into);
}

/// <summary>Eight counters at a time.</summary>
internal readonly struct NoiseLanes512 : INoiseLanes<Vector512<ulong>>
{
    public static int Count => 8;

    public static Vector512<ulong> Create(uint word) => Vector512.Create((ulong)word);

    public static Vector512<ulong> CountFrom(uint first) => Vector512.Create((ulong)first) + Vector512<ulong>.Indices;

    public static Vector512<ulong> Add(Vector512<ulong> a, Vector512<ulong> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Multiply(Vector512<ulong> a, Vector512<ulong> b) =>
        Avx512F.IsSupported ? Avx512F.Multiply(a.AsUInt32(), b.AsUInt32())
        : (a & Vector512.Create((ulong)uint.MaxValue)) * (b & Vector512.Create((ulong)uint.MaxValue));

    public static Vector512<ulong> Mix(Vector512<ulong> product, Vector512<ulong> word, Vector512<ulong> key) => (product >>> 32) ^ word ^ key;

    public static Vector512<ulong> Join(Vector512<ulong> low, Vector512<ulong> high) => (low & Vector512.Create((ulong)uint.MaxValue)) | (high << 32);

    public static ulong AtLeast(Vector512<ulong> numbers, ushort least) =>
        Vector512.GreaterThanOrEqual(numbers.AsUInt16(), Vector512.Create(least)).ExtractMostSignificantBits();

    public static void Store(Vector512<ulong> numbers, Span<ulong> into) => numbers.CopyTo(into);
}
