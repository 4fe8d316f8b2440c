namespace NativeSpec.Tests;

/// <summary>What may not be linked is not (docs/decisions/managedcuda.md).</summary>
public sealed class LicenceTests
{
    [Test]
    public void ManagedCuda_IsNamedByItsOneProjectAlone()
    {
        const string Allowed = "NativeSpec.Benchmarks.ManagedCuda.csproj";
        string[] folders = [Repository.Find("src"), Repository.Find("tests"), Repository.Find("samples")];
        var files = folders.SelectMany(folder => new[] { "*.csproj", "*.props", "*.targets" }.SelectMany(pattern => Directory.GetFiles(folder, pattern, SearchOption.AllDirectories)))
            .Concat(Directory.GetFiles(Repository.Root, "*.props")).Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal)).ToArray();
        var naming = files.Where(file => File.ReadAllText(file).Contains("ManagedCuda-1", StringComparison.OrdinalIgnoreCase)).Select(Path.GetFileName);
        Assert.That(naming, Is.EqualTo(new[] { Allowed }));

        var project = File.ReadAllText(files.Single(file => Path.GetFileName(file) == Allowed));
        Assert.That(project, Does.Contain("Condition=\"'$(WithManagedCuda)' == 'true'\""), "and there only where somebody asks");
        Assert.That(File.ReadAllText(Repository.Find("NativeSpec.sln")), Does.Not.Contain("ManagedCuda"));
    }
}
