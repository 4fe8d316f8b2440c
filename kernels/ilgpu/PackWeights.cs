using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>Lays a checkpoint's matrix out in panels (<see cref="IWeightFormat"/>), when weights are loaded.</summary>
internal static class PackWeights
{
    internal struct Arguments<TStored>
        where TStored : unmanaged
    {
        public ArrayView<TStored> Source; // [rows, in], a part of a stack
        public ArrayView<Word4> Fours;    // the panels of the whole stack
        public int First;                 // the stack's output that is the source's first row
        public int In;
        public int Chunks;
    }

    /// <summary>Of 16-bit numbers. An item is a chunk of a row.</summary>
    public static void Halves(Index1D index, Loop loop, Arguments<ushort> a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, chunk) = (item / a.Chunks, item % a.Chunks);
            var output = a.First + row;
            var column = chunk * MatMul.Columns;
            a.Fours[((((long)(output / MatMul.Lanes) * a.Chunks) + chunk) * MatMul.Lanes) + (output % MatMul.Lanes)] = new Word4
            {
                X = Pair(a, row, column),
                Y = Pair(a, row, column + 2),
                Z = Pair(a, row, column + 4),
                W = Pair(a, row, column + 6),
            };
        }
    }

    /// <summary>Of floats. An item is a chunk of a row.</summary>
    public static void Floats(Index1D index, Loop loop, Arguments<float> a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, chunk) = (item / a.Chunks, item % a.Chunks);
            var output = a.First + row;
            var at = ((((long)(output / MatMul.Lanes) * a.Chunks) + chunk) * 2 * MatMul.Lanes) + (output % MatMul.Lanes);
            a.Fours[at] = Four(a, row, chunk * MatMul.Columns);
            a.Fours[at + MatMul.Lanes] = Four(a, row, (chunk * MatMul.Columns) + 4);
        }
    }

    private static uint Pair(Arguments<ushort> a, int row, int column) => Half(a, row, column) | (Half(a, row, column + 1) << 16);

    private static uint Half(Arguments<ushort> a, int row, int column) => column < a.In ? a.Source[((long)row * a.In) + column] : 0u;

    private static Word4 Four(Arguments<float> a, int row, int column) => new()
    {
        X = Float(a, row, column),
        Y = Float(a, row, column + 1),
        Z = Float(a, row, column + 2),
        W = Float(a, row, column + 3),
    };

    private static uint Float(Arguments<float> a, int row, int column) => column < a.In ? Interop.FloatAsInt(a.Source[((long)row * a.In) + column]) : 0u;
}
