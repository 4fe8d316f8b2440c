using System.Runtime.CompilerServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>Rotary position embedding (Su et al., 2021), with the cosines and sines as data: (a, b) → (a·cos − b·sin, b·cos + a·sin) for
/// the pairs (i, i + rotaryDim/2) of each head of q and k; the rest of a head stays. Before it an RMSNorm of each head, where there is a gain. Keys
/// and values then go to their cache rows.</summary>
/// <remarks>qkv: [rows, (heads + 2·kvHeads)·headDim]; keys, values: [cache rows, kvHeads·headDim] of the format; cos, sin: [positions, rotaryDim/2].</remarks>
internal static unsafe class Rope
{
    internal struct Arguments
    {
        public float* Qkv;
        public byte* Keys;
        public byte* Values;
        public float* Cos;
        public float* Sin;
        public int* Positions;
        public int* KvRows;
        public int Heads;
        public int KvHeads;
        public int HeadDim;
        public int RotaryDim;
        public float* QGain;
        public float* KGain;
        public float Epsilon;
    }

    /// <summary>Rotates rows [begin, end).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Work<TFormat, TSimd, TVector>(void* arguments, int begin, int end)
        where TFormat : IKvFormat
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var a = (Arguments*)arguments;
        var width = a->KvHeads * a->HeadDim;
        var half = a->RotaryDim / 2;
        for (var row = begin; row < end; row++)
        {
            var q = a->Qkv + ((nint)row * ((a->Heads * a->HeadDim) + (2 * width)));
            var k = q + (a->Heads * a->HeadDim);
            var v = k + width;
            float* cos = a->Cos + ((nint)a->Positions[row] * half), sin = a->Sin + ((nint)a->Positions[row] * half);
            NormHeads<TSimd, TVector>(a, q, a->QGain, a->Heads);
            NormHeads<TSimd, TVector>(a, k, a->KGain, a->KvHeads);
            for (var head = 0; head < a->Heads + a->KvHeads; head++)
            {
                Rotate<TSimd, TVector>(q + (head * a->HeadDim), cos, sin, half);
            }

            var cacheRow = (nint)a->KvRows[row] * width * TFormat.Size;
            TFormat.Write(k, a->Keys + cacheRow, width);
            TFormat.Write(v, a->Values + cacheRow, width);
        }
    }

    /// <summary>Norms heads in place: each is a row of its own.</summary>
    private static void NormHeads<TSimd, TVector>(Arguments* a, float* x, float* gain, int heads)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        if (gain is not null)
        {
            var norm = new RmsNorm.Arguments { X = x, Gain = gain, Y = x, Width = a->HeadDim, Epsilon = a->Epsilon };
            RmsNorm.Work<TSimd, TVector>(&norm, 0, heads);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rotate<TSimd, TVector>(float* x, float* cos, float* sin, int half)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var i = 0;
        for (; i + TSimd.Width <= half; i += TSimd.Width)
        {
            TVector a = TSimd.Load(x + i), b = TSimd.Load(x + half + i), c = TSimd.Load(cos + i), s = TSimd.Load(sin + i);
            TSimd.Store(TSimd.Subtract(TSimd.Multiply(a, c), TSimd.Multiply(b, s)), x + i);
            TSimd.Store(TSimd.Add(TSimd.Multiply(b, c), TSimd.Multiply(a, s)), x + half + i);
        }

        for (; i < half; i++)
        {
            float a = x[i], b = x[half + i];
            x[i] = (a * cos[i]) - (b * sin[i]);
            x[half + i] = (b * cos[i]) + (a * sin[i]);
        }
    }
}
