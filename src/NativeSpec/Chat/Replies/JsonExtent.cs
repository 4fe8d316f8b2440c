namespace NativeSpec.Chat.Replies;

/// <summary>Finds where a JSON object or list ends, character by character, by counting brackets outside of strings. Whether it is JSON is for
/// the parser to say.</summary>
internal struct JsonExtent
{
    private int _depth;
    private bool _isEscaped;

    /// <summary>Whether the next character is inside a string.</summary>
    public bool IsInString { get; private set; }

    /// <summary>Takes the next character, the first of which is a bracket; true where it ends the value.</summary>
    public bool Add(char next)
    {
        if (IsInString)
        {
            IsInString = _isEscaped || next != '"';
            _isEscaped = !_isEscaped && next == '\\';
            return false;
        }

        IsInString = next == '"';
        _depth += next is '{' or '[' ? 1 : next is '}' or ']' ? -1 : 0;
        return _depth <= 0;
    }

    /// <summary>The length of the value that a text begins with; −1 where it does not end.</summary>
    public static int Of(ReadOnlySpan<char> text)
    {
        var extent = new JsonExtent();
        for (var i = 0; i < text.Length; i++)
        {
            if (extent.Add(text[i]))
            {
                return i + 1;
            }
        }

        return -1;
    }
}
