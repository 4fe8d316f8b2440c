using System.Globalization;
using System.Runtime.InteropServices;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>The letters that a pattern tells apart: code points that are in the same of its sets are one letter.</summary>
internal sealed class CharAlphabet
{
    private const int CategoryCount = 30;

    private readonly int[] _bounds; // the first code points of the intervals in which membership depends on the category alone
    private readonly ushort[] _letters; // [interval, category]
    private readonly ushort[] _plane0 = new ushort[char.MaxValue + 1];
    private readonly List<ulong[]> _members = []; // of each letter, a bit for each set

    /// <summary>Makes the alphabet of the sets.</summary>
    public CharAlphabet(IReadOnlyList<CharSet> sets)
    {
        var bounds = new SortedSet<int> { 0 };
        foreach (var set in sets)
        {
            set.CollectBounds(bounds);
        }

        _bounds = [.. bounds.Where(b => b <= 0x10FFFF)];
        _letters = new ushort[_bounds.Length * CategoryCount];
        var known = new Dictionary<byte[], ushort>(Bpe.TokenBytesComparer.Instance);
        var member = new ulong[(sets.Count + 63) / 64];
        for (var i = 0; i < _letters.Length; i++)
        {
            Array.Clear(member);
            for (var set = 0; set < sets.Count; set++)
            {
                member[set / 64] |= sets[set].Has(_bounds[i / CategoryCount], (UnicodeCategory)(i % CategoryCount)) ? 1ul << (set % 64) : 0;
            }

            var key = MemoryMarshal.AsBytes(member.AsSpan()).ToArray();
            if (!known.TryGetValue(key, out var letter))
            {
                letter = _members.Count <= ushort.MaxValue ? (ushort)_members.Count : throw new PatternException($"it tells more than {ushort.MaxValue} kinds of characters apart");
                known.Add(key, letter);
                _members.Add((ulong[])member.Clone());
            }

            _letters[i] = letter;
        }

        for (var c = 0; c < _plane0.Length; c++)
        {
            _plane0[c] = Find(c);
        }
    }

    /// <summary>How many letters there are.</summary>
    public int Count => _members.Count;

    /// <summary>Whether the letter is in a set.</summary>
    public bool Has(int letter, int set) => (_members[letter][set / 64] >> (set % 64) & 1) != 0;

    /// <summary>The letter that begins at a place, and its length in UTF-16 units.</summary>
    public int At(ReadOnlySpan<char> text, int index, out int length)
    {
        var first = text[index];
        if (char.IsHighSurrogate(first) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            length = 2;
            return Find(char.ConvertToUtf32(first, text[index + 1]));
        }

        length = 1;
        return _plane0[first];
    }

    /// <summary>The letter that ends before a place, which is not the start, and its length in UTF-16 units.</summary>
    public int Before(ReadOnlySpan<char> text, int index, out int length)
    {
        var isPair = index >= 2 && char.IsLowSurrogate(text[index - 1]) && char.IsHighSurrogate(text[index - 2]);
        return At(text, isPair ? index - 2 : index - 1, out length);
    }

    private ushort Find(int codePoint)
    {
        var interval = Array.BinarySearch(_bounds, codePoint);
        return _letters[((interval < 0 ? ~interval - 1 : interval) * CategoryCount) + (int)CharUnicodeInfo.GetUnicodeCategory(codePoint)];
    }
}
