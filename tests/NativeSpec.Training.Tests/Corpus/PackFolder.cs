namespace NativeSpec.Training.Tests.Corpus;

/// <summary>A folder of reference packs with documentation that a test writes.</summary>
internal sealed class PackFolder : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("nativespec-packs-");

    public string Path => _root.FullName;

    /// <summary>Adds a file and returns its path.</summary>
    public string Add(string text, string name = "A.xml", string pack = "Microsoft.NETCore.App.Ref", string version = "10.0.1", string framework = "net10.0")
    {
        var file = System.IO.Path.Combine(Path, pack, version, "ref", framework, name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
        return file;
    }

    /// <summary>Adds a file with these members.</summary>
    public string AddMembers(string members, string name = "A.xml", string version = "10.0.1", string framework = "net10.0")
        => Add($"<?xml version=\"1.0\"?><doc><members>{members}</members></doc>", name, version: version, framework: framework);

    public void Dispose() => _root.Delete(recursive: true);
}
