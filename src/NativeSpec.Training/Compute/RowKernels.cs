using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Backends.Cpu;

namespace NativeSpec.Training.Compute;

/// <summary>The two sums of which attention and its gradient are made, for two rows at once, over rows whose length is a multiple of
/// <see cref="Block"/>. For a single row, let both be the same one.</summary>
internal static unsafe class RowKernels
{
    /// <summary>Four of the widest vectors; lengths are multiples of it, so that no loop has a rest.</summary>
    public const int Block = 64;

    private const int Sums = 4; // vectors of a row, or channels, that are summed side by side

    /// <summary>The least multiple of <see cref="Block"/> that is not below a length.</summary>
    public static int Pad(int length) => (length + Block - 1) / Block * Block;

    /// <summary>y[r·yRow + j] = Σ_c a[r·aRow + c·aStride] · rows[c·rowStride + j] for r in {0, 1}, c from 0 to count − 1; added to y when
    /// <paramref name="accumulate"/>.</summary>
    public static void Combine(float* a, int aRow, int aStride, int count, float* rows, int rowStride, float* y, int yRow, int length, bool accumulate)
    {
        Debug.Assert(length % Block == 0, "lengths are padded");
        if (Vector512.IsHardwareAccelerated)
        {
            Combine<Simd512, Vector512<float>>(a, aRow, aStride, count, rows, rowStride, y, yRow, length, accumulate);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Combine<Simd256, Vector256<float>>(a, aRow, aStride, count, rows, rowStride, y, yRow, length, accumulate);
        }
        else
        {
            Combine<Simd128, Vector128<float>>(a, aRow, aStride, count, rows, rowStride, y, yRow, length, accumulate);
        }
    }

    /// <summary>result[r·resultRow + c] = Σ_j x[r·xRow + j] · rows[c·rowStride + j] for r in {0, 1}, c from 0 to count − 1.</summary>
    public static void Dots(float* x, int xRow, float* rows, int rowStride, int count, float* result, int resultRow, int length)
    {
        Debug.Assert(length % Block == 0, "lengths are padded");
        if (Vector512.IsHardwareAccelerated)
        {
            Dots<Simd512, Vector512<float>>(x, xRow, rows, rowStride, count, result, resultRow, length);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Dots<Simd256, Vector256<float>>(x, xRow, rows, rowStride, count, result, resultRow, length);
        }
        else
        {
            Dots<Simd128, Vector128<float>>(x, xRow, rows, rowStride, count, result, resultRow, length);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Combine<TSimd, TVector>(
        float* a, int aRow, int aStride, int count, float* rows, int rowStride, float* y, int yRow, int length, bool accumulate)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        for (var j = 0; j < length; j += Sums * TSimd.Width)
        {
            float* first = y + j, second = first + yRow;
            TVector p0, p1, p2, p3, q0, q1, q2, q3;
            p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = TSimd.Create(0);
            if (accumulate)
            {
                (p0, p1) = (TSimd.Load(first), TSimd.Load(first + TSimd.Width));
                (p2, p3) = (TSimd.Load(first + (2 * TSimd.Width)), TSimd.Load(first + (3 * TSimd.Width)));
                (q0, q1) = (TSimd.Load(second), TSimd.Load(second + TSimd.Width));
                (q2, q3) = (TSimd.Load(second + (2 * TSimd.Width)), TSimd.Load(second + (3 * TSimd.Width)));
            }

            var row = rows + j;
            var factor = a;
            for (var c = 0; c < count; c++)
            {
                TVector f = TSimd.Create(*factor), g = TSimd.Create(factor[aRow]);
                TVector v0 = TSimd.Load(row), v1 = TSimd.Load(row + TSimd.Width);
                TVector v2 = TSimd.Load(row + (2 * TSimd.Width)), v3 = TSimd.Load(row + (3 * TSimd.Width));
                p0 = TSimd.MultiplyAdd(f, v0, p0);
                p1 = TSimd.MultiplyAdd(f, v1, p1);
                p2 = TSimd.MultiplyAdd(f, v2, p2);
                p3 = TSimd.MultiplyAdd(f, v3, p3);
                q0 = TSimd.MultiplyAdd(g, v0, q0);
                q1 = TSimd.MultiplyAdd(g, v1, q1);
                q2 = TSimd.MultiplyAdd(g, v2, q2);
                q3 = TSimd.MultiplyAdd(g, v3, q3);
                row += rowStride;
                factor += aStride;
            }

            TSimd.Store(p0, first);
            TSimd.Store(p1, first + TSimd.Width);
            TSimd.Store(p2, first + (2 * TSimd.Width));
            TSimd.Store(p3, first + (3 * TSimd.Width));
            TSimd.Store(q0, second);
            TSimd.Store(q1, second + TSimd.Width);
            TSimd.Store(q2, second + (2 * TSimd.Width));
            TSimd.Store(q3, second + (3 * TSimd.Width));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dots<TSimd, TVector>(float* x, int xRow, float* rows, int rowStride, int count, float* result, int resultRow, int length)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var c = 0;
        for (; c + Sums <= count; c += Sums)
        {
            float* r0 = rows + ((nint)c * rowStride), r1 = r0 + rowStride, r2 = r1 + rowStride, r3 = r2 + rowStride;
            TVector p0, p1, p2, p3, q0, q1, q2, q3;
            p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = TSimd.Create(0);
            for (var j = 0; j < length; j += TSimd.Width)
            {
                TVector v = TSimd.Load(x + j), w = TSimd.Load(x + xRow + j);
                TVector k0 = TSimd.Load(r0 + j), k1 = TSimd.Load(r1 + j), k2 = TSimd.Load(r2 + j), k3 = TSimd.Load(r3 + j);
                p0 = TSimd.MultiplyAdd(v, k0, p0);
                p1 = TSimd.MultiplyAdd(v, k1, p1);
                p2 = TSimd.MultiplyAdd(v, k2, p2);
                p3 = TSimd.MultiplyAdd(v, k3, p3);
                q0 = TSimd.MultiplyAdd(w, k0, q0);
                q1 = TSimd.MultiplyAdd(w, k1, q1);
                q2 = TSimd.MultiplyAdd(w, k2, q2);
                q3 = TSimd.MultiplyAdd(w, k3, q3);
            }

            (result[c], result[c + 1], result[c + 2], result[c + 3]) = (TSimd.Sum(p0), TSimd.Sum(p1), TSimd.Sum(p2), TSimd.Sum(p3));
            var second = result + resultRow + c;
            (second[0], second[1], second[2], second[3]) = (TSimd.Sum(q0), TSimd.Sum(q1), TSimd.Sum(q2), TSimd.Sum(q3));
        }

        for (; c < count; c++)
        {
            var row = rows + ((nint)c * rowStride);
            var p = TSimd.Create(0);
            var q = p;
            for (var j = 0; j < length; j += TSimd.Width)
            {
                p = TSimd.MultiplyAdd(TSimd.Load(x + j), TSimd.Load(row + j), p);
                q = TSimd.MultiplyAdd(TSimd.Load(x + xRow + j), TSimd.Load(row + j), q);
            }

            result[c] = TSimd.Sum(p);
            result[resultRow + c] = TSimd.Sum(q);
        }
    }
}
