using System.Text;

namespace NativeSpec.Training.Corpus;

/// <summary>Writes the types of a member's id as C#: <c>System.Collections.Generic.List{`0}[]</c> becomes <c>List&lt;T&gt;[]</c>. The grammar
/// is that of the C# standard's annex on documentation comments, D.4.2.</summary>
internal ref struct TypeReference(ReadOnlySpan<char> text, string[] typeParameters, string[] methodParameters)
{
    private const int MaxDepth = 32;

    private readonly ReadOnlySpan<char> _text = text;
    private int _at;

    /// <summary>The types of a list, such as what stands between a method's parentheses. A parameter passed by reference ends in <c>&amp;</c>.</summary>
    /// <returns>Null where the text is not of the grammar.</returns>
    public static List<string>? List(ReadOnlySpan<char> text, string[] typeParameters, string[] methodParameters)
    {
        var reader = new TypeReference(text, typeParameters, methodParameters);
        List<string> types = [];
        while (reader.Type(0) is { } type)
        {
            types.Add(type);
            if (reader._at == text.Length)
            {
                return types;
            }

            if (!reader.Take(','))
            {
                break;
            }
        }

        return null;
    }

    private string? Type(int depth)
    {
        if (depth > MaxDepth || (Peek() == '`' ? Parameter() : Named(depth)) is not { } type)
        {
            return null;
        }

        var result = new StringBuilder(type);
        while (true)
        {
            if (Take('['))
            {
                // [] or [0:,0:]: one comma fewer than dimensions.
                var end = _text[_at..].IndexOf(']');
                if (end < 0)
                {
                    return null;
                }

                result.Append('[').Append(',', _text.Slice(_at, end).Count(',')).Append(']');
                _at += end + 1;
            }
            else if (Take('*'))
            {
                result.Append('*');
            }
            else if (Take('@'))
            {
                result.Append('&');
            }
            else
            {
                return result.ToString();
            }
        }
    }

    private string? Parameter()
    {
        _at++;
        var names = Take('`') ? methodParameters : typeParameters;
        var start = _at;
        while (char.IsAsciiDigit(Peek()))
        {
            _at++;
        }

        return int.TryParse(_text[start.._at], out var index) ? index < names.Length ? names[index] : $"T{index + 1}" : null;
    }

    private string? Named(int depth)
    {
        var start = _at;
        while (Peek() is not ('\0' or ',' or '{' or '}' or '[' or ']' or '*' or '@' or '`' or '(' or ')' or '='))
        {
            _at++;
        }

        var name = _text[start.._at].ToString();
        if (name.Length == 0)
        {
            return null;
        }

        if (!Take('{'))
        {
            return TypeNames.Short(name);
        }

        List<string> arguments = [];
        do
        {
            if (Type(depth + 1) is not { } argument)
            {
                return null;
            }

            arguments.Add(argument);
        }
        while (Take(','));
        if (!Take('}'))
        {
            return null;
        }

        var written = name switch
        {
            "System.Nullable" => $"{arguments[0]}?",
            "System.ValueTuple" when arguments.Count > 1 => $"({string.Join(", ", arguments)})",
            _ => $"{TypeNames.Short(name)}<{string.Join(", ", arguments)}>",
        };
        return Peek() == '.' ? Nested(written, depth) : written;
    }

    // The rest of Dictionary{K,V}.Enumerator.
    private string? Nested(string outer, int depth)
    {
        _at++;
        return depth < MaxDepth && Named(depth + 1) is { } inner ? $"{outer}.{inner}" : null;
    }

    private readonly char Peek() => _at < _text.Length ? _text[_at] : '\0';

    private bool Take(char c)
    {
        var isThere = Peek() == c;
        _at += isThere ? 1 : 0;
        return isThere;
    }
}
