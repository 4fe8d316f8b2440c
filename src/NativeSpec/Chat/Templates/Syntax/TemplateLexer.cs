namespace NativeSpec.Chat.Templates.Syntax;

/// <summary>Cuts a template into tokens, as Jinja 3 does with trim_blocks and lstrip_blocks: the line end behind a tag is part of the tag, and
/// so is the white space before a tag that begins its line. Each character is looked at a fixed number of times, and not before the parser
/// asks for it.</summary>
internal sealed partial class TemplateLexer(TemplateSource source)
{
    private readonly string _text = source.Text;
    private readonly List<TemplateToken> _tokens = [];
    private readonly Stack<(char Bracket, int Position)> _brackets = new();
    private int _at;
    private bool _lineBegins = true;
    private TokenKind _tag = TokenKind.End; // the tag that is being read

    /// <summary>A token; those past the end are <see cref="TokenKind.End"/>.</summary>
    public TemplateToken this[int index]
    {
        get
        {
            while (index >= _tokens.Count && _at < _text.Length)
            {
                if (_tag == TokenKind.End)
                {
                    ReadText();
                }
                else
                {
                    ReadInTag();
                }
            }

            return index < _tokens.Count ? _tokens[index] : new TemplateToken(TokenKind.End, "", _text.Length);
        }
    }

    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f'; // as Python sees it

    /// <summary>Reads text and the beginning of the tag behind it.</summary>
    private void ReadText()
    {
        var begin = FindTag();
        if (begin < 0)
        {
            AddText(_at, _text.Length);
            _at = _text.Length;
            return;
        }

        var kind = _text[begin + 1];
        AddText(_at, EndOfTextBefore(begin, kind));
        _at = begin + 2;
        if (_at < _text.Length && _text[_at] is '-' or '+')
        {
            _at++;
        }

        switch (kind)
        {
            case '#':
                ReadComment(begin);
                break;
            case '%' when IsRaw():
                ReadRaw(begin);
                break;
            default:
                _tag = kind == '%' ? TokenKind.BlockBegin : TokenKind.PrintBegin;
                _tokens.Add(new TemplateToken(_tag, "", begin));
                break;
        }
    }

    private int FindTag()
    {
        for (var from = _at; ;)
        {
            var brace = _text.AsSpan(from).IndexOf('{');
            if (brace < 0 || from + brace + 1 >= _text.Length)
            {
                return -1;
            }

            from += brace;
            if (_text[from + 1] is '{' or '%' or '#')
            {
                return from;
            }

            from++;
        }
    }

    /// <summary>Where the text before a tag ends: a sign "-" takes all white space before the tag, and a tag that is first in its line takes the
    /// line's, unless it prints or says "+".</summary>
    private int EndOfTextBefore(int tag, char kind)
    {
        var sign = tag + 2 < _text.Length ? _text[tag + 2] : ' ';
        var end = tag;
        if (sign == '-')
        {
            while (end > _at && IsSpace(_text[end - 1]))
            {
                end--;
            }

            return end;
        }

        if (sign == '+' || kind == '{')
        {
            return tag;
        }

        while (end > _at && _text[end - 1] != '\n')
        {
            if (!IsSpace(_text[--end]))
            {
                return tag;
            }
        }

        return end > _at || _lineBegins ? end : tag;
    }

    private void AddText(int start, int end)
    {
        if (end > start)
        {
            _tokens.Add(new TemplateToken(TokenKind.Text, _text[start..end], start));
        }
    }

    private bool Follows(string what) => _text.AsSpan(_at).StartsWith(what, StringComparison.Ordinal);

    private void ReadComment(int begin)
    {
        var length = _text.AsSpan(_at).IndexOf("#}", StringComparison.Ordinal);
        if (length < 0)
        {
            source.Refuse("the comment that begins here does not end: expected '#}'", begin);
        }

        // The sign before "#}" is its own, unless it is the one that follows "{#".
        var sign = length > 0 ? _text[_at + length - 1] : ' ';
        _at += length + 2;
        LeaveTag(sign);
    }

    private void LeaveTag(char sign)
    {
        if (sign == '-')
        {
            SkipSpace();
        }
        else if (sign != '+' && _at < _text.Length && _text[_at] == '\n')
        {
            _at++;
        }

        _lineBegins = _at > 0 && _text[_at - 1] == '\n';
    }

    private void SkipSpace()
    {
        while (_at < _text.Length && IsSpace(_text[_at]))
        {
            _at++;
        }
    }

    private bool IsRaw() => RawTagEnd(_at, "raw", out _) >= 0;

    /// <summary>Where the tag with a name ends that begins before <paramref name="at"/>; -1 where it has another name.</summary>
    private int RawTagEnd(int at, string name, out char sign)
    {
        sign = ' ';
        while (at < _text.Length && IsSpace(_text[at]))
        {
            at++;
        }

        if (!_text.AsSpan(at).StartsWith(name, StringComparison.Ordinal))
        {
            return -1;
        }

        at += name.Length;
        while (at < _text.Length && IsSpace(_text[at]))
        {
            at++;
        }

        if (at < _text.Length && _text[at] is '-' or '+')
        {
            sign = _text[at++];
        }

        return _text.AsSpan(at).StartsWith("%}", StringComparison.Ordinal) ? at + 2 : -1;
    }

    private void ReadRaw(int begin)
    {
        _at = RawTagEnd(_at, "raw", out var sign);
        if (sign == '-')
        {
            SkipSpace();
        }

        _lineBegins = _text[_at - 1] == '\n';
        for (var tag = _at; ; tag += 2)
        {
            var found = _text.AsSpan(tag).IndexOf("{%", StringComparison.Ordinal);
            if (found < 0)
            {
                source.Refuse("the raw block that begins here does not end: expected '{% endraw %}'", begin);
            }

            tag += found;
            var name = tag + 2 < _text.Length && _text[tag + 2] is '-' or '+' ? tag + 3 : tag + 2;
            var end = RawTagEnd(name, "endraw", out sign);
            if (end >= 0)
            {
                AddText(_at, EndOfTextBefore(tag, '%'));
                _at = end;
                LeaveTag(sign);
                return;
            }
        }
    }
}
