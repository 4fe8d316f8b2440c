namespace NativeSpec.Speculation;

/// <summary>One sequence of a <see cref="DraftBatch"/>.</summary>
/// <param name="Session">What <see cref="IDrafterSource.Start"/> made for it.</param>
/// <param name="Context">Its text and budget.</param>
/// <param name="Tree">Its tree of this round, with what was proposed before.</param>
public readonly record struct DraftItem(IDrafter Session, DraftContext Context, DraftTree Tree);

/// <summary>The sequences that a drafter which computes is asked for in one call.</summary>
/// <remarks>The engine keeps one batch for each source and fills it anew each round, so a batch must not be kept. Allocates when it meets
/// more sequences than before, and not otherwise.</remarks>
public sealed class DraftBatch
{
    private readonly List<DraftItem> _items = [];
    private readonly List<int> _rows = [];
    private long _allRows;

    /// <summary>Sequences in the batch.</summary>
    public int Count => _items.Count;

    /// <summary>A sequence.</summary>
    /// <param name="index">0 to <see cref="Count"/> − 1.</param>
    public DraftItem this[int index] => _items[index];

    /// <summary>Adds a sequence.</summary>
    public void Add(in DraftItem item)
    {
        ArgumentNullException.ThrowIfNull(item.Session, nameof(item));
        ArgumentNullException.ThrowIfNull(item.Context, nameof(item));
        ArgumentNullException.ThrowIfNull(item.Tree, nameof(item));
        _items.Add(item);
        _rows.Add(0);
    }

    /// <summary>Removes all sequences.</summary>
    public void Clear()
    {
        _items.Clear();
        _rows.Clear();
        _allRows = 0;
    }

    /// <summary>Notes rows that were computed for a sequence: the time of a call is charged to its sequences by their rows, to all equally
    /// where none were noted.</summary>
    /// <param name="index">The sequence.</param>
    /// <param name="rows">How many rows, 0 or more.</param>
    public void CountRows(int index, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        _rows[index] += rows;
        _allRows += rows;
    }

    /// <summary>Rows that were noted, of all sequences.</summary>
    internal int Rows => (int)Math.Min(_allRows, int.MaxValue);

    /// <summary>A sequence's share of the time that a call took.</summary>
    /// <param name="index">The sequence.</param>
    /// <param name="ticks">The call's time.</param>
    internal long ShareOf(int index, long ticks) => _allRows == 0 ? ticks / Count : (long)(ticks * ((double)_rows[index] / _allRows));
}
