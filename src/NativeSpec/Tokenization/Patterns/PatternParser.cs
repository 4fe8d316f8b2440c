using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>Parses a regular expression as tokenizer files have them: alternatives, groups, repetitions (greedy, lazy, possessive), classes
/// with intersections, categories and scripts, look-aheads of any form, look-behinds of one character. What cannot be matched in linear
/// time (references back) or exactly (most atomic groups) is refused.</summary>
internal sealed partial class PatternParser
{
    /// <summary>The longest pattern. The longest published one known has about 700 characters.</summary>
    public const int MaxLength = 20_000;

    private const int MaxDepth = 50;
    private const int MaxRepeat = 1000;

    private readonly string _text;
    private readonly PatternDialect _dialect;
    private int _at;
    private int _depth;
    private bool _ignoreCase;
    private bool _dotIsAll;

    private PatternParser(string text, PatternDialect dialect) => (_text, _dialect) = (text, dialect);

    private bool IsAtEnd => _at >= _text.Length;

    /// <summary>Parses a pattern.</summary>
    /// <exception cref="PatternException">The pattern is not supported or is none; the message says where and why.</exception>
    public static PatternNode Parse(string pattern, PatternDialect dialect)
    {
        if (pattern.Length > MaxLength)
        {
            throw new PatternException($"it has {pattern.Length} characters, more than {MaxLength}");
        }

        var parser = new PatternParser(pattern, dialect);
        var node = parser.ParseChoice();
        return parser.IsAtEnd ? node : throw parser.Bad("a ')' without its '('");
    }

    /// <summary>The error at the place that has been reached.</summary>
    private PatternException Bad(string problem) => new($"{problem} at character {Math.Min(_at, _text.Length)}");

    private PatternNode ParseChoice()
    {
        if (++_depth > MaxDepth)
        {
            throw Bad($"more than {MaxDepth} groups within each other");
        }

        var (ignoreCase, dotIsAll) = (_ignoreCase, _dotIsAll);
        var parts = new List<PatternNode> { ParseSequence() };
        while (Take('|'))
        {
            parts.Add(ParseSequence());
        }

        (_ignoreCase, _dotIsAll) = (ignoreCase, dotIsAll);
        _depth--;
        return parts.Count == 1 ? parts[0]
            : parts.TrueForAll(part => part is PatternNode.One) ? new PatternNode.One(new CharSet.Union([.. parts.Select(part => ((PatternNode.One)part).Set)]))
            : new PatternNode.Choice(parts);
    }

    private PatternNode ParseSequence()
    {
        var parts = new List<PatternNode>();
        while (!IsAtEnd && _text[_at] is not ('|' or ')'))
        {
            parts.Add(ParseRepeats(ParseAtom()));
        }

        return parts.Count == 1 ? parts[0] : new PatternNode.Sequence(parts);
    }

    private PatternNode ParseRepeats(PatternNode part)
    {
        while (ParseCounts() is var (min, max, isInterval))
        {
            if (max >= 0 && min > max)
            {
                throw Bad($"a repetition of {min} to {max}");
            }

            if (part is PatternNode.Repeat or PatternNode.Choice && ++_depth > MaxDepth)
            {
                throw Bad($"more than {MaxDepth} repetitions of repetitions");
            }

            var possessive = !isInterval || _dialect == PatternDialect.Perl;
            if (possessive && Take('+'))
            {
                part = Possessive(new(part, min, max));
            }
            else
            {
                part = new PatternNode.Repeat(part, min, max, Lazy: Take('?'));
            }
        }

        return part;
    }

    // A brace that begins no count is an ordinary character.
    private (int Min, int Max, bool IsInterval)? ParseCounts()
    {
        if (IsAtEnd)
        {
            return null;
        }

        switch (_text[_at])
        {
            case '*':
                _at++;
                return (0, -1, false);
            case '+':
                _at++;
                return (1, -1, false);
            case '?':
                _at++;
                return (0, 1, false);
            case '{':
                var close = _text.IndexOf('}', _at);
                var bounds = close < 0 ? [] : _text[(_at + 1)..close].Split(',');
                if (bounds.Length is not (1 or 2) || !bounds.All(b => b.All(char.IsAsciiDigit)) || bounds.All(b => b.Length == 0))
                {
                    return null;
                }

                _at = close + 1;
                var min = bounds[0].Length == 0 ? 0 : Count(bounds[0]);
                return (min, bounds.Length == 1 ? min : bounds[1].Length == 0 ? -1 : Count(bounds[1]), true);
            default:
                return null;
        }
    }

    private int Count(string digits) => int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count <= MaxRepeat
        ? count
        : throw Bad($"a repetition of {digits} (the most is {MaxRepeat})");

    private PatternNode ParseAtom()
    {
        var c = _text[_at];
        switch (c)
        {
            case '(':
                return ParseGroup();
            case '[':
                return new PatternNode.One(new CharClassParser(this).Parse());
            case '.':
                _at++;
                return new PatternNode.One(_dotIsAll ? CharSet.All : CharSet.Of('\n').Complement());
            case '^':
                _at++;
                return new PatternNode.Behind(_dialect == PatternDialect.Oniguruma ? CharSet.Of('\n').Complement() : CharSet.All, Negative: true);
            case '$':
                _at++;
                return _dialect == PatternDialect.Oniguruma ? new PatternNode.Choice([new PatternNode.Ahead(Literal('\n'), false), EndOfText]) : EndOfText;
            case '*' or '+' or '?':
                throw Bad($"a '{c}' with nothing before it");
            case '\\':
                return ParseEscape();
            default:
                return new PatternNode.One(Cased(CharSet.Of(TakeRune())));
        }
    }

