namespace NativeSpec.Tests;

/// <summary>What these tests read of the repository lies in the folder above the program's, under the names that it has there.</summary>
internal static class Repository
{
    public static string Root { get; } = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, ".."));

    /// <summary>The path of a file or folder of the repository.</summary>
    public static string Find(params string[] parts) => Path.Combine([Root, .. parts]);
}
