using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace NativeSpec.Backends.Cpu;

/// <summary>y[t, o] = Σ_k W[o, k] · x[t, k] (+ bias[o]) (+ y[t, o] when accumulating).</summary>
/// <remarks>
/// <para>W is [out, in] as Hugging Face stores it, x is [rows, in], y is [rows, out of the whole stack].</para>
/// <para>The order of the sum is the contract: one vector of partial sums per output, lane j adding k = j, j + width, j + 2·width …,
/// then the lanes in a fixed order, then the columns past the last whole vector one by one. Tiles only decide which outputs are computed
/// together, never how one is: so a row's result has the same bits alone or among any others.</para>
/// <para>Tiles: with one row of x the weights come from memory once and four chains of adds hide the latency; with four rows each loaded
/// and converted weight serves four products.</para>
/// </remarks>
internal static unsafe class MatMul
{
    internal struct Arguments
    {
        public byte* Weights;
        public float* X;
        public float* Y;
        public float* Bias;
        public int In;
        public int Rows;
        public int StrideY;
        public bool Accumulate;
        public float Multiplier;
    }

    /// <summary>Computes outputs [begin, end) of one segment for all rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Work<TFormat, TSimd, TVector>(void* arguments, int begin, int end)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var a = (Arguments*)arguments;
        var rowBytes = (nint)a->In * TFormat.Size;
        var o = begin;
        for (; o + 4 <= end; o += 4)
        {
            var w = a->Weights + (o * rowBytes);
            var t = 0;
            if (TSimd.HasManyRegisters)
            {
                for (; t + 4 <= a->Rows; t += 4)
                {
                    Tile4x4<TFormat, TSimd, TVector>(a, w, rowBytes, o, t);
                }
            }

            for (; t + 2 <= a->Rows; t += 2)
            {
                Tile4x2<TFormat, TSimd, TVector>(a, w, rowBytes, o, t);
            }

            for (; t < a->Rows; t++)
            {
                Tile4x1<TFormat, TSimd, TVector>(a, w, rowBytes, o, t);
            }
        }