    private static PatternNode EndOfText { get; } = new PatternNode.Ahead(new PatternNode.One(CharSet.All), Negative: true);

    private static PatternNode.One Literal(int codePoint) => new(CharSet.Of(codePoint));

    private PatternNode ParseGroup()
    {
        _at++;
        if (!Take('?'))
        {
            return Close(ParseChoice());
        }

        if (Take("<=") || Take("<!"))
        {
            var negative = _text[_at - 1] == '!';
            return Close(ParseChoice()) is PatternNode.One one
                ? new PatternNode.Behind(one.Set, negative)
                : throw Bad("a look-behind of more than one character");
        }

        if (Take(':'))
        {
            return Close(ParseChoice());
        }

        if (Take('='))
        {
            return new PatternNode.Ahead(Close(ParseChoice()), Negative: false);
        }

        if (Take('!'))
        {
            return new PatternNode.Ahead(Close(ParseChoice()), Negative: true);
        }

        if (Take('>'))
        {
            return Atomic(Close(ParseChoice()));
        }

        if (Take('#'))
        {
            var end = _text.IndexOf(')', _at);
            _at = end < 0 ? throw Bad("a comment that does not end") : end + 1;
            return PatternNode.Empty;
        }

        if (Take('<') || Take("P<"))
        {
            var end = _text.IndexOf('>', _at);
            _at = end < 0 ? throw Bad("a group name that does not end") : end + 1;
            return Close(ParseChoice());
        }

        return ParseFlags();
    }

    // (?i:…), (?-i:…), and (?i) for the rest of the group. That a dot is any character is the flag m in Ruby and s in Perl.
    private PatternNode ParseFlags()
    {
        var (ignoreCase, dotIsAll) = (_ignoreCase, _dotIsAll);
        var value = true;
        for (; !IsAtEnd && _text[_at] is not (')' or ':'); _at++)
        {
            switch (_text[_at])
            {
                case '-':
                    value = false;
                    break;
                case 'i':
                    _ignoreCase = value;
                    break;
                case 'm' when _dialect == PatternDialect.Oniguruma:
                case 's' when _dialect == PatternDialect.Perl:
                    _dotIsAll = value;
                    break;
                case 'u' when _dialect == PatternDialect.Perl:
                    break;
                default:
                    throw Bad("a kind of group that is not supported");
            }
        }

        if (Take(')'))
        {
            return PatternNode.Empty;
        }

        if (!Take(':'))
        {
            throw Bad("a '(' without its ')'");
        }

        var node = Close(ParseChoice());
        (_ignoreCase, _dotIsAll) = (ignoreCase, dotIsAll);
        return node;
    }

    private PatternNode Close(PatternNode node) => Take(')') ? node : throw Bad("a '(' without its ')'");

    // What is taken greedily and never given back: for one set, "and no further one follows" says the same.
    private PatternNode Possessive(PatternNode.Repeat repeat)
    {
        if (repeat.Min == repeat.Max)
        {
            return new PatternNode.Sequence([Atomic(repeat)]);
        }

        if (repeat.Part is not PatternNode.One one)
        {
            throw Bad("a possessive repetition of more than one character");
        }

        var noMore = new PatternNode.Ahead(one, Negative: true);
        return repeat.Max < 0
            ? new PatternNode.Sequence([repeat, noMore])
            : new PatternNode.Choice(
            [
                repeat with { Min = repeat.Max },
                new PatternNode.Sequence([repeat with { Max = repeat.Max - 1 }, noMore]),
            ]);
    }

    // A group that matches in one way only has nothing to give back, so it is atomic as it stands.
    private PatternNode Atomic(PatternNode node) => HasOneWay(node) ? node
        : node is PatternNode.Repeat { Lazy: false } repeat && (repeat.Part is PatternNode.One) ? Possessive(repeat)
        : throw Bad("an atomic group that can match in several ways");

    private static bool HasOneWay(PatternNode node) => node switch
    {
        PatternNode.One or PatternNode.Ahead or PatternNode.Behind => true,
        PatternNode.Sequence sequence => sequence.Parts.All(HasOneWay),
        PatternNode.Repeat repeat => repeat.Min == repeat.Max && HasOneWay(repeat.Part),
        _ => false,
    };

    private bool Take(char c)
    {
        if (IsAtEnd || _text[_at] != c)
        {
            return false;
        }

        _at++;
        return true;
    }

    private bool Take(string text)
    {
        if (!_text.AsSpan(_at).StartsWith(text, StringComparison.Ordinal))
        {
            return false;
        }

        _at += text.Length;
        return true;
    }

    private int TakeRune()
    {
        if (!Rune.TryGetRuneAt(_text, _at, out var rune))
        {
            throw Bad("half a surrogate pair");
        }

        _at += rune.Utf16SequenceLength;
        return rune.Value;
    }
}
