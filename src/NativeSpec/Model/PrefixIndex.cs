using System.Runtime.InteropServices;
using System.Security.Cryptography;
using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>Which pages hold which beginnings of texts (a hash table of pages by what is before them and what is in them, as in vLLM's automatic
/// prefix caching; Kwon et al., 2023), and which of those that nobody holds has been unused for longest.</summary>
/// <remarks>
/// <para>A full page is named once its tokens are committed: it gets a number that is never given again. It is found by its parent's number
/// and its own tokens, so equal tokens after different beginnings are different pages. A text's first page has a root for its parent: one for
/// all that give no salt, and one for each salt.</para>
/// <para>The hash is multilinear with random keys (Carter and Wegman, 1979): whoever does not know them cannot make texts collide. And it only
/// finds a candidate: the tokens are compared, so a collision costs a page's sharing and never gives anybody another's keys and
/// values. All is sized once.</para>
/// </remarks>
internal sealed class PrefixIndex
{
    /// <summary>The root of texts without a salt.</summary>
    public const long NoSalt = 0;

    private const int None = -1;

    private readonly Dictionary<ulong, int> _pages;  // by hash
    private readonly ulong[] _keys = new ulong[RowBatch.PageSize + 3];
    private readonly byte[] _saltKey = RandomNumberGenerator.GetBytes(32);
    private readonly int[] _tokens;   // [pages, page size]
    private readonly long[] _parents; // [pages] number of the page before it, or a root
    private readonly long[] _numbers; // [pages] 0 where it has none
    private readonly int[] _older;    // [pages] its neighbours in the order of use
    private readonly int[] _newer;
    private int _oldest = None;
    private int _newest = None;
    private long _last;

    public PrefixIndex(int pages)
    {
        _pages = new Dictionary<ulong, int>(pages);
        RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(_keys.AsSpan()));
        _tokens = new int[checked(pages * RowBatch.PageSize)];
        (_parents, _numbers) = (new long[pages], new long[pages]);
        (_older, _newer) = (new int[pages], new int[pages]);
    }

    /// <summary>Named pages that nobody holds.</summary>
    public int Unheld { get; private set; }

    /// <summary>The root of the texts with a salt: 63 bits of an HMAC under a random key, so that it says nothing of the salt, and no other
    /// salt can be found that has it. Of the characters as they are: half of a surrogate pair has no UTF-8, and all such would be one.</summary>
    public long RootOf(string? salt) => salt is null ? NoSalt
        : BitConverter.ToInt64(HMACSHA256.HashData(_saltKey, MemoryMarshal.AsBytes(salt.AsSpan()))) | long.MinValue; // negative: pages' numbers are not

    /// <summary>The number of a page; 0 where it has none.</summary>
    public long NumberOf(int page) => _numbers[page];

    /// <summary>The page that holds these tokens after those of another; −1 where there is none.</summary>
    /// <param name="parent">The other page's number, or a root.</param>
    /// <param name="tokens">[page size].</param>
    public int Find(long parent, ReadOnlySpan<int> tokens)
        => _pages.TryGetValue(Hash(parent, tokens), out var page) && _parents[page] == parent && TokensOf(page).SequenceEqual(tokens) ? page : None;

    /// <summary>Names a page by what it holds.</summary>
    /// <returns>Whether it can be found from now on.</returns>
    public bool TryName(int page, long parent, ReadOnlySpan<int> tokens)
    {
        if (!_pages.TryAdd(Hash(parent, tokens), page))
        {
            return false;
        }

        tokens.CopyTo(TokensOf(page));
        (_parents[page], _numbers[page]) = (parent, ++_last);
        return true;
    }

    /// <summary>Nobody holds a named page any more: it may be found, or given to another text after all that were left before it.</summary>
    public void Leave(int page)
    {
        (_older[page], _newer[page]) = (_newest, None);
        (_newest == None ? ref _oldest : ref _newer[_newest]) = page;
        _newest = page;
        Unheld++;
    }

    /// <summary>Somebody holds a named page again.</summary>
    public void Take(int page)
    {
        var (older, newer) = (_older[page], _newer[page]);
        (older == None ? ref _oldest : ref _newer[older]) = newer;
        (newer == None ? ref _newest : ref _older[newer]) = older;
        Unheld--;
    }

    /// <summary>Forgets the page that has been left for longest, which then is free. What is after it in a text was left before it, and is
    /// forgotten already: whoever holds a page holds those before it.</summary>
    public int ForgetOldest()
    {
        var page = _oldest;
        Take(page);
        _pages.Remove(Hash(_parents[page], TokensOf(page)));
        _numbers[page] = 0;
        return page;
    }

    private Span<int> TokensOf(int page) => _tokens.AsSpan(page * RowBatch.PageSize, RowBatch.PageSize);

    private ulong Hash(long parent, ReadOnlySpan<int> tokens)
    {
        var hash = _keys[0] + (_keys[1] * (uint)parent) + (_keys[2] * (uint)(parent >> 32));
        for (var i = 0; i < tokens.Length; i++)
        {
            hash += _keys[i + 3] * (uint)tokens[i];
        }

        return hash;
    }
}
