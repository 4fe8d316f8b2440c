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
}