        for (; o < end; o++)
        {
            for (var t = 0; t < a->Rows; t++)
            {
                Tile1x1<TFormat, TSimd, TVector>(a, a->Weights + (o * rowBytes), o, t);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x1<TFormat, TSimd, TVector>(Arguments* a, byte* w, int o, int t)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var x = a->X + ((nint)t * a->In);
        var sum = TSimd.Create(0);
        for (var k = 0; k + TSimd.Width <= a->In; k += TSimd.Width)
        {
            sum = TSimd.MultiplyAdd(TFormat.Load<TSimd, TVector>(w, k), TSimd.Load(x + k), sum);
        }

        Finish<TFormat, TSimd, TVector>(a, sum, w, x, o, t);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x1<TFormat, TSimd, TVector>(Arguments* a, byte* w, nint rowBytes, int o, int t)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var x = a->X + ((nint)t * a->In);
        byte* w1 = w + rowBytes, w2 = w1 + rowBytes, w3 = w2 + rowBytes;
        TVector s0 = TSimd.Create(0), s1 = s0, s2 = s0, s3 = s0;
        var whole = a->In - (a->In % TSimd.Width);
        for (var k = 0; k < whole; k += TSimd.Width)
        {
            FetchAhead<TFormat, TSimd, TVector>(w + (4 * (rowBytes + ((nint)k * TFormat.Size))));
            var v = TSimd.Load(x + k);
            s0 = TSimd.MultiplyAdd(TFormat.Load<TSimd, TVector>(w, k), v, s0);
            s1 = TSimd.MultiplyAdd(TFormat.Load<TSimd, TVector>(w1, k), v, s1);
            s2 = TSimd.MultiplyAdd(TFormat.Load<TSimd, TVector>(w2, k), v, s2);
            s3 = TSimd.MultiplyAdd(TFormat.Load<TSimd, TVector>(w3, k), v, s3);
        }

        Finish<TFormat, TSimd, TVector>(a, s0, w, x, o, t);
        Finish<TFormat, TSimd, TVector>(a, s1, w1, x, o + 1, t);
        Finish<TFormat, TSimd, TVector>(a, s2, w2, x, o + 2, t);
        Finish<TFormat, TSimd, TVector>(a, s3, w3, x, o + 3, t);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x2<TFormat, TSimd, TVector>(Arguments* a, byte* w, nint rowBytes, int o, int t)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var x = a->X + ((nint)t * a->In);
        var x1 = x + a->In;
        byte* w1 = w + rowBytes, w2 = w1 + rowBytes, w3 = w2 + rowBytes;
        TVector s00 = TSimd.Create(0), s10 = s00, s20 = s00, s30 = s00, s01 = s00, s11 = s00, s21 = s00, s31 = s00;
        var whole = a->In - (a->In % TSimd.Width);
        for (var k = 0; k < whole; k += TSimd.Width)
        {
            FetchAhead<TFormat, TSimd, TVector>(w + (4 * (rowBytes + ((nint)k * TFormat.Size))));
            TVector v0 = TSimd.Load(x + k), v1 = TSimd.Load(x1 + k);
            var u = TFormat.Load<TSimd, TVector>(w, k);
            s00 = TSimd.MultiplyAdd(u, v0, s00);
            s01 = TSimd.MultiplyAdd(u, v1, s01);
            u = TFormat.Load<TSimd, TVector>(w1, k);
            s10 = TSimd.MultiplyAdd(u, v0, s10);
            s11 = TSimd.MultiplyAdd(u, v1, s11);
            u = TFormat.Load<TSimd, TVector>(w2, k);
            s20 = TSimd.MultiplyAdd(u, v0, s20);
            s21 = TSimd.MultiplyAdd(u, v1, s21);
            u = TFormat.Load<TSimd, TVector>(w3, k);
            s30 = TSimd.MultiplyAdd(u, v0, s30);
            s31 = TSimd.MultiplyAdd(u, v1, s31);
        }

        Finish<TFormat, TSimd, TVector>(a, s00, w, x, o, t);
        Finish<TFormat, TSimd, TVector>(a, s10, w1, x, o + 1, t);
        Finish<TFormat, TSimd, TVector>(a, s20, w2, x, o + 2, t);
        Finish<TFormat, TSimd, TVector>(a, s30, w3, x, o + 3, t);
        Finish<TFormat, TSimd, TVector>(a, s01, w, x1, o, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s11, w1, x1, o + 1, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s21, w2, x1, o + 2, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s31, w3, x1, o + 3, t + 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x4<TFormat, TSimd, TVector>(Arguments* a, byte* w, nint rowBytes, int o, int t)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var x = a->X + ((nint)t * a->In);
        float* x1 = x + a->In, x2 = x1 + a->In, x3 = x2 + a->In;
        byte* w1 = w + rowBytes, w2 = w1 + rowBytes, w3 = w2 + rowBytes;
        TVector s00 = TSimd.Create(0), s10 = s00, s20 = s00, s30 = s00, s01 = s00, s11 = s00, s21 = s00, s31 = s00;
        TVector s02 = s00, s12 = s00, s22 = s00, s32 = s00, s03 = s00, s13 = s00, s23 = s00, s33 = s00;
        var whole = a->In - (a->In % TSimd.Width);
        for (var k = 0; k < whole; k += TSimd.Width)
        {
            FetchAhead<TFormat, TSimd, TVector>(w + (4 * (rowBytes + ((nint)k * TFormat.Size))));
            TVector v0 = TSimd.Load(x + k), v1 = TSimd.Load(x1 + k), v2 = TSimd.Load(x2 + k), v3 = TSimd.Load(x3 + k);
            var u = TFormat.Load<TSimd, TVector>(w, k);
            s00 = TSimd.MultiplyAdd(u, v0, s00);
            s01 = TSimd.MultiplyAdd(u, v1, s01);
            s02 = TSimd.MultiplyAdd(u, v2, s02);
            s03 = TSimd.MultiplyAdd(u, v3, s03);
            u = TFormat.Load<TSimd, TVector>(w1, k);
            s10 = TSimd.MultiplyAdd(u, v0, s10);
            s11 = TSimd.MultiplyAdd(u, v1, s11);
            s12 = TSimd.MultiplyAdd(u, v2, s12);
            s13 = TSimd.MultiplyAdd(u, v3, s13);
            u = TFormat.Load<TSimd, TVector>(w2, k);
            s20 = TSimd.MultiplyAdd(u, v0, s20);
            s21 = TSimd.MultiplyAdd(u, v1, s21);
            s22 = TSimd.MultiplyAdd(u, v2, s22);
            s23 = TSimd.MultiplyAdd(u, v3, s23);
            u = TFormat.Load<TSimd, TVector>(w3, k);
            s30 = TSimd.MultiplyAdd(u, v0, s30);
            s31 = TSimd.MultiplyAdd(u, v1, s31);
            s32 = TSimd.MultiplyAdd(u, v2, s32);
            s33 = TSimd.MultiplyAdd(u, v3, s33);
        }

        Finish<TFormat, TSimd, TVector>(a, s00, w, x, o, t);
        Finish<TFormat, TSimd, TVector>(a, s10, w1, x, o + 1, t);
        Finish<TFormat, TSimd, TVector>(a, s20, w2, x, o + 2, t);
        Finish<TFormat, TSimd, TVector>(a, s30, w3, x, o + 3, t);
        Finish<TFormat, TSimd, TVector>(a, s01, w, x1, o, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s11, w1, x1, o + 1, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s21, w2, x1, o + 2, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s31, w3, x1, o + 3, t + 1);
        Finish<TFormat, TSimd, TVector>(a, s02, w, x2, o, t + 2);
        Finish<TFormat, TSimd, TVector>(a, s12, w1, x2, o + 1, t + 2);
        Finish<TFormat, TSimd, TVector>(a, s22, w2, x2, o + 2, t + 2);
        Finish<TFormat, TSimd, TVector>(a, s32, w3, x2, o + 3, t + 2);
        Finish<TFormat, TSimd, TVector>(a, s03, w, x3, o, t + 3);
        Finish<TFormat, TSimd, TVector>(a, s13, w1, x3, o + 1, t + 3);
        Finish<TFormat, TSimd, TVector>(a, s23, w2, x3, o + 2, t + 3);
        Finish<TFormat, TSimd, TVector>(a, s33, w3, x3, o + 3, t + 3);
    }

    /// <summary>Asks for the part of the next four rows that corresponds to the part of these four now read. Rows are short runs to the
    /// hardware's own prefetchers, which start anew with each of them: without this, decoding reaches half of the memory's bandwidth. Addresses past the end of the weights are ignored by the processor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FetchAhead<TFormat, TSimd, TVector>(byte* next)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        const int Line = 64;
        if (!Sse.IsSupported)
        {
            return;
        }

        Sse.Prefetch0(next);
        if (4 * TSimd.Width * TFormat.Size > Line)
        {
            Sse.Prefetch0(next + Line);
        }

        if (4 * TSimd.Width * TFormat.Size > 2 * Line)
        {
            Sse.Prefetch0(next + (2 * Line));
            Sse.Prefetch0(next + (3 * Line));
        }
    }

    /// <summary>Adds the lanes, the columns past the last whole vector, the bias and what stood there.</summary>
    private static void Finish<TFormat, TSimd, TVector>(Arguments* a, TVector lanes, byte* w, float* x, int o, int t)
        where TFormat : IWeightFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var sum = TSimd.Sum(lanes);
        for (var k = a->In - (a->In % TSimd.Width); k < a->In; k++)
        {
            sum += TFormat.LoadOne(w, k) * x[k];
        }

        if (a->Bias is not null)
        {
            sum += a->Bias[o];
        }

        sum *= a->Multiplier;
        var y = a->Y + ((nint)t * a->StrideY) + o;
        *y = a->Accumulate ? *y + sum : sum;
    }
}
