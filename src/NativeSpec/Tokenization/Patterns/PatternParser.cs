using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>Parses a regular expression as tokenizer files have them: alternatives, groups, repetitions (greedy, lazy, possessive), classes
/// with intersections, categories and scripts, look-aheads of any form, look-behinds of one character. What cannot be matched in linear
/// time (references back) or exactly (most atomic groups) is refused.</summary>
internal sealed class PatternParser
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

    private PatternNode ParseEscape()
    {
        if (_at + 1 >= _text.Length)
        {
            throw Bad("a '\\' with nothing after it");
        }

        var word = new PatternNode.One(CharSet.Word);
        switch (_text[_at + 1])
        {
            case 'b' or 'B':
                var atEdge = _text[_at + 1] == 'b';
                _at += 2;
                return new PatternNode.Choice(
                [
                    new PatternNode.Sequence([new PatternNode.Behind(CharSet.Word, false), new PatternNode.Ahead(word, atEdge)]),
                    new PatternNode.Sequence([new PatternNode.Behind(CharSet.Word, true), new PatternNode.Ahead(word, !atEdge)]),
                ]);
            case 'A':
                _at += 2;
                return new PatternNode.Behind(CharSet.All, Negative: true);
            case 'z':
                _at += 2;
                return EndOfText;
            case 'Z':
                _at += 2;
                return new PatternNode.Ahead(new PatternNode.Sequence([new PatternNode.Repeat(Literal('\n'), 0, 1), EndOfText]), Negative: false);
            case 'R':
                _at += 2;
                var pair = new PatternNode.Sequence([Literal('\r'), Literal('\n')]);
                var single = new PatternNode.One(new CharSet.Ranges([(10, 13), (0x85, 0x85), (0x2028, 0x2029)]));
                return new PatternNode.Choice([pair, new PatternNode.Sequence([new PatternNode.Ahead(pair, true), single])]);
            default:
                return new PatternNode.One(ParseEscapedSet(inClass: false));
        }
    }

    /// <summary>Parses an escape that stands for a set of characters, in a class or outside.</summary>
    public CharSet ParseEscapedSet(bool inClass)
    {
        _at++;
        var c = IsAtEnd ? throw Bad("a '\\' with nothing after it") : _text[_at++];
        return c switch
        {
            'w' or 'W' when inClass => c == 'w' ? CharSet.WordProperty : CharSet.WordProperty.Complement(), // so does Oniguruma
            's' => CharSet.Space,
            'S' => CharSet.Space.Complement(),
            'd' => CharSet.Digit,
            'D' => CharSet.Digit.Complement(),
            'w' => CharSet.Word,
            'W' => CharSet.Word.Complement(),
            'h' when _dialect == PatternDialect.Oniguruma => HexDigit,
            'H' when _dialect == PatternDialect.Oniguruma => HexDigit.Complement(),
            'n' => CharSet.Of('\n'),
            'r' => CharSet.Of('\r'),
            't' => CharSet.Of('\t'),
            'f' => CharSet.Of('\f'),
            'v' => CharSet.Of('\v'),
            'a' => CharSet.Of('\a'),
            'e' => CharSet.Of(0x1B),
            '0' => CharSet.Of(0),
            'x' or 'u' => Cased(CharSet.Of(ParseHex(c))),
            'p' or 'P' when _dialect == PatternDialect.Perl || (!IsAtEnd && _text[_at] == '{') => ParseProperty(c == 'P'),
            'p' or 'P' => Cased(CharSet.Of(c)), // so does Oniguruma
            _ when char.IsAsciiLetterOrDigit(c) => throw Bad($"'\\{c}'"),
            _ => LiteralAfterEscape(),
        };
    }

    private static CharSet HexDigit { get; } = new CharSet.Ranges([('0', '9'), ('A', 'F'), ('a', 'f')]);

    private CharSet LiteralAfterEscape()
    {
        _at--;
        return Cased(CharSet.Of(TakeRune()));
    }

    private int ParseHex(char kind)
    {
        string digits;
        if (Take('{'))
        {
            var close = _text.IndexOf('}', _at);
            digits = close < 0 ? throw Bad("a '{' without its '}'") : _text[_at..close];
            _at = close + 1;
        }
        else
        {
            digits = _text.Substring(_at, Math.Min(kind == 'u' ? 4 : 2, _text.Length - _at));
            _at += digits.Length;
        }

        return int.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) && Rune.IsValid(value)
            ? value
            : throw Bad($"the code point '{digits}'");
    }

    private CharSet ParseProperty(bool negative)
    {
        string name;
        if (Take('{'))
        {
            var close = _text.IndexOf('}', _at);
            name = close < 0 ? throw Bad("a '{' without its '}'") : _text[_at..close];
            _at = close + 1;
        }
        else
        {
            name = IsAtEnd ? "" : _text[_at++].ToString();
        }

        if (name.StartsWith('^'))
        {
            (negative, name) = (!negative, name[1..]);
        }

        var set = CharProperties.Find(name) ?? throw Bad($"the property '{name}', which is not known,");
        if (_ignoreCase && name is "Lu" or "Ll" or "Lt")
        {
            throw Bad($"the property '{name}' where case is ignored");
        }

        return negative ? set.Complement() : set;
    }

    /// <summary>The set, with the other cases of its letters where case is ignored. As in regular expressions, the long s and the Kelvin
    /// sign are cases of s and k.</summary>
    public CharSet Cased(CharSet set)
    {
        if (!_ignoreCase || set is not CharSet.Ranges ranges)
        {
            return set;
        }

        var all = new List<(int, int)>(ranges.Items);
        foreach (var (first, last) in ranges.Items.Where(r => r.Last - r.First < 0x1000))
        {
            for (var c = first; c <= last; c++)
            {
                if (Rune.TryCreate(c, out var rune) && Rune.IsLetter(rune))
                {
                    if (c is 0xDF or 0x1E9E or 0x149 or 0x1F0 or 0x130 or 0x587 or 0x390 or 0x3B0 or (>= 0x1E96 and <= 0x1E9A) or (>= 0x1F50 and <= 0x1FFC)
                        or (>= 0xFB00 and <= 0xFB17))
                    {
                        throw Bad($"U+{c:X4} where case is ignored (its other case is more than one character)");
                    }

                    var (lower, upper) = (Rune.ToLowerInvariant(rune).Value, Rune.ToUpperInvariant(rune).Value);
                    all.AddRange([(lower, lower), (upper, upper), .. lower == 's' ? [(0x17F, 0x17F)] : lower == 'k' ? [(0x212A, 0x212A)] : Array.Empty<(int, int)>()]);
                }
            }
        }

        return new CharSet.Ranges(all);
    }

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

    /// <summary>Parses a class in brackets, with classes within it and intersections.</summary>
    private readonly struct CharClassParser(PatternParser parser)
    {
        public CharSet Parse()
        {
            if (++parser._depth > MaxDepth)
            {
                throw parser.Bad($"more than {MaxDepth} classes within each other");
            }

            parser._at++;
            var negative = parser.Take('^');
            var sets = new List<CharSet>();
            CharSet? intersection = null;
            if (!parser.IsAtEnd && parser._text[parser._at] == ']')
            {
                sets.Add(CharSet.Of(parser.TakeRune())); // a ']' at the start is an ordinary character
            }

            while (!parser.Take(']'))
            {
                if (parser.IsAtEnd)
                {
                    throw parser.Bad("a '[' without its ']'");
                }

                if (parser.Take("&&"))
                {
                    intersection = Intersect(intersection, sets);
                    sets = [];
                }
                else if (parser._text[parser._at] == '[')
                {
                    sets.Add(ParsePosix() ?? Parse());
                }
                else
                {
                    sets.Add(ParseRange());
                }
            }

            parser._depth--;
            var set = Intersect(intersection, sets);
            return negative ? set.Complement() : set;
        }

        private static CharSet Intersect(CharSet? left, List<CharSet> right)
        {
            CharSet union = right.Count == 1 ? right[0] : new CharSet.Union(right);
            return left is null ? union : new CharSet.Intersection(left, union);
        }

        private CharSet ParseRange()
        {
            var first = ParseItem();
            var text = parser._text;
            var isRange = parser._at + 1 < text.Length && text[parser._at] == '-' && text[parser._at + 1] != ']' && IsOne(first, out _);
            if (!isRange)
            {
                return parser.Cased(first);
            }

            parser._at++;
            var last = ParseItem();
            if (!IsOne(last, out var to) || !IsOne(first, out var from))
            {
                return new CharSet.Union([parser.Cased(first), CharSet.Of('-'), last]);
            }

            return from <= to ? parser.Cased(new CharSet.Ranges([(from, to)])) : throw parser.Bad("a range whose end lies before its start");
        }

        private CharSet ParseItem()
        {
            if (parser._text[parser._at] != '\\')
            {
                return CharSet.Of(parser.TakeRune());
            }

            if (parser.Take(@"\b"))
            {
                return CharSet.Of('\b');
            }

            var ignoreCase = parser._ignoreCase;
            parser._ignoreCase = ignoreCase && parser._at + 1 < parser._text.Length && parser._text[parser._at + 1] is 'p' or 'P';
            var set = parser.ParseEscapedSet(inClass: true);
            parser._ignoreCase = ignoreCase;
            return set;
        }

        // [:alpha:] and [:^alpha:] within a class.
        private CharSet? ParsePosix()
        {
            var start = parser._at;
            if (!parser.Take("[:"))
            {
                return null;
            }

            var negative = parser.Take('^');
            var end = parser._text.IndexOf(":]", parser._at, StringComparison.Ordinal);
            var set = end < 0 ? null : CharProperties.FindPosix(parser._text[parser._at..end]);
            parser._at = set is null ? start : end + 2;
            return negative ? set?.Complement() : set;
        }

        private static bool IsOne(CharSet set, out int codePoint)
        {
            codePoint = set is CharSet.Ranges { Items: [var (first, last)] } && first == last ? first : -1;
            return codePoint >= 0;
        }
    }
}
