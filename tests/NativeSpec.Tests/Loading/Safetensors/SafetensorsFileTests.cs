using System.Text;
using NativeSpec.Loading;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.Safetensors;

public sealed unsafe class SafetensorsFileTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_ReadsTensorsAndMetadata()
    {
        const string Header = """{"b":{"shape":[2,3],"data_offsets":[2,8],"dtype":"I8"},"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}   """;
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(Header + (Header.Length % 2 == 0 ? "" : " "), 8));

        using var file = SafetensorsFile.Open(path);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Path, Is.EqualTo(path));
            Assert.That(file.Length, Is.EqualTo(new FileInfo(path).Length));
            Assert.That(file.Metadata, Is.EqualTo(new Dictionary<string, string> { ["format"] = "pt" }));
            Assert.That(file.Tensors["a"].ToString(), Is.EqualTo("BF16 []"), "rank 0 is a scalar");
            Assert.That(file.Tensors["a"].Bytes.ToArray(), Is.EqualTo(new byte[] { 0, 1 }));
            Assert.That(file.Tensors["b"].ToString(), Is.EqualTo("I8 [2, 3]"));
            Assert.That(file.Tensors["b"].Bytes.ToArray(), Is.EqualTo(new byte[] { 2, 3, 4, 5, 6, 7 }));
            Assert.That(file.CopiedBytes, Is.Zero);
        }
    }

    [Test]
    public void Open_ZeroExtents_AreEmptyTensorsAnywhere()
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(
            """{"x":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"z":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}""", 4));

        using var file = SafetensorsFile.Open(path);

        Assert.That(file.Tensors.Values.Select(t => t.ByteLength), Is.EquivalentTo([0L, 0L, 4L]));
    }

    [Test]
    public void Open_NoTensors_IsAnEmptyFile()
    {
        using var file = SafetensorsFile.Open(_folder.Write("m.safetensors", LoadingTestFiles.Safetensors("{}", 0)));

        Assert.That(file.Tensors, Is.Empty);
    }

    [Test]
    public void Open_SparseFileOf2GB_CopiesAndAllocatesNothing()
    {
        const long Size = 32768L * 32768 * 2;
        var header = """{"w":{"dtype":"BF16","shape":[32768,32768],"data_offsets":[0,2147483648]}}"""u8.ToArray();
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(header, 0));
        using (var stream = new FileStream(path, FileMode.Open))
        {
            stream.Position = stream.Length + Size - 1;
            stream.WriteByte(0x42);
        }

        SafetensorsFile.Open(path).Dispose();
        var before = GC.GetAllocatedBytesForCurrentThread();
        using var file = SafetensorsFile.Open(path);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        var weight = file.Tensors["w"];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(allocated, Is.LessThan(20_000));
            Assert.That(file.CopiedBytes, Is.Zero);
            Assert.That((long)(weight.Data - file.MapStart), Is.EqualTo(8 + header.Length), "the view lies in the mapping");
            Assert.That(((byte*)weight.Data)[Size - 1], Is.EqualTo(0x42));
        }
    }

    [Test]
    public void Open_MisalignedTensors_AreCopiedToWhereTheyAreAligned()
    {
        // The header has an odd length, as mlx writes them, so that nothing but bytes is aligned.
        var header = """{"u":{"dtype":"U8","shape":[3],"data_offsets":[12,15]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}}""";
        var odd = header + (header.Length % 2 == 0 ? " " : "");
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(odd, 15));

        using var file = SafetensorsFile.Open(path);

        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.CopiedBytes, Is.EqualTo(128), "one cache line for each of the two");
            Assert.That((long)file.Tensors["w"].Data % 64, Is.Zero);
            Assert.That((long)file.Tensors["x"].Data % 64, Is.Zero);
            Assert.That((long)(file.Tensors["u"].Data - file.MapStart), Is.EqualTo(8 + odd.Length + 12));
            Assert.That(file.Tensors["w"].Bytes.ToArray(), Is.EqualTo(new byte[] { 0, 1, 2, 3, 4, 5, 6, 7 }));
            Assert.That(file.Tensors["x"].Bytes.ToArray(), Is.EqualTo(new byte[] { 8, 9, 10, 11 }));
        }

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path, LoadLimits.Default with { MaxCopiedBytes = 127 }), path, "a copy of 128 bytes", "at most 127");
    }

    [Test]
    public void Open_MissingFile_IsRefused() => LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder["none"]), _folder["none"], "does not exist");

    [Test]
    public void Open_Folder_IsRefused() => LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder.Path), _folder.Path, "is a folder");

    [Test]
    public void Open_EmptyFile_IsRefused() => LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder.Write("m", [])), "is empty");

    [Test]
    public void Open_FileThatAnotherWrites_IsRefused()
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors("{}", 0));
        using var writer = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path), path, "cannot be opened");
    }

    [Test]
    public void Open_NoPermission_IsRefused()
    {
        if (OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess)
        {
            Assert.Ignore("needs Unix permissions and a user whom they bind");
            return;
        }

        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors("{}", 0));
        File.SetUnixFileMode(path, UnixFileMode.None);

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(path), path, "cannot be opened");
    }

    [Test]
    [Platform(Exclude = "Win")]
    public void Open_Pipe_IsRefusedWithoutWaiting()
    {
        _folder.MakePipe("pipe");

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder["pipe"]), _folder["pipe"], "not a regular file");
    }

    [TestCase("/dev/zero")]
    [TestCase("/dev/stdin")]
    [Platform(Exclude = "Win")]
    public void Open_Device_IsRefused(string device) => LoadingTestFiles.Refused(() => SafetensorsFile.Open(device), device);

    [Test]
    [Platform(Exclude = "Win")]
    public void Open_Links_AreFollowedToAFileAndRefusedOtherwise()
    {
        var target = _folder.Write("blob", LoadingTestFiles.Safetensors("{}", 0));
        File.CreateSymbolicLink(_folder["inner"], target);
        File.CreateSymbolicLink(_folder["good"], "inner");
        File.CreateSymbolicLink(_folder["loop"], "loop");
        File.CreateSymbolicLink(_folder["broken"], "nowhere");
        File.CreateSymbolicLink(_folder["device"], "/dev/zero");

        using (var file = SafetensorsFile.Open(_folder["good"]))
        {
            Assert.That(file.Length, Is.EqualTo(10));
        }

        LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder["loop"]), _folder["loop"]);
        LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder["broken"]), _folder["broken"], "does not exist");
        LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder["device"]), _folder["device"], "not a regular file");
    }

    [Test]
    public void Dispose_Twice_IsFineAndTensorsAreGone()
    {
        var file = SafetensorsFile.Open(_folder.Write("m.safetensors", LoadingTestFiles.Safetensors("{}", 0)));

        file.Dispose();
        file.Dispose();

        Assert.That(() => file.Tensors, Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void Open_WhileAnotherReaderHasIt_Works()
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors("{}", 0));

        using var first = SafetensorsFile.Open(path);
        using var second = SafetensorsFile.Open(path);

        Assert.That(second.Length, Is.EqualTo(first.Length));
    }

    [Test]
    public void Open_ErrorText_HoldsNoControlCharactersOfTheFile()
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors(Encoding.UTF8.GetBytes("""{"\u001b[2J\u0085\u202e":1}"""), 0));

        var error = Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(path).Dispose());

        Assert.That(error!.Problem.Any(c => char.IsControl(c) || c == '\u202e'), Is.False, error.Problem);
    }

    [TestCase("F32", DType.F32, 4)]
    [TestCase("F16", DType.F16, 2)]
    [TestCase("BF16", DType.BF16, 2)]
    [TestCase("F64", DType.F64, 8)]
    [TestCase("F8_E4M3", DType.F8E4M3, 1)]
    [TestCase("F8_E5M2", DType.F8E5M2, 1)]
    [TestCase("I64", DType.I64, 8)]
    [TestCase("I32", DType.I32, 4)]
    [TestCase("I16", DType.I16, 2)]
    [TestCase("I8", DType.I8, 1)]
    [TestCase("U64", DType.U64, 8)]
    [TestCase("U32", DType.U32, 4)]
    [TestCase("U16", DType.U16, 2)]
    [TestCase("U8", DType.U8, 1)]
    [TestCase("BOOL", DType.Bool, 1)]
    public void Open_EveryDType_IsKnownWithItsSize(string name, DType dtype, int size)
    {
        var path = _folder.Write("m.safetensors", LoadingTestFiles.Safetensors($$$"""{"t":{"dtype":"{{{name}}}","shape":[3],"data_offsets":[0,{{{3 * size}}}]}}""", 3 * size));

        using var file = SafetensorsFile.Open(path);

        Assert.That(file.Tensors["t"].DType, Is.EqualTo(dtype));
    }
}
