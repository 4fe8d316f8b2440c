using System.Globalization;
using System.Text;
using Spectre.Console.Rendering;

namespace NativeSpec.Cli.Chatting;

/// <summary>What Ctrl+C did to a line.</summary>
internal enum LineEnd
{
    /// <summary>Enter: the line is to be taken.</summary>
    Entered,
    /// <summary>Ctrl+C: the line is thrown away.</summary>
    Dropped,
    /// <summary>Ctrl+D on an empty line: there is nothing more.</summary>
    Closed,
}

/// <summary>Edits one line and recalls earlier ones. A line that is longer than the window scrolls sideways, so that nothing depends on how a terminal folds it.</summary>
internal sealed class LineEditor(Keyboard keyboard, TextWriter screen)
{
    private const int MostRecalled = 1000;

    private readonly List<string> _earlier = [];
    private readonly StringBuilder _line = new();
    private int _cursor; // in UTF-16 units, at the border of a character as people see it

    /// <summary>Reads a line.</summary>
    /// <param name="prompt">What stands before it.</param>
    public (LineEnd End, string Line) Read(string prompt)
    {
        var (recalled, begun) = (_earlier.Count, "");
        Put("");
        keyboard.TakeControlC(true);
        try
        {
            while (true)
            {
                Draw(prompt);
                var key = keyboard.ReadKey();
                switch (key)
                {
                    case { Key: ConsoleKey.Enter }:
                        return (LineEnd.Entered, Finish());
                    case { Key: ConsoleKey.C, Modifiers: ConsoleModifiers.Control }:
                        return (LineEnd.Dropped, Finish(isKept: false));
                    case { Key: ConsoleKey.D, Modifiers: ConsoleModifiers.Control } when _line.Length == 0:
                        return (LineEnd.Closed, Finish(isKept: false));
                    case { Key: ConsoleKey.UpArrow } when recalled > 0:
                        begun = recalled == _earlier.Count ? _line.ToString() : begun;
                        Put(_earlier[--recalled]);
                        break;
                    case { Key: ConsoleKey.DownArrow } when recalled < _earlier.Count:
                        Put(++recalled == _earlier.Count ? begun : _earlier[recalled]);
                        break;
                    default:
                        Edit(key);
                        break;
                }
            }
        }
        finally
        {
            keyboard.TakeControlC(false);
        }
    }

    private void Edit(ConsoleKeyInfo key)
    {
        switch (key)
        {
            case { Key: ConsoleKey.LeftArrow } or { Key: ConsoleKey.B, Modifiers: ConsoleModifiers.Control }:
                _cursor = Before(_cursor);
                break;
            case { Key: ConsoleKey.RightArrow } or { Key: ConsoleKey.F, Modifiers: ConsoleModifiers.Control }:
                _cursor = After(_cursor);
                break;
            case { Key: ConsoleKey.Home } or { Key: ConsoleKey.A, Modifiers: ConsoleModifiers.Control }:
                _cursor = 0;
                break;
            case { Key: ConsoleKey.End } or { Key: ConsoleKey.E, Modifiers: ConsoleModifiers.Control }:
                _cursor = _line.Length;
                break;
            case { Key: ConsoleKey.Backspace }:
                Remove(Before(_cursor), _cursor);
                break;
            case { Key: ConsoleKey.Delete } or { Key: ConsoleKey.D, Modifiers: ConsoleModifiers.Control }:
                Remove(_cursor, After(_cursor));
                break;
            case { Key: ConsoleKey.U, Modifiers: ConsoleModifiers.Control }:
                Remove(0, _cursor);
                break;
            case { Key: ConsoleKey.K, Modifiers: ConsoleModifiers.Control }:
                Remove(_cursor, _line.Length);
                break;
            case { Key: ConsoleKey.W, Modifiers: ConsoleModifiers.Control }:
                Remove(WordBefore(), _cursor);
                break;
            case { KeyChar: var typed } when !char.IsControl(typed):
                _line.Insert(_cursor++, typed);
                break;
            default:
                break; // a key that means nothing here
        }
    }

    private void Put(string text)
    {
        _line.Clear().Append(text);
        _cursor = _line.Length;
    }

    private void Remove(int start, int end)
    {
        _line.Remove(start, end - start);
        _cursor = start;
    }

    private int After(int position) => position + StringInfo.GetNextTextElementLength(_line.ToString(position, _line.Length - position));

    private int Before(int position) => StringInfo.ParseCombiningCharacters(_line.ToString(0, position)).LastOrDefault();

    private int WordBefore()
    {
        var text = _line.ToString(0, _cursor).TrimEnd(' ');
        return text.LastIndexOf(' ') + 1;
    }

    private string Finish(bool isKept = true)
    {
        screen.WriteLine();
        screen.Flush();
        var line = _line.ToString();
        if (isKept && line.Length > 0 && (_earlier.Count == 0 || _earlier[^1] != line))
        {
            _earlier.Add(line);
            _earlier.RemoveRange(0, Math.Max(0, _earlier.Count - MostRecalled));
        }

        return line;
    }

    /// <summary>The part of the line around the cursor that fits behind the prompt.</summary>
    private void Draw(string prompt)
    {
        var room = Math.Max(keyboard.Columns() - Cells(prompt) - 1, 1);
        var start = 0;
        while (Cells(_line.ToString(start, _cursor - start)) > room)
        {
            start = After(start);
        }

        var end = _cursor;
        while (end < _line.Length && Cells(_line.ToString(start, After(end) - start)) <= room)
        {
            end = After(end);
        }

        var column = Cells(prompt) + Cells(_line.ToString(start, _cursor - start));
        screen.Write(string.Create(CultureInfo.InvariantCulture, $"\r{prompt}{_line.ToString(start, end - start)}\e[K\r{(column > 0 ? $"\e[{column}C" : "")}"));
        screen.Flush();
    }

    private static int Cells(string text) => new Segment(text).CellCount();
}
