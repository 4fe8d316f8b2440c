namespace NativeSpec.Tokenization.Patterns;

/// <summary>A part of a parsed pattern.</summary>
internal abstract record PatternNode
{
    /// <summary>Matches nothing, everywhere.</summary>
    public static PatternNode Empty { get; } = new Sequence([]);

    /// <summary>One code point of a set.</summary>
    public sealed record One(CharSet Set) : PatternNode;

    /// <summary>One part after the other.</summary>
    public sealed record Sequence(IReadOnlyList<PatternNode> Parts) : PatternNode;

    /// <summary>The first of the alternatives with which the whole pattern matches.</summary>
    public sealed record Choice(IReadOnlyList<PatternNode> Parts) : PatternNode;

    /// <summary>A part several times: as often as possible, or if lazy as seldom. A negative <paramref name="Max"/> is no bound.</summary>
    public sealed record Repeat(PatternNode Part, int Min, int Max, bool Lazy = false) : PatternNode;

    /// <summary>A look-ahead: whether the part matches here (or does not), without taking anything.</summary>
    public sealed record Ahead(PatternNode Part, bool Negative) : PatternNode;

    /// <summary>A look-behind of one code point: whether the one before is of the set (or is not, or is none).</summary>
    public sealed record Behind(CharSet Set, bool Negative) : PatternNode;
}

/// <summary>What a pattern asks for that is not supported or makes no sense; the reader of the file adds the place.</summary>
internal sealed class PatternException(string message) : Exception(message);

/// <summary>Where two kinds of regular expressions read the same text differently.</summary>
internal enum PatternDialect
{
    /// <summary>Oniguruma with Ruby's syntax, which Hugging Face's tokenizers use: <c>^</c> and <c>$</c> are of lines, and a <c>+</c> after
    /// <c>{1,3}</c> repeats.</summary>
    Oniguruma,

    /// <summary>The syntax of Perl, which tiktoken uses: <c>^</c> and <c>$</c> are of the text, and a <c>+</c> after <c>{1,3}</c> is
    /// possessive.</summary>
    Perl,
}
