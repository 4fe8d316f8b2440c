using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NativeSpec.Sampling;

/// <summary>Moves the chosen lanes of a block of eight to its front, in order: one permutation for each of the 256 ways to choose. A vocabulary of
/// which some tokens stay is compacted block by block, each store writing over what the one before it left behind.</summary>
internal static class Compaction
{
    /// <summary>Lanes of a block.</summary>
    public const int BlockLength = 8;

    private static readonly Vector256<int>[] Orders = MakeOrders();

    /// <summary>The lanes whose bit is set, in order; what follows them is not defined.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ToFront(Vector256<float> block, uint chosen) => Vector256.ShuffleNative(block, Orders[(byte)chosen]);

    /// <inheritdoc cref="ToFront(Vector256{float}, uint)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> ToFront(Vector256<int> block, uint chosen) => Vector256.ShuffleNative(block, Orders[(byte)chosen]);

    private static Vector256<int>[] MakeOrders()
    {
        var orders = new Vector256<int>[1 << BlockLength];
        Span<int> lanes = stackalloc int[BlockLength];
        for (var chosen = 0u; chosen < orders.Length; chosen++)
        {
            lanes.Clear();
            var count = 0;
            for (var left = chosen; left != 0; left &= left - 1)
            {
                lanes[count++] = BitOperations.TrailingZeroCount(left);
            }

            orders[chosen] = Vector256.Create<int>(lanes);
        }

        return orders;
    }
}
