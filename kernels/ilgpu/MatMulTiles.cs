using ILGPU;
using ILGPU.Runtime.Cuda;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>The same products by the tensor cores of a CUDA device, for BF16 weights: partial sums as <see cref="MatMul"/> leaves them, in other bits.</summary>
/// <remarks>
/// <para>A warp has sixteen outputs, one segment and eight rows. Weights are the rows of <c>mma.m16n8k16</c> and rows of the batch its columns, so one row is the same
/// instructions as eight, and a column's sums know nothing of its neighbours. Weights lie as a lane's registers take them: sixteen bytes a step and lane.</para>
/// <para>A row's numbers are taken as two BF16 parts, what the first leaves being the second: a product for each, so that rows keep sixteen bits of precision.</para>
/// <para>Fragments as PTX ISA 9.7.14.5 has them: lane l holds of the left operand the rows l / 4 and l / 4 + 8 and the columns 2 (l mod 4) and the next, and those
/// eight further; of the right operand the column l / 4 and the same rows; of the result rows l / 4 and l / 4 + 8, columns 2 (l mod 4) and the next.</para>
/// </remarks>
internal static class MatMulTiles
{
    /// <summary>Outputs of a tile.</summary>
    public const int Outputs = 16;

    /// <summary>Columns of a step.</summary>
    public const int Columns = 16;

    /// <summary>Lanes of a warp.</summary>
    public const int Lanes = 32;

    /// <summary>Threads of a group: whole warps.</summary>
    public const int GroupThreads = 128;

    internal struct Arguments
    {
        public ArrayView<Word4> Weights;  // [tiles, steps, lanes]
        public ArrayView<Word4> X;        // [eights of rows, steps, lanes]: two words of the first parts, two of the second
        public ArrayView<float> Partials; // [segments, rows, outputs], both rounded up
        public int Steps;
        public int SegmentSteps;
        public int Segments;
        public int Outputs;
        public int Rows;
    }

    internal struct PackArguments
    {
        public ArrayView<ushort> Source; // [rows, in], a part of a stack, BF16
        public ArrayView<uint> Words;    // [tiles, steps, lanes, 4] of the whole stack
        public int First;                // the stack's output that is the source's first row
        public int In;
        public int Steps;
    }

    internal struct RowArguments
    {
        public ArrayView<float> X;     // [rows, stride]; numbers past the width are 0
        public ArrayView<Word4> Packed; // [eights of rows, steps, lanes]
        public int Stride;
        public int Steps;
    }

    /// <summary>Lays weights out in tiles. An item is a pair of columns of a row of the source.</summary>
    public static void Pack(Index1D index, Loop loop, PackArguments a)
    {
        var pairs = a.Steps * Columns / 2;
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, pair) = (item / pairs, item % pairs);
            var (tile, inTile) = ((a.First + row) / Outputs, (a.First + row) % Outputs);
            var (step, inStep) = (pair / 8, pair % 8);
            var lane = (inTile % 8 * 4) + (inStep % 4);
            var word = (inTile / 8) + (inStep / 4 * 2);
            var column = 2 * pair;
            var from = ((long)row * a.In) + column;
            uint low = column < a.In ? a.Source[from] : 0u;
            uint high = column + 1 < a.In ? a.Source[from + 1] : 0u;
            a.Words[((((((long)tile * a.Steps) + step) * Lanes) + lane) * 4) + word] = low | (high << 16);
        }
    }

    /// <summary>Lays rows out as the right operand. An item is a lane of a step of eight rows.</summary>
    public static void PackRows(Index1D index, Loop loop, RowArguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (lane, step, eight) = (item % Lanes, item / Lanes % a.Steps, item / Lanes / a.Steps);
            var row = ((eight * 8L) + (lane / 4)) * a.Stride;
            var column = (step * Columns) + (lane % 4 * 2);
            var (x0, x1, x2, x3) = (At(a, row, column), At(a, row, column + 1), At(a, row, column + 8), At(a, row, column + 9));
            var (h0, h1, h2, h3) = (Bits.ToBFloat16(x0), Bits.ToBFloat16(x1), Bits.ToBFloat16(x2), Bits.ToBFloat16(x3));
            a.Packed[item] = new Word4
            {
                X = h0 | (h1 << 16),
                Y = h2 | (h3 << 16),
                Z = Rest(x0, h0) | (Rest(x1, h1) << 16),
                W = Rest(x2, h2) | (Rest(x3, h3) << 16),
            };
        }
    }

    /// <summary>An item is a lane of a warp that has a tile and a segment, for eight rows. Only CUDA devices compile it.</summary>
    public static void Run(Index1D index, Loop loop, Arguments a)
    {
        var tiles = a.Outputs / Outputs;
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (lane, warp) = (item % Lanes, item / Lanes);
            var (tile, segment, eight) = (warp % tiles, warp / tiles % a.Segments, warp / tiles / a.Segments);
            var first = segment * a.SegmentSteps;
            var end = first + a.SegmentSteps;
            end = end < a.Steps ? end : a.Steps;
            Ref<float> c0 = 0f, c1 = 0f, c2 = 0f, c3 = 0f;
            for (var step = first; step < end; step++)
            {
                var w = a.Weights[((((long)tile * a.Steps) + step) * Lanes) + lane];
                var x = a.X[((((long)eight * a.Steps) + step) * Lanes) + lane];
                Input<uint> a0 = w.X, a1 = w.Y, a2 = w.Z, a3 = w.W, b0 = x.X, b1 = x.Y, r0 = x.Z, r1 = x.W;
                CudaAsm.EmitRef(
                    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};",
                    ref c0, ref c1, ref c2, ref c3, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1);
                CudaAsm.EmitRef(
                    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};",
                    ref c0, ref c1, ref c2, ref c3, ref a0, ref a1, ref a2, ref a3, ref r0, ref r1);
            }

            var row = ((long)segment * a.Rows) + (eight * 8) + (lane % 4 * 2);
            var y = (row * a.Outputs) + (tile * Outputs) + (lane / 4);
            a.Partials[y] = c0.Value;
            a.Partials[y + a.Outputs] = c1.Value;
            a.Partials[y + 8] = c2.Value;
            a.Partials[y + a.Outputs + 8] = c3.Value;
        }
    }

    private static float At(RowArguments a, long row, int column) => column < a.Stride ? a.X[row + column] : 0f;

    /// <summary>What a number's first part leaves; nothing of one that is infinite.</summary>
    private static uint Rest(float value, uint first)
    {
        var rest = value - Bits.BFloat16(first);
        return (first & 0x7F80) == 0x7F80 ? 0u : Bits.ToBFloat16(rest);
    }
}
