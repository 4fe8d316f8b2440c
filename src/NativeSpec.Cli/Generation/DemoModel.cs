namespace NativeSpec.Cli.Generation;

/// <summary>Where the model in the box lies, and what lies beside it.</summary>
/// <param name="Path">The folder of the target.</param>
/// <param name="Draft">The folder of its draft model, where there is one.</param>
/// <param name="Medusa">The folder of its Medusa heads, where there are some.</param>
internal sealed record DemoModel(string Path, string? Draft, string? Medusa)
{
    /// <summary>The model's place in the repository.</summary>
    public const string Place = "models/doc-comments";

    /// <summary>The model of a folder, or the one in the box: beside the command, in a folder above it, or in or above the current one.</summary>
    /// <exception cref="FileNotFoundException">It is nowhere there; the message says where it was looked for.</exception>
    public static DemoModel Find(string? folder)
    {
        folder ??= Above(AppContext.BaseDirectory).Concat(Above(Directory.GetCurrentDirectory())).FirstOrDefault(IsModel)
            ?? throw new FileNotFoundException(
                $"there is no {Place}/config.json in or above {AppContext.BaseDirectory} and {Directory.GetCurrentDirectory()}: run this in a clone of NativeSpec, make the model as models/README.md says, or name another one with --model DIR");
        return new(folder, Beside(folder, "draft"), Beside(folder, "medusa"));
    }

    private static IEnumerable<string> Above(string start)
    {
        for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
        {
            yield return System.IO.Path.Combine(folder.FullName, Place);
        }
    }

    private static bool IsModel(string folder) => File.Exists(System.IO.Path.Combine(folder, "config.json"));

    private static string? Beside(string folder, string name) => System.IO.Path.Combine(folder, name) is var path && IsModel(path) ? path : null;
}
