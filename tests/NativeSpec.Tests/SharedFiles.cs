namespace NativeSpec.Tests;

/// <summary>Real checkpoints, tokenizers and prompts of others lie in a folder <c>shared</c> beside the repository, or where
/// NATIVESPEC_SHARED says. Nothing of them belongs to the project, so a test that wants one skips where it is missing.</summary>
internal static class SharedFiles
{
    /// <summary>The path of a shared file or folder; ignores the running test, with the reason, when it is not there.</summary>
    public static string Require(params string[] parts)
    {
        var root = Environment.GetEnvironmentVariable("NATIVESPEC_SHARED") ?? FindRoot();
        var path = root is null ? null : Path.Combine([root, .. parts]);
        if (path is null || !Path.Exists(path))
        {
            Assert.Ignore($"shared/{string.Join('/', parts)} is not here: put the folder 'shared' beside the repository or set NATIVESPEC_SHARED");
        }

        return path!;
    }

    private static string? FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "NativeSpec.sln")))
            {
                var shared = Path.Combine(folder.Parent?.FullName ?? "/", "shared");
                return Directory.Exists(shared) ? shared : null;
            }
        }

        return null;
    }
}
