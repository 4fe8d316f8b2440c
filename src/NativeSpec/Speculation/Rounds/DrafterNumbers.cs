namespace NativeSpec.Speculation.Rounds;

/// <summary>The numbers under which drafters' acceptance is known. Drafters of one name share what is known; a name that no request uses gives
/// its number up when another name needs one, the longest unused first, so what is kept stays within bounds whatever requests call
/// their own drafters.</summary>
/// <param name="most">How many numbers there are.</param>
/// <param name="forget">Forgets what was learnt under a number, because another drafter gets it.</param>
internal sealed class DrafterNumbers(int most, Action<int> forget)
{
    private readonly List<Entry> _entries = []; // [number]
    private long _now;

    /// <summary>Names that have a number.</summary>
    public int Count => _entries.Count;

    /// <summary>Gives a name its number, until it is returned as often as it was taken.</summary>
    /// <exception cref="InvalidOperationException">All numbers are in use.</exception>
    public int Take(string name)
    {
        var number = _entries.FindIndex(entry => entry.Name == name);
        if (number < 0)
        {
            var entry = new Entry(name, 0, 0);
            number = _entries.Count < most ? Add(entry) : Reuse(entry);
        }

        _entries[number] = _entries[number] with { Users = _entries[number].Users + 1 };
        return number;
    }

    /// <summary>Notes that a user of a number is done.</summary>
    public void Return(int number) => _entries[number] = _entries[number] with { Users = _entries[number].Users - 1, LastUsed = ++_now };

    private int Add(Entry entry)
    {
        _entries.Add(entry);
        return _entries.Count - 1;
    }

    private int Reuse(Entry entry)
    {
        var unused = -1;
        for (var i = 0; i < _entries.Count; i++)
        {
            unused = _entries[i].Users == 0 && (unused < 0 || _entries[i].LastUsed < _entries[unused].LastUsed) ? i : unused;
        }

        if (unused < 0)
        {
            throw new InvalidOperationException($"drafters of {most} names are at work already: give those that are alike one name");
        }

        forget(unused);
        _entries[unused] = entry;
        return unused;
    }

    private sealed record Entry(string Name, int Users, long LastUsed);
}
