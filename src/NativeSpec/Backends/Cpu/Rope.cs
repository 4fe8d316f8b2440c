using System.Runtime.CompilerServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>Rotary position embedding (Su et al., 2021), with the cosines and sines as data: (a, b) → (a·cos − b·sin, b·cos + a·sin) for
/// the pairs (i, i + headDim/2) of each head of q and k. Keys and values then go to their cache rows.</summary>
/// <remarks>qkv: [rows, (heads + 2·kvHeads)·headDim]; keys, values: [cache rows, kvHeads·headDim]; cos, sin: [rows, headDim/2].</remarks>
internal static unsafe class Rope
{
    internal struct Arguments
    {
        public float* Qkv;
        public float* Keys;
        public float* Values;
        public float* Cos;
        public float* Sin;
        public int* KvRows;
        public int Heads;
        public int KvHeads;
        public int HeadDim;
    }

    /// <summary>Rotates rows [begin, end).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Work<TSimd, TVector>(void* arguments, int begin, int end)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var a = (Arguments*)arguments;
        var width = a->KvHeads * a->HeadDim;
        var half = a->HeadDim / 2;
        for (var row = begin; row < end; row++)
        {
            var q = a->Qkv + ((nint)row * ((a->Heads * a->HeadDim) + (2 * width)));
            var k = q + (a->Heads * a->HeadDim);
            var v = k + width;
            float* cos = a->Cos + ((nint)row * half), sin = a->Sin + ((nint)row * half);
            for (var head = 0; head < a->Heads; head++)
            {
                Rotate<TSimd, TVector>(q + (head * a->HeadDim), q + (head * a->HeadDim), cos, sin, half);
            }

            var cacheRow = (nint)a->KvRows[row] * width;
            for (var head = 0; head < a->KvHeads; head++)
            {
                Rotate<TSimd, TVector>(k + (head * a->HeadDim), a->Keys + cacheRow + (head * a->HeadDim), cos, sin, half);
            }

            new ReadOnlySpan<float>(v, width).CopyTo(new Span<float>(a->Values + cacheRow, width));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rotate<TSimd, TVector>(float* from, float* to, float* cos, float* sin, int half)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var i = 0;
        for (; i + TSimd.Width <= half; i += TSimd.Width)
        {
            TVector a = TSimd.Load(from + i), b = TSimd.Load(from + half + i), c = TSimd.Load(cos + i), s = TSimd.Load(sin + i);
            TSimd.Store(TSimd.Subtract(TSimd.Multiply(a, c), TSimd.Multiply(b, s)), to + i);
            TSimd.Store(TSimd.Add(TSimd.Multiply(b, c), TSimd.Multiply(a, s)), to + half + i);
        }

        for (; i < half; i++)
        {
            float a = from[i], b = from[half + i];
            to[i] = (a * cos[i]) - (b * sin[i]);
            to[half + i] = (b * cos[i]) + (a * sin[i]);
        }
    }
}
