using System.Globalization;
using System.Text;

namespace NativeSpec.Chat.Templates.Syntax;

/// <content>What stands inside <c>{{ }}</c> and <c>{% %}</c>.</content>
internal sealed partial class TemplateLexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    /// <summary>Reads the next token of a tag, or its end.</summary>
    private void ReadInTag()
    {
        SkipSpace();
        if (_at >= _text.Length)
        {
            return; // the parser says what is missing
        }

        // Inside brackets "}}" closes two of them.
        var isBlock = _tag == TokenKind.BlockBegin;
        var sign = _text[_at] is '-' || (_text[_at] == '+' && isBlock) ? _text[_at] : ' ';
        if (_brackets.Count == 0 && _text.AsSpan(sign == ' ' ? _at : _at + 1).StartsWith(isBlock ? "%}" : "}}", StringComparison.Ordinal))
        {
            _tokens.Add(new TemplateToken(isBlock ? TokenKind.BlockEnd : TokenKind.PrintEnd, "", _at));
            _at += sign == ' ' ? 2 : 3;
            _tag = TokenKind.End;
            LeaveTag(!isBlock && sign == ' ' ? '+' : sign);
            return;
        }

        ReadToken();
    }

    private void ReadToken()
    {
        var c = _text[_at];
        if (c is '\'' or '"')
        {
            ReadString(c);
        }
        else if (char.IsAsciiDigit(c))
        {
            ReadNumber();
        }
        else if (c == '_' || char.IsLetter(c))
        {
            var start = _at;
            while (_at < _text.Length && (_text[_at] == '_' || char.IsLetterOrDigit(_text[_at])))
            {
                _at++;
            }

            _tokens.Add(new TemplateToken(TokenKind.Name, _text[start.._at], start));
        }
        else
        {
            ReadOperator();
        }
    }

    private void ReadOperator()
    {
        foreach (var op in Operators)
        {
            if (op[0] != _text[_at] || !Follows(op))
            {
                continue;
            }

            if (op is "(" or "[" or "{")
            {
                _brackets.Push((op[0] == '(' ? ')' : op[0] == '[' ? ']' : '}', _at));
            }
            else if (op is ")" or "]" or "}")
            {
                if (!_brackets.TryPop(out var open))
                {
                    source.Refuse($"unexpected '{op}': no bracket is open here", _at);
                }
                else if (open.Bracket != op[0])
                {
                    source.Refuse($"unexpected '{op}', expected '{open.Bracket}'", _at);
                }
            }

            _tokens.Add(new TemplateToken(TokenKind.Operator, op, _at));
            _at += op.Length;
            return;
        }

        source.Refuse($"unexpected character '{_text[_at]}'", _at);
    }

    private void ReadNumber()
    {
        var start = _at;
        if (_text[_at] == '0' && _at + 1 < _text.Length && char.ToLowerInvariant(_text[_at + 1]) is 'x' or 'o' or 'b')
        {
            _at += 2;
            SkipDigits(char.IsAsciiHexDigit);
            _tokens.Add(new TemplateToken(TokenKind.Integer, _text[start.._at], start));
            return;
        }

        SkipDigits(char.IsAsciiDigit);
        var kind = TokenKind.Integer;
        if (start == 0 || _text[start - 1] != '.') // in "a.1.0" these are two indices
        {
            if (_at + 1 < _text.Length && _text[_at] == '.' && char.IsAsciiDigit(_text[_at + 1]))
            {
                kind = TokenKind.Float;
                _at++;
                SkipDigits(char.IsAsciiDigit);
            }

            var exponent = _at + 1;
            if (_at < _text.Length && _text[_at] is 'e' or 'E')
            {
                exponent += exponent < _text.Length && _text[exponent] is '+' or '-' ? 1 : 0;
                if (exponent < _text.Length && char.IsAsciiDigit(_text[exponent]))
                {
                    kind = TokenKind.Float;
                    _at = exponent;
                    SkipDigits(char.IsAsciiDigit);
                }
            }
        }

        var digits = _text[start.._at];
        if (kind == TokenKind.Integer && digits.Length > 1 && digits[0] == '0' && digits.AsSpan().ContainsAnyExcept('0', '_'))
        {
            source.Refuse($"a whole number does not begin with 0: {digits}", start);
        }

        _tokens.Add(new TemplateToken(kind, digits, start));
    }

    private void SkipDigits(Func<char, bool> isDigit)
    {
        while (_at < _text.Length && (isDigit(_text[_at]) || (_text[_at] == '_' && _at + 1 < _text.Length && isDigit(_text[_at + 1]))))
        {
            _at++;
        }
    }

    private void ReadString(char quote)
    {
        var start = _at;
        var end = start + 1;
        while (end < _text.Length && _text[end] != quote)
        {
            end += _text[end] == '\\' ? 2 : 1;
        }

        if (end >= _text.Length)
        {
            source.Refuse("the string that begins here does not end", start);
        }

        _tokens.Add(new TemplateToken(TokenKind.String, Unescape(_text.AsSpan(start + 1, end - start - 1), start), start));
        _at = end + 1;
    }

    /// <summary>A string as Python reads it: an escape that it does not know stays as it is.</summary>
    private string Unescape(ReadOnlySpan<char> text, int position)
    {
        if (!text.Contains('\\'))
        {
            return text.ToString();
        }

        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\' || i + 1 == text.Length)
            {
                result.Append(text[i]);
                continue;
            }

            var c = text[++i];
            var digits = c switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
            if (digits > 0)
            {
                var hex = i + 1 + digits <= text.Length ? text.Slice(i + 1, digits) : [];
                if (!uint.TryParse(hex, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code) || code > 0x10ffff)
                {
                    source.Refuse($"'\\{c}' is followed by {digits} hexadecimal digits of a character", position);
                }

                _ = code > 0xffff ? result.Append(char.ConvertFromUtf32((int)code)) : result.Append((char)code);
                i += digits;
            }
            else if (c is >= '0' and <= '7')
            {
                var code = 0;
                var first = i;
                for (; i < text.Length && i < first + 3 && text[i] is >= '0' and <= '7'; i++)
                {
                    code = (code * 8) + text[i] - '0';
                }

                i--;
                result.Append((char)code);
            }
            else if (c == 'N')
            {
                source.Refuse("characters by their names ('\\N{…}') are not supported", position);
            }
            else
            {
                const string From = "\\'\"abfnrtv";
                const string To = "\\'\"\a\b\f\n\r\t\v";
                var known = From.IndexOf(c, StringComparison.Ordinal);
                _ = known >= 0 ? result.Append(To[known]) : c == '\n' ? result : result.Append('\\').Append(c);
            }
        }

        return result.ToString();
    }
}
