using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>Copies cache rows of one layer: for each i in turn, row to[i] becomes row from[i].</summary>
internal static class MoveKvRows
{
    internal struct Arguments<TStored>
        where TStored : unmanaged
    {
        public KvPlanes<TStored> Kv;
        public ArrayView<int> From;
        public ArrayView<int> To;
        public int Count;
    }

    /// <summary>An item is a number of a row: it makes all moves of it, in order.</summary>
    public static void Run<TStored>(Index1D index, Loop loop, Arguments<TStored> a)
        where TStored : unmanaged
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (head, i) = (item / a.Kv.HeadDim, item % a.Kv.HeadDim);
            for (var move = 0; move < a.Count; move++)
            {
                var (from, to) = (a.From[move], a.To[move]);
                a.Kv.Keys[a.Kv.KeyAt(to, head) + ((long)i * KvPlanes.KeyStride)] = a.Kv.Keys[a.Kv.KeyAt(from, head) + ((long)i * KvPlanes.KeyStride)];
                a.Kv.Values[a.Kv.ValueAt(to, head) + i] = a.Kv.Values[a.Kv.ValueAt(from, head) + i];
            }
        }
    }
}
