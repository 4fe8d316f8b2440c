using NativeSpec.Loading;

namespace NativeSpec.Tests.Loading;

public sealed class AtomicFileTests
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-atomic-");

    [OneTimeTearDown]
    public void Delete() => _folder.Delete(recursive: true);

    [Test]
    public void Write_FolderThatIsNotThere_IsMade()
    {
        var path = In("new/folder/file");

        AtomicFile.Write(path, stream => stream.Write("whole"u8));

        Assert.That(File.ReadAllText(path), Is.EqualTo("whole"));
    }

    [Test]
    public void Write_ThatFailsHalfWay_LeavesTheOldFileAndNothingElse()
    {
        var path = In("kept/file");
        AtomicFile.Write(path, stream => stream.Write("old"u8));

        Assert.That(
            () => AtomicFile.Write(path, stream =>
            {
                stream.Write(new byte[1 << 18]);
                throw new IOException("full");
            }),
            Throws.InstanceOf<IOException>().With.Message.EqualTo("full"));

        Assert.That(File.ReadAllText(path), Is.EqualTo("old"));
        Assert.That(Directory.GetFileSystemEntries(In("kept")), Is.EqualTo(new[] { path }));
    }

    [Test]
    public void Write_WhileTheOldFileIsOpen_LeavesItsReaderTheOldContent()
    {
        var path = In("read/file");
        AtomicFile.Write(path, stream => stream.Write("old"u8));
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete));

        AtomicFile.Write(path, stream => stream.Write("new"u8));

        Assert.That((reader.ReadToEnd(), File.ReadAllText(path)), Is.EqualTo(("old", "new")));
    }

    private string In(string path) => Path.Combine(_folder.FullName, path);
}
