using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace NativeSpec.Backends.Cpu;

/// <summary>A vector width, so that every loop is written once. The scalar version is the width-1 instance of the same text.</summary>
/// <remarks>Multiply-add is named explicitly, never left to an "estimate": the same operation must give the same bits in every
/// compilation of a method, or batch invariance would hold only between equally warm calls.</remarks>
internal interface ISimd<TVector>
    where TVector : unmanaged
{
    static abstract int Width { get; }

    /// <summary>True where 16 sums and their operands fit the register file.</summary>
    static abstract bool HasManyRegisters { get; }

    static abstract unsafe TVector Load(float* source);

    static abstract unsafe void Store(TVector value, float* target);

    static abstract unsafe TVector LoadBF16(ushort* source);

    static abstract unsafe TVector LoadF16(ushort* source);

    static abstract TVector Create(float value);

    static abstract TVector Add(TVector a, TVector b);

    static abstract TVector Subtract(TVector a, TVector b);

    static abstract TVector Multiply(TVector a, TVector b);

    static abstract TVector Divide(TVector a, TVector b);

    /// <summary>The larger; <paramref name="a"/> where it is not a number, so that a broken weight is seen in the logits.</summary>
    static abstract TVector Max(TVector a, TVector b);

    /// <summary>The smaller; <paramref name="a"/> where it is not a number.</summary>
    static abstract TVector Min(TVector a, TVector b);

    /// <summary>a·b + c, in one rounding where the hardware has it.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);

    static abstract TVector Round(TVector value);

    /// <summary>2^n for whole n in [−126, 127].</summary>
    static abstract TVector PowerOfTwo(TVector n);

    /// <summary>The sum of the lanes, always in the same order.</summary>
    static abstract float Sum(TVector value);
}

/// <summary>Functions made of the primitives.</summary>
internal static class SimdMath
{
    /// <summary>e^x to about 2 units in the last place for x in [−87.3, 88]; beyond, the value at the nearer end (1.2e−38 or 1.7e38).</summary>
    /// <remarks>x = n·ln 2 + r with |r| ≤ ln 2 / 2, and e^r by its Taylor polynomial of degree 7 (error below 2^-27 there).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Exp<TSimd, TVector>(TVector x)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var clamped = TSimd.Min(TSimd.Max(x, TSimd.Create(-87.3f)), TSimd.Create(88f));
        var n = TSimd.Round(TSimd.Multiply(clamped, TSimd.Create(1.44269504f)));
        // ln 2 in two parts, the first short enough that n times it is exact.
        var r = TSimd.MultiplyAdd(n, TSimd.Create(-0.693359375f), clamped);
        r = TSimd.MultiplyAdd(n, TSimd.Create(2.12194440e-4f), r);
        var p = TSimd.Create(1f / 5040);
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 720));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 120));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 24));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f / 6));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(0.5f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f));
        p = TSimd.MultiplyAdd(p, r, TSimd.Create(1f));
        return TSimd.Multiply(p, TSimd.PowerOfTwo(n));
    }
}

internal readonly struct SimdScalar : ISimd<float>
{
    public static int Width => 1;

    public static bool HasManyRegisters => false;

    public static unsafe float Load(float* source) => *source;

    public static unsafe void Store(float value, float* target) => *target = value;

    public static unsafe float LoadBF16(ushort* source) => BitConverter.UInt32BitsToSingle((uint)*source << 16);

    public static unsafe float LoadF16(ushort* source) => (float)BitConverter.UInt16BitsToHalf(*source);

    public static float Create(float value) => value;

    public static float Add(float a, float b) => a + b;

    public static float Subtract(float a, float b) => a - b;

    public static float Multiply(float a, float b) => a * b;

    public static float Divide(float a, float b) => a / b;

    public static float Max(float a, float b) => a < b ? b : a;

    public static float Min(float a, float b) => a > b ? b : a;

    // Two roundings: without vectors there is often no fused instruction, and its emulation is a hundred times slower.
    public static float MultiplyAdd(float a, float b, float c) => (a * b) + c;

    public static float Round(float value) => MathF.Round(value);

    public static float PowerOfTwo(float n) => BitConverter.Int32BitsToSingle(((int)n + 127) << 23);

    public static float Sum(float value) => value;
}

internal readonly struct Simd128 : ISimd<Vector128<float>>
{
    public static int Width => 4;

    public static bool HasManyRegisters => AdvSimd.IsSupported;

    public static unsafe Vector128<float> Load(float* source) => Vector128.Load(source);

    public static unsafe void Store(Vector128<float> value, float* target) => value.Store(target);

    public static unsafe Vector128<float> LoadBF16(ushort* source)
        => (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16()) << 16).AsSingle();

    public static unsafe Vector128<float> LoadF16(ushort* source)
    {
        var half = Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16());
        var magnitude = half & Vector128.Create(0x7FFFu);
        // Shifting the magnitude to a float's place leaves the exponent 112 too small, which one multiplication mends (subnormals too).
        var value = (magnitude << 13).AsSingle() * Vector128.Create(5.192296858534828e33f);
        var special = Vector128.GreaterThan(magnitude, Vector128.Create(0x7BFFu)) & Vector128.Create(0x7F800000u);
        return (value.AsUInt32() | special | ((half & Vector128.Create(0x8000u)) << 16)).AsSingle();
    }

    public static Vector128<float> Create(float value) => Vector128.Create(value);

    public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;

    public static Vector128<float> Subtract(Vector128<float> a, Vector128<float> b) => a - b;

    public static Vector128<float> Multiply(Vector128<float> a, Vector128<float> b) => a * b;

    public static Vector128<float> Divide(Vector128<float> a, Vector128<float> b) => a / b;

    public static Vector128<float> Max(Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.LessThan(a, b), b, a);

    public static Vector128<float> Min(Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.GreaterThan(a, b), b, a);

    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c)
        => Fma.IsSupported ? Fma.MultiplyAdd(a, b, c)
        : AdvSimd.IsSupported ? AdvSimd.FusedMultiplyAdd(c, a, b)
        : (a * b) + c;

    public static Vector128<float> Round(Vector128<float> value) => Vector128.Round(value);

    public static Vector128<float> PowerOfTwo(Vector128<float> n)
        => ((Vector128.ConvertToInt32(n) + Vector128.Create(127)) << 23).AsSingle();

    public static float Sum(Vector128<float> value) => (value[0] + value[2]) + (value[1] + value[3]);
}

