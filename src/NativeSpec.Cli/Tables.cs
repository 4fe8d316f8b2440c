using System.Globalization;
using System.Text;
using Spectre.Console;

namespace NativeSpec.Cli;

/// <summary>Tables for people, and text of files that must not steer their terminal.</summary>
internal static class Tables
{
    /// <summary>Prints a table whose columns from <paramref name="rightFrom"/> on hold numbers and stand to the right.</summary>
    public static void Print(Terminal terminal, string[] titles, int rightFrom, IEnumerable<string[]> rows)
    {
        var table = new Table { Border = TableBorder.Minimal };
        for (var i = 0; i < titles.Length; i++)
        {
            var column = new TableColumn(new Text(titles[i])) { NoWrap = true };
            table.AddColumn(i >= rightFrom ? column.RightAligned() : column);
        }

        foreach (var row in rows)
        {
            table.AddRow(row.Select(cell => new Text(Printable(cell))));
        }

        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(terminal.Out) });
        console.Profile.Width = terminal.IsOutRedirected ? 1000 : Math.Max(Console.WindowWidth, 80);
        console.Write(table);
    }

    /// <summary>Line breaks and other control characters as escapes.</summary>
    public static string Printable(string text)
    {
        if (!text.Any(char.IsControl))
        {
            return text;
        }

        var printable = new StringBuilder();
        foreach (var c in text)
        {
            printable.Append(c switch
            {
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                _ when char.IsControl(c) => $"\\u{(int)c:x4}",
                _ => c.ToString(),
            });
        }

        return printable.ToString();
    }

    /// <summary>1234567 as <c>1.2 MB</c>.</summary>
    public static string Bytes(long bytes) => Scaled(bytes, "B");

    /// <summary>1234567 as <c>1.2 M</c>.</summary>
    public static string Count(long count) => Scaled(count, "").TrimEnd();

    private static string Scaled(double value, string unit)
    {
        string[] prefixes = ["", "k", "M", "G", "T", "P"];
        var prefix = 0;
        for (; value >= 1000 && prefix < prefixes.Length - 1; prefix++)
        {
            value /= 1000;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {prefixes[prefix]}{unit}");
    }
}
