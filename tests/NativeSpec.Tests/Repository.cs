namespace NativeSpec.Tests;

/// <summary>The clone that these tests were built in. Files are found from where the tests run, not from [CallerFilePath]: a deterministic
/// build writes /_/ for the repository's folder.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>The path of a file or folder of the repository.</summary>
    public static string Find(params string[] parts) => Path.Combine([Root, .. parts]);

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "NativeSpec.sln")))
        {
            folder = folder.Parent ?? throw new InvalidOperationException($"no NativeSpec.sln above {AppContext.BaseDirectory}: run the tests in a clone of the repository");
        }

        return folder.FullName;
    }
}
