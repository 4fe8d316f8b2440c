namespace NativeSpec.Tests;

/// <summary>Real checkpoints, tokenizers and prompts of others lie in a folder <c>shared</c> beside the repository, or where
/// NATIVESPEC_SHARED says. Nothing of them belongs to the project, so a test that wants one skips where it is missing.</summary>
internal static class SharedFiles
{
    /// <summary>The path of a shared file or folder; ignores the running test, with the reason, when it is not there.</summary>
    public static string Require(params string[] parts)
    {
        var root = Environment.GetEnvironmentVariable("NATIVESPEC_SHARED") ?? Path.Combine(Repository.Root, "..", "shared");
        var path = Path.GetFullPath(Path.Combine([root, .. parts]));
        if (!Path.Exists(path))
        {
            Assert.Ignore($"shared/{string.Join('/', parts)} is not here: put the folder 'shared' beside the repository or set NATIVESPEC_SHARED");
        }

        return path;
    }
}
