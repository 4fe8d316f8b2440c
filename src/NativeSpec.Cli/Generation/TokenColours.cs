using Spectre.Console;

namespace NativeSpec.Cli.Generation;

/// <summary>A colour for each drafter's tokens.</summary>
internal static class TokenColours
{
    /// <summary>The drafters that have one.</summary>
    public static readonly (string Name, Style Style, string Meaning)[] All =
    [
        ("draft", new(Color.Green), "the draft model"),
        ("medusa", new(Color.Aqua), "the Medusa heads"),
        ("lookup", new(Color.Yellow), "copied from this text"),
        ("recycle", new(Color.Fuchsia), "token recycling"),
        ("lookahead", new(Color.Blue), "lookahead (Jacobi)"),
    ];

    /// <summary>The colour of a drafter's tokens; none for the model's own.</summary>
    public static Style Of(string? drafter) => All.FirstOrDefault(one => one.Name == drafter).Style ?? Style.Plain;

    /// <summary>Standard output with colours where somebody looks and does not mind them. Long lines are the terminal's to fold, so that they can be copied whole.</summary>
    public static IAnsiConsole Console(Terminal terminal)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = terminal.IsOutRedirected ? AnsiSupport.No : AnsiSupport.Yes,
            ColorSystem = terminal.IsOutRedirected || Environment.GetEnvironmentVariable("NO_COLOR") is { Length: > 0 } ? ColorSystemSupport.NoColors : ColorSystemSupport.Standard,
            Out = new AnsiConsoleOutput(terminal.Out),
        });
        console.Profile.Width = int.MaxValue;
        return console;
    }
}
