using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NativeSpec.Training.Compute;

/// <summary>to[c·toStride + r] = from[r·fromStride + c], tile by tile: a tile is 16 × 16, a cache line of each of its rows on both sides.</summary>
internal static unsafe class Transposition
{
    /// <summary>Rows and columns of a tile.</summary>
    public const int Tile = 16;

    /// <summary>Turns a block of [rows, columns] into one of [columns, rows].</summary>
    public static void Turn(float* from, nint fromStride, int rows, int columns, float* to, nint toStride)
    {
        for (var row = 0; row < rows; row += Tile)
        {
            for (var column = 0; column < columns; column += Tile)
            {
                TurnTile(
                    from + (row * fromStride) + column, fromStride, Math.Min(Tile, rows - row), Math.Min(Tile, columns - column),
                    to + (column * toStride) + row, toStride);
            }
        }
    }

    private static void TurnTile(float* from, nint fromStride, int rows, int columns, float* to, nint toStride)
    {
        if (Avx512F.IsSupported && rows == Tile && columns == Tile)
        {
            TurnTile512(from, fromStride, to, toStride);
            return;
        }

        for (var column = 0; column < columns; column++)
        {
            for (var row = 0; row < rows; row++)
            {
                to[(column * toStride) + row] = from[(row * fromStride) + column];
            }
        }
    }

    /// <summary>Eklundh's (1972) four exchanges: quarters of the tile across its diagonal, then quarters of the quarters, down to single
    /// numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TurnTile512(float* from, nint fromStride, float* to, nint toStride)
    {
        var tile = stackalloc float[Tile * Tile];
        for (var row = Tile; row < 2 * Tile; row++)
        {
            Sse.Prefetch0(from + (row * fromStride)); // the next tile's: its lines lie too far apart for the processor to foresee
        }

        Exchange(from, fromStride, tile, Tile, 8);
        Exchange(tile, Tile, tile, Tile, 4);
        Exchange(tile, Tile, tile, Tile, 2);
        Exchange(tile, Tile, to, toStride, 1);
    }

    /// <summary>Rows r and r + distance, r without that bit, exchange the columns with it of the one for those without it of the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)] // so that the distance is a constant
    private static void Exchange(float* from, nint fromStride, float* to, nint toStride, int distance)
    {
        // In the two rows end to end: what becomes the first, and what becomes the second.
        var lane = Vector512.Create(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        var isFar = ~Vector512.Equals(lane & Vector512.Create(distance), Vector512<int>.Zero);
        var first = Vector512.ConditionalSelect(isFar, lane + Vector512.Create(Tile - distance), lane);
        var second = Vector512.ConditionalSelect(isFar, lane + Vector512.Create(Tile), lane + Vector512.Create(distance));
        for (var half = 0; half < Tile; half += 2 * distance)
        {
            for (var row = half; row < half + distance; row++)
            {
                var a = Vector512.Load(from + (row * fromStride));
                var b = Vector512.Load(from + ((row + distance) * fromStride));
                Avx512F.PermuteVar16x32x2(a, first, b).Store(to + (row * toStride));
                Avx512F.PermuteVar16x32x2(a, second, b).Store(to + ((row + distance) * toStride));
            }
        }
    }
}
