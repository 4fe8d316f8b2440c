using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Backends.Cpu;

namespace NativeSpec.Training.Compute;

/// <summary>A <see cref="Product"/> where there is no native library: two rows at a time, so that each vector of B serves two sums.</summary>
internal static unsafe class ManagedProduct
{
    private const int Sums = 4; // vectors of a row that are summed side by side

    /// <summary>Computes it on the calling thread.</summary>
    public static void Compute(in Product product)
    {
        for (var row = 0; row < product.Rows; row += 2)
        {
            for (var column = 0; column < product.Columns; column += Product.Panel)
            {
                var strip = new Strip(product, row, column);
                var done = Vector512.IsHardwareAccelerated ? Compute<Simd512, Vector512<float>>(strip)
                    : Vector256.IsHardwareAccelerated ? Compute<Simd256, Vector256<float>>(strip)
                    : Vector128.IsHardwareAccelerated ? Compute<Simd128, Vector128<float>>(strip)
                    : Compute<SimdScalar, float>(strip); // vectors in software cost a call for each operation
                AddUp<SimdScalar, float>(strip, done);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Compute<TSimd, TVector>(in Strip strip)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var column = 0;
        for (; column + (Sums * TSimd.Width) <= strip.Columns; column += Sums * TSimd.Width)
        {
            TVector p0, p1, p2, p3, q0, q1, q2, q3;
            p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = TSimd.Create(0);
            float* b = strip.B + column, a = strip.A;
            for (var k = 0; k < strip.Depth; k++)
            {
                TVector f = TSimd.Create(*a), g = TSimd.Create(a[strip.ARow]);
                TVector v0 = TSimd.Load(b), v1 = TSimd.Load(b + TSimd.Width);
                TVector v2 = TSimd.Load(b + (2 * TSimd.Width)), v3 = TSimd.Load(b + (3 * TSimd.Width));
                p0 = TSimd.MultiplyAdd(f, v0, p0);
                p1 = TSimd.MultiplyAdd(f, v1, p1);
                p2 = TSimd.MultiplyAdd(f, v2, p2);
                p3 = TSimd.MultiplyAdd(f, v3, p3);
                q0 = TSimd.MultiplyAdd(g, v0, q0);
                q1 = TSimd.MultiplyAdd(g, v1, q1);
                q2 = TSimd.MultiplyAdd(g, v2, q2);
                q3 = TSimd.MultiplyAdd(g, v3, q3);
                b += strip.BStride;
                a += strip.AStep;
            }

            Finish<TSimd, TVector>(strip, column, p0, q0);
            Finish<TSimd, TVector>(strip, column + TSimd.Width, p1, q1);
            Finish<TSimd, TVector>(strip, column + (2 * TSimd.Width), p2, q2);
            Finish<TSimd, TVector>(strip, column + (3 * TSimd.Width), p3, q3);
        }

        return AddUp<TSimd, TVector>(strip, column);
    }

    /// <summary>Vector by vector, as far as whole ones go.</summary>
    private static int AddUp<TSimd, TVector>(in Strip strip, int first)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var column = first;
        for (; column + TSimd.Width <= strip.Columns; column += TSimd.Width)
        {
            TVector p = TSimd.Create(0), q = p;
            float* b = strip.B + column, a = strip.A;
            for (var k = 0; k < strip.Depth; k++)
            {
                var v = TSimd.Load(b);
                p = TSimd.MultiplyAdd(TSimd.Create(*a), v, p);
                q = TSimd.MultiplyAdd(TSimd.Create(a[strip.ARow]), v, q);
                b += strip.BStride;
                a += strip.AStep;
            }

            Finish<TSimd, TVector>(strip, column, p, q);
        }

        return column;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TSimd, TVector>(in Strip strip, int column, TVector first, TVector second)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        float* c = strip.C + column, d = c + strip.CRow;
        if (strip.Accumulate)
        {
            // Both before either is written: the two may be the same row.
            first = TSimd.Add(TSimd.Load(c), first);
            second = TSimd.Add(TSimd.Load(d), second);
        }

        TSimd.Store(first, c);
        TSimd.Store(second, d);
    }

    /// <summary>Two rows of A and C and a panel's columns of B. The last row alone stands for both: it is computed twice, into the same place.</summary>
    private readonly struct Strip(in Product product, int row, int column)
    {
        public readonly int Columns = Math.Min(Product.Panel, product.Columns - column);
        public readonly int Depth = product.Depth;
        public readonly bool Accumulate = product.Accumulate;
        public readonly float* A = product.RowRange(row, 1).A.First;
        public readonly nint AStep = product.Turned ? product.A.Stride : 1;
        public readonly nint ARow = row + 1 == product.Rows ? 0 : product.Turned ? 1 : product.A.Stride;
        public readonly float* B = product.B.First + ((nint)(column / Product.Panel) * product.B.Panel);
        public readonly nint BStride = product.B.Stride;
        public readonly float* C = product.C.At(row, column).First;
        public readonly nint CRow = row + 1 == product.Rows ? 0 : product.C.Stride;
    }
}
