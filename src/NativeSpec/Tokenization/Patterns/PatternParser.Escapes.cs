using System.Globalization;
using System.Text;

namespace NativeSpec.Tokenization.Patterns;

/// <summary>Escapes and properties, and the other cases of letters.</summary>
internal sealed partial class PatternParser
{
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
}
