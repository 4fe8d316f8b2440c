using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>Rotary position embedding (Su et al., 2021), with cosines and sines as data: (a, b) → (a·cos − b·sin, b·cos + a·sin) for the pairs (i, i + rotaryDim/2) of each
/// head of q and k. q stays, keys and values go to their cache rows (<see cref="KvPlanes{TStored}"/>).</summary>
internal static class Rope
{
    internal struct Arguments<TStored>
        where TStored : unmanaged
    {
        public ArrayView<float> Qkv; // [rows, stride]
        public ArrayView<float> Cos; // [positions, half]
        public ArrayView<float> Sin; // [positions, half]
        public ArrayView<int> Positions; // [rows]
        public ArrayView<int> KvRows; // [rows]
        public KvPlanes<TStored> Kv;
        public int Heads;
        public int Half; // of the rotated numbers of a head
        public int Stride;
    }

    /// <summary>An item is a number of a head of q, k or v; the first of a pair does both.</summary>
    public static void Run<TElement, TStored>(Index1D index, Loop loop, Arguments<TStored> a)
        where TElement : struct, IElement<TStored>
        where TStored : unmanaged
    {
        var (dim, heads) = (a.Kv.HeadDim, a.Heads + (2 * a.Kv.KvHeads));
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (i, head, row) = (item % dim, item / dim % heads, item / dim / heads);
            var x = ((long)row * a.Stride) + (head * dim);
            var rotates = head < a.Heads + a.Kv.KvHeads && i < 2 * a.Half;
            if (rotates && i >= a.Half)
            {
                continue;
            }

            var first = a.Qkv[x + i];
            if (rotates)
            {
                var angle = ((long)a.Positions[row] * a.Half) + i;
                var (second, cos, sin) = (a.Qkv[x + a.Half + i], a.Cos[angle], a.Sin[angle]);
                Put<TElement, TStored>(a, row, head, a.Half + i, (second * cos) + (first * sin));
                first = (first * cos) - (second * sin);
            }

            Put<TElement, TStored>(a, row, head, i, first);
        }
    }

    private static void Put<TElement, TStored>(Arguments<TStored> a, int row, int head, int i, float value)
        where TElement : struct, IElement<TStored>
        where TStored : unmanaged
    {
        if (head < a.Heads)
        {
            a.Qkv[((long)row * a.Stride) + (head * a.Kv.HeadDim) + i] = value;
        }
        else if (head < a.Heads + a.Kv.KvHeads)
        {
            a.Kv.Keys[a.Kv.KeyAt(a.KvRows[row], head - a.Heads) + ((long)i * KvPlanes.KeyStride)] = TElement.Store(value);
        }
        else
        {
            a.Kv.Values[a.Kv.ValueAt(a.KvRows[row], head - a.Heads - a.Kv.KvHeads) + i] = TElement.Store(value);
        }
    }
}
