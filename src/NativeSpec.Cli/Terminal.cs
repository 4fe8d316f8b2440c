namespace NativeSpec.Cli;

/// <summary>Where a command reads and writes: results on <see cref="Out"/>, progress and errors on <see cref="Error"/>.</summary>
internal sealed record Terminal
{
    /// <summary>Opens standard input, for the commands that read it.</summary>
    public required Func<Stream> OpenInput { get; init; }

    /// <summary>Standard output, as UTF-8.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Standard error.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Nobody watches standard output: lines need no folding.</summary>
    public required bool IsOutRedirected { get; init; }

    /// <summary>Nobody watches standard error: summaries and progress would only be in the way.</summary>
    public required bool IsErrorRedirected { get; init; }

    /// <summary>Where a person types and sees it; null where input comes from a file or a pipe, or output goes there.</summary>
    public Keyboard? Keyboard { get; init; }

    /// <summary>Who takes Ctrl+C.</summary>
    public Interrupts Interrupts { get; } = new();
}

/// <summary>A keyboard and the window above it.</summary>
/// <param name="ReadKey">Waits for a key, which is not shown.</param>
/// <param name="TakeControlC">Whether Ctrl+C is a key like others or a signal.</param>
/// <param name="Columns">Columns of the window.</param>
internal sealed record Keyboard(Func<ConsoleKeyInfo> ReadKey, Action<bool> TakeControlC, Func<int> Columns);