internal readonly struct Simd256 : ISimd<Vector256<float>>
{
    public static int Width => 8;

    public static bool HasManyRegisters => false;

    public static unsafe Vector256<float> Load(float* source) => Vector256.Load(source);

    public static unsafe void Store(Vector256<float> value, float* target) => value.Store(target);

    public static unsafe Vector256<float> LoadBF16(ushort* source)
        => (Widen(source) << 16).AsSingle();

    public static unsafe Vector256<float> LoadF16(ushort* source)
    {
        var half = Widen(source);
        var magnitude = half & Vector256.Create(0x7FFFu);
        var value = (magnitude << 13).AsSingle() * Vector256.Create(5.192296858534828e33f);
        var special = Vector256.GreaterThan(magnitude, Vector256.Create(0x7BFFu)) & Vector256.Create(0x7F800000u);
        return (value.AsUInt32() | special | ((half & Vector256.Create(0x8000u)) << 16)).AsSingle();
    }

    public static Vector256<float> Create(float value) => Vector256.Create(value);

    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    public static Vector256<float> Divide(Vector256<float> a, Vector256<float> b) => a / b;

    public static Vector256<float> Max(Vector256<float> a, Vector256<float> b) => Vector256.ConditionalSelect(Vector256.LessThan(a, b), b, a);

    public static Vector256<float> Min(Vector256<float> a, Vector256<float> b) => Vector256.ConditionalSelect(Vector256.GreaterThan(a, b), b, a);

    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c)
        => Fma.IsSupported ? Fma.MultiplyAdd(a, b, c) : (a * b) + c;

    public static Vector256<float> Round(Vector256<float> value) => Vector256.Round(value);

    public static Vector256<float> PowerOfTwo(Vector256<float> n)
        => ((Vector256.ConvertToInt32(n) + Vector256.Create(127)) << 23).AsSingle();

    public static float Sum(Vector256<float> value) => Simd128.Sum(value.GetLower() + value.GetUpper());

    private static unsafe Vector256<uint> Widen(ushort* source)
    {
        var narrow = Vector128.Load(source);
        return Avx2.IsSupported
            ? Avx2.ConvertToVector256Int32(narrow).AsUInt32()
            : Vector256.Create(Vector128.WidenLower(narrow), Vector128.WidenUpper(narrow));
    }
}

internal readonly struct Simd512 : ISimd<Vector512<float>>
{
    public static int Width => 16;

    public static bool HasManyRegisters => true;

    public static unsafe Vector512<float> Load(float* source) => Vector512.Load(source);

    public static unsafe void Store(Vector512<float> value, float* target) => value.Store(target);

    public static unsafe Vector512<float> LoadBF16(ushort* source) => (Widen(source) << 16).AsSingle();

    public static unsafe Vector512<float> LoadF16(ushort* source)
    {
        var half = Widen(source);
        var magnitude = half & Vector512.Create(0x7FFFu);
        var value = (magnitude << 13).AsSingle() * Vector512.Create(5.192296858534828e33f);
        var special = Vector512.GreaterThan(magnitude, Vector512.Create(0x7BFFu)) & Vector512.Create(0x7F800000u);
        return (value.AsUInt32() | special | ((half & Vector512.Create(0x8000u)) << 16)).AsSingle();
    }

    public static Vector512<float> Create(float value) => Vector512.Create(value);

    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    public static Vector512<float> Divide(Vector512<float> a, Vector512<float> b) => a / b;

    public static Vector512<float> Max(Vector512<float> a, Vector512<float> b) => Vector512.ConditionalSelect(Vector512.LessThan(a, b), b, a);

    public static Vector512<float> Min(Vector512<float> a, Vector512<float> b) => Vector512.ConditionalSelect(Vector512.GreaterThan(a, b), b, a);

    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c)
        => Avx512F.IsSupported ? Avx512F.FusedMultiplyAdd(a, b, c) : (a * b) + c;

    public static Vector512<float> Round(Vector512<float> value) => Vector512.Round(value);

    public static Vector512<float> PowerOfTwo(Vector512<float> n)
        => ((Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23).AsSingle();

    public static float Sum(Vector512<float> value) => Simd256.Sum(value.GetLower() + value.GetUpper());

    private static unsafe Vector512<uint> Widen(ushort* source)
    {
        var narrow = Vector256.Load(source);
        return Avx512F.IsSupported
            ? Avx512F.ConvertToVector512UInt32(narrow)
            : Vector512.Create(Vector256.WidenLower(narrow), Vector256.WidenUpper(narrow));
    }
}
