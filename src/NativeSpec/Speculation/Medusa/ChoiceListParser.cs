using System.Globalization;
using NativeSpec.Loading;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Speculation.Medusa;

/// <summary>Reads a list of paths as people write it: JSON <c>[[0], [0, 1]]</c> or Python <c>name = [(0,), (0, 1)]</c>, with commas after
/// the last item and comments from # to the end of the line.</summary>
internal sealed class ChoiceListParser(string source, string text)
{
    private int _at;

    /// <summary>Reads the whole text.</summary>
    /// <exception cref="ModelFormatException">It is not a list of lists of whole numbers.</exception>
    public List<int[]> Parse()
    {
        SkipName();
        var close = Open();
        var paths = new List<int[]>();
        while (!Close(close))
        {
            paths.Add(paths.Count < TreeLayout.MaxNodes ? Path() : throw Error($"more than {TreeLayout.MaxNodes} paths"));
            Comma(close);
        }

        Skip();
        return _at == text.Length ? paths : throw Error("something follows the list");
    }

    private int[] Path()
    {
        var close = Open();
        var path = new List<int>();
        while (!Close(close))
        {
            path.Add(path.Count < TreeLayout.MaxDepth ? Number() : throw Error($"a path of more than {TreeLayout.MaxDepth} ranks"));
            Comma(close);
        }

        return [.. path];
    }

    private int Number()
    {
        Skip();
        var begin = _at;
        while (_at < text.Length && char.IsAsciiDigit(text[_at]))
        {
            _at++;
        }

        return int.TryParse(text.AsSpan(begin, _at - begin), NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Error("expected a rank: a whole number from 0");
    }

    private char Open()
    {
        Skip();
        var open = _at < text.Length ? text[_at] : ' ';
        if (open is not ('[' or '('))
        {
            throw Error("expected '[' or '('");
        }

        _at++;
        return open == '[' ? ']' : ')';
    }

    private bool Close(char close)
    {
        Skip();
        if (_at < text.Length && text[_at] == close)
        {
            _at++;
            return true;
        }

        return false;
    }

    private void Comma(char close)
    {
        Skip();
        if (_at < text.Length && text[_at] == ',')
        {
            _at++;
        }
        else if (_at == text.Length || text[_at] != close)
        {
            throw Error($"expected ',' or '{close}'");
        }
    }

    private void SkipName()
    {
        Skip();
        var begin = _at;
        while (_at < text.Length && (char.IsAsciiLetterOrDigit(text[_at]) || text[_at] == '_'))
        {
            _at++;
        }

        if (_at > begin)
        {
            Skip();
            _at += _at < text.Length && text[_at] == '=' ? 1 : throw Error("expected '=' after the name of the list");
        }
    }

    private void Skip()
    {
        while (_at < text.Length && (char.IsWhiteSpace(text[_at]) || text[_at] == '#'))
        {
            var end = text[_at] == '#' ? text.IndexOf('\n', _at) : _at;
            _at = end < 0 ? text.Length : end + 1;
        }
    }

    private ModelFormatException Error(string problem)
    {
        var line = text.AsSpan(0, _at).Count('\n') + 1;
        return new ModelFormatException(source, $"line {line}: {problem}; the file holds a list of paths such as [[0], [1], [0, 0]]");
    }
}
