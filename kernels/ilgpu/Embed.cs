using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>x[row] = table[token[row]] · multiplier.</summary>
internal static class Embed
{
    internal struct Arguments<TStored>
        where TStored : unmanaged
    {
        public ArrayView<TStored> Table; // [vocabulary, width]
        public ArrayView<int> Tokens;    // [rows]
        public ArrayView<float> X;       // [rows, stride]
        public int Width;
        public int Stride;
        public float Multiplier;
    }

    /// <summary>An item is a number of a row.</summary>
    public static void Run<TElement, TStored>(Index1D index, Loop loop, Arguments<TStored> a)
        where TElement : struct, IReadElement<TStored>
        where TStored : unmanaged
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, i) = (item / a.Width, item % a.Width);
            a.X[((long)row * a.Stride) + i] = TElement.Load(a.Table[((long)a.Tokens[row] * a.Width) + i]) * a.Multiplier;
        }
    }
}
