namespace NativeSpec.Backends;

/// <summary>One forward's rows as plain data, the only thing a backend learns about trees and sequences where it does not walk (<see cref="ITreeWalks"/>). Arrays are pinned and sized
/// once; a round fills them anew.</summary>
/// <remarks>
/// <para>A row at position P sees the positions 0..P. Of these, the first <see cref="Trunk"/>[row] lie in their own slot: position p is
/// cache row <c>Pages[PageStart[row] + p / PageSize] · PageSize + p % PageSize</c>. The others, which are its last ancestors and itself
/// when they branch off, lie where <see cref="PathRows"/>[<see cref="PathStart"/>[row] + (p − Trunk)] says. A chain is all trunk.</para>
/// <para>That is the tree mask: two numbers and a short list per row, with no matrix of rows × context.</para>
/// </remarks>
internal sealed class RowBatch
{
    /// <summary>Positions per page of cache rows.</summary>
    public const int PageSize = 64;

    /// <summary>Makes an empty batch that can hold what its arguments say.</summary>
    /// <param name="maxRows">Most rows of one forward.</param>
    /// <param name="maxPages">Most page numbers of all sequences in one forward.</param>
    /// <param name="angles">The angles by which rows at their positions turn; null where nothing is rotated.</param>
    public RowBatch(int maxRows, int maxPages, RotationAngles? angles = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxRows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPages, 1);
        MaxRows = maxRows;
        Angles = angles;
        Tokens = Pinned<int>(maxRows);
        Positions = Pinned<int>(maxRows);
        KvRows = Pinned<int>(maxRows);
        Trunk = Pinned<int>(maxRows);
        PageStart = Pinned<int>(maxRows);
        PathStart = Pinned<int>(maxRows);
        Pages = Pinned<int>(maxPages);
        // A row's list is at most its depth, and a tree of n nodes has at most n(n+1)/2 depths in all.
        PathRows = Pinned<int>(checked(maxRows * (maxRows + 1) / 2));
        LogitRows = Pinned<int>(maxRows);
    }

    /// <summary>The angles of rotation, by position; null where nothing is rotated.</summary>
    public RotationAngles? Angles { get; }

    /// <summary>Their cosines, for kernels; null where nothing is rotated.</summary>
    public unsafe float* Cos => Angles is { } angles ? angles.Cos : null;

    /// <summary>Their sines.</summary>
    public unsafe float* Sin => Angles is { } angles ? angles.Sin : null;

    /// <summary>Most rows.</summary>
    public int MaxRows { get; }

    /// <summary>Rows in use.</summary>
    public int Count { get; set; }

    /// <summary>Entries of <see cref="LogitRows"/> in use.</summary>
    public int LogitCount { get; set; }

    /// <summary>Entries of <see cref="Pages"/> in use.</summary>
    public int PageCount { get; set; }

    /// <summary>Entries of <see cref="PathRows"/> in use.</summary>
    public int PathCount { get; set; }

    /// <summary>[rows] token ids.</summary>
    public int[] Tokens { get; }

    /// <summary>[rows] absolute positions.</summary>
    public int[] Positions { get; }

    /// <summary>[rows] the cache row that takes this row's key and value.</summary>
    public int[] KvRows { get; }

    /// <summary>[rows] how many positions lie in their own slot.</summary>
    public int[] Trunk { get; }

    /// <summary>[rows] where this row's sequence begins in <see cref="Pages"/>.</summary>
    public int[] PageStart { get; }

    /// <summary>[rows] where this row's list begins in <see cref="PathRows"/>.</summary>
    public int[] PathStart { get; }

    /// <summary>Page numbers, sequence after sequence.</summary>
    public int[] Pages { get; }

    /// <summary>Cache rows of the positions past the trunk, row after row.</summary>
    public int[] PathRows { get; }

    /// <summary>[logit rows] rows whose logits are wanted.</summary>
    public int[] LogitRows { get; }

    /// <summary>Empties the batch.</summary>
    public void Clear()
    {
        Count = 0;
        LogitCount = 0;
        PageCount = 0;
        PathCount = 0;
    }

    /// <summary>Refuses rows that point outside what they are computed with, so that no kernel needs to look.</summary>
    /// <param name="tokens">Rows of the embedding table.</param>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside.</exception>
    public void Require(int tokens)
    {
        RequireBelow(Count, MaxRows + 1, "rows of");
        RequireBelow(LogitCount, MaxRows + 1, "rows with logits of");
        RequireAll(LogitRows.AsSpan(0, LogitCount), Count, "row with logits");
        RequireAll(Tokens.AsSpan(0, Count), tokens, "token");
    }

    /// <summary>Refuses rows whose keys and values would go outside the cache.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside.</exception>
    public void RequireKvRows(int cacheRows) => RequireAll(KvRows.AsSpan(0, Count), cacheRows, "cache row");

    /// <summary>Refuses rows at positions whose angles are not known.</summary>
    /// <param name="rotaryDim">Elements of a head that are rotated.</param>
    /// <param name="cacheRows">Rows of the cache: there are no more positions.</param>
    /// <exception cref="ArgumentException">There are no such angles, or none for a position.</exception>
    public void RequireAngles(int rotaryDim, int cacheRows)
    {
        if (Angles?.RotaryDim != rotaryDim)
        {
            throw new ArgumentException($"a batch with angles for {Angles?.RotaryDim ?? 0} rotated elements of a head; this program rotates {rotaryDim}");
        }

        RequireAll(Positions.AsSpan(0, Count), Math.Min(Angles.Known, cacheRows), "position");
    }

    /// <summary>Refuses rows that would see what is not in the cache.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside.</exception>
    public void RequireSight(int cacheRows)
    {
        RequireBelow(PageCount, Pages.Length + 1, "pages of");
        RequireBelow(PathCount, PathRows.Length + 1, "path rows of");
        RequireAll(Pages.AsSpan(0, PageCount), cacheRows / PageSize, "page");
        RequireAll(PathRows.AsSpan(0, PathCount), cacheRows, "cache row");
        for (var row = 0; row < Count; row++)
        {
            var (seen, trunk) = (Positions[row] + 1L, (long)Trunk[row]);
            var inTrunk = Math.Min(trunk, seen);
            if (seen < 1 || trunk < 0 || PageStart[row] < 0 || PathStart[row] < 0
                || PageStart[row] + ((inTrunk + PageSize - 1) / PageSize) > PageCount || PathStart[row] + (seen - inTrunk) > PathCount)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(cacheRows), $"row {row} sees {seen} positions, {trunk} of them in its trunk: past the batch's {PageCount} pages or {PathCount} path rows");
            }
        }
    }

    private static void RequireAll(ReadOnlySpan<int> values, int limit, string what)
    {
        foreach (var value in values)
        {
            RequireBelow(value, limit, what);
        }
    }

    private static void RequireBelow(int value, int limit, string what)
    {
        if ((uint)value >= (uint)limit)
        {
            throw new ArgumentOutOfRangeException(nameof(value), $"{what} {value}; expected 0 to {limit - 1}");
        }
    }

    private static T[] Pinned<T>(int length)
        where T : unmanaged
        => GC.AllocateArray<T>(length, pinned: true);
}
