using System.Runtime.InteropServices;

namespace NativeSpec.Training.Corpus;

/// <summary>Finds the XML documentation that the .NET SDK keeps beside its reference assemblies:
/// <c>packs/NAME/VERSION/ref/netX.Y/*.xml</c>.</summary>
internal static class ReferencePacks
{
    private static readonly string[] Names = ["Microsoft.NETCore.App.Ref", "Microsoft.AspNetCore.App.Ref"];

    /// <summary>The folder <c>packs</c> of the .NET that runs this process.</summary>
    public static string DefaultFolder()
    {
        // The runtime lies in ROOT/shared/Microsoft.NETCore.App/VERSION/.
        var runtime = Path.TrimEndingDirectorySeparator(RuntimeEnvironment.GetRuntimeDirectory());
        var root = Path.GetDirectoryName(Path.GetDirectoryName(Path.GetDirectoryName(runtime)));
        return Path.Combine(root ?? runtime, "packs");
    }

    /// <summary>All documentation files: of each pack the newest version, its files in the order of their names.</summary>
    /// <param name="folder">The folder that holds the packs.</param>
    /// <exception cref="FileNotFoundException">None of the packs is there.</exception>
    public static IReadOnlyList<string> FindFiles(string folder)
    {
        List<string> files = [];
        foreach (var name in Names)
        {
            var pack = Path.Combine(folder, name);
            if (Newest(pack, version => Version(version, "")) is { } version
                && Newest(Path.Combine(version, "ref"), framework => Version(framework, "net")) is { } references)
            {
                files.AddRange(Directory.GetFiles(references, "*.xml").Order(StringComparer.Ordinal));
            }
        }

        return files.Count > 0 ? files : throw new FileNotFoundException(
            $"{folder}: holds no XML documentation of {string.Join(" or ", Names)} (looked for NAME/VERSION/ref/netX.Y/*.xml). "
            + "These packs come with the .NET SDK: install it from https://dotnet.microsoft.com/download, or name another folder of packs with --packs DIR");
    }

    private static string? Newest(string folder, Func<string, Version> version) => !Directory.Exists(folder) ? null
        : Directory.GetDirectories(folder)
            .OrderByDescending(path => version(Path.GetFileName(path))).ThenByDescending(path => path, StringComparer.Ordinal).FirstOrDefault();

    private static Version Version(string name, string prefix) =>
        name.StartsWith(prefix, StringComparison.Ordinal) && System.Version.TryParse(name[prefix.Length..].Split('-')[0], out var version) ? version : new Version(0, 0);
}
