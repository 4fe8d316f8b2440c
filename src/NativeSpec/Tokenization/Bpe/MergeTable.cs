namespace NativeSpec.Tokenization.Bpe;

/// <summary>The merges of a BPE model: a pair of neighbouring symbols to its rank (lower is sooner) and the token that it becomes.
/// Open addressing; the multiplier is drawn per table so that no file can choose colliding pairs.</summary>
internal sealed class MergeTable
{
    /// <summary>The rank of a pair that does not merge.</summary>
    public const int NoRank = int.MaxValue;

    /// <summary>Most merges that a reader may derive from a vocabulary without a list of merges (Llama 3 has 280 thousand).</summary>
    public const int MaxDerived = 16_000_000;

    private readonly ulong _multiplier = (ulong)Random.Shared.NextInt64() | 1;
    private Entry[] _entries;
    private int _shift;

    /// <summary>Makes a table with room for <paramref name="capacity"/> merges; it grows as needed.</summary>
    public MergeTable(int capacity)
    {
        var bits = Math.Max(4, 65 - System.Numerics.BitOperations.LeadingZeroCount((ulong)capacity));
        _entries = new Entry[1 << bits];
        _shift = 64 - bits;
    }

    /// <summary>How many pairs merge.</summary>
    public int Count { get; private set; }

    /// <summary>Sets the merge of a pair; a later one replaces an earlier one.</summary>
    public void Set(int left, int right, int rank, int token)
    {
        if (Count * 2 >= _entries.Length)
        {
            Grow();
        }

        ref var entry = ref _entries[Slot(left, right)];
        Count += entry.IsUsed ? 0 : 1;
        entry = new() { Left = left, Right = right, RankPlusOne = rank + 1, Token = token };
    }

    /// <summary>The rank of a pair, or <see cref="NoRank"/>, and the token that it becomes.</summary>
    public int Find(int left, int right, out int token)
    {
        ref readonly var entry = ref _entries[Slot(left, right)];
        token = entry.Token;
        return entry.IsUsed ? entry.RankPlusOne - 1 : NoRank;
    }

    private int Slot(int left, int right)
    {
        var key = ((ulong)(uint)left << 32) | (uint)right;
        key ^= key >> 29;
        var slot = (int)((key * _multiplier) >> _shift);
        while (true)
        {
            ref readonly var entry = ref _entries[slot];
            if (!entry.IsUsed || (entry.Left == left && entry.Right == right))
            {
                return slot;
            }

            slot = (slot + 1) & (_entries.Length - 1);
        }
    }

    private void Grow()
    {
        var old = _entries;
        _entries = new Entry[old.Length * 2];
        _shift--;
        foreach (var entry in old)
        {
            if (entry.IsUsed)
            {
                _entries[Slot(entry.Left, entry.Right)] = entry;
            }
        }
    }

    private struct Entry
    {
        public int Left;
        public int Right;
        public int RankPlusOne;
        public int Token;

        public readonly bool IsUsed => RankPlusOne != 0;
    }
}
