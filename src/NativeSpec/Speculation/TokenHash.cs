namespace NativeSpec.Speculation;

/// <summary>A hash of tokens that is the same on every machine and in every version, so that what is keyed by it comes again.</summary>
internal static class TokenHash
{
    /// <summary>FNV-1a of 64 bits, a token at a time (Fowler, Noll, Vo).</summary>
    public static ulong Of(ReadOnlySpan<int> tokens)
    {
        var hash = 0xCBF29CE484222325UL;
        foreach (var token in tokens)
        {
            hash = unchecked((hash ^ (uint)token) * 0x100000001B3);
        }

        return hash;
    }
}
