using System.Buffers.Binary;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.Safetensors;

public sealed class SafetensorsWriterTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Write_ThenOpen_GivesTheSameTensorsBack()
    {
        SafetensorsWriter.Write(_folder["m.safetensors"],
            [
                SafetensorsTensor.FromBytes("bytes", DType.U8, [3], new byte[] { 1, 2, 3 }),
                SafetensorsTensor.FromFloats("floats", [2, 1], new[] { 1.5f, -2f }),
                SafetensorsTensor.FromBytes("scalar", DType.BF16, [], new byte[] { 9, 8 }),
                new SafetensorsTensor("Ω \"quoted\"", DType.I64, [1], stream => stream.Write([1, 0, 0, 0, 0, 0, 0, 128])),
            ],
            new Dictionary<string, string> { ["format"] = "pt", ["é"] = "\n" });

        using var file = SafetensorsFile.Open(_folder["m.safetensors"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Metadata, Is.EqualTo(new Dictionary<string, string> { ["format"] = "pt", ["é"] = "\n" }));
            Assert.That(file.Tensors["bytes"].Bytes.ToArray(), Is.EqualTo(new byte[] { 1, 2, 3 }));
            Assert.That(file.Tensors["floats"].ToString(), Is.EqualTo("F32 [2, 1]"));
            Assert.That(file.Tensors["floats"].Bytes.ToArray(), Is.EqualTo(new byte[] { 0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0 }));
            Assert.That(file.Tensors["scalar"].Bytes.ToArray(), Is.EqualTo(new byte[] { 9, 8 }));
            Assert.That(file.Tensors["Ω \"quoted\""].Bytes[7], Is.EqualTo(128));
            Assert.That(file.CopiedBytes, Is.Zero, "larger elements first, so each is aligned");
        }
    }

    [Test]
    public void Write_Data_BeginsAtACacheLine()
    {
        for (var length = 1; length < 70; length++)
        {
            SafetensorsWriter.Write(_folder["m"], [LoadingTestFiles.Tensor(new string('n', length), 1)]);
            var bytes = File.ReadAllBytes(_folder["m"]);
            Assert.That((8 + BinaryPrimitives.ReadInt64LittleEndian(bytes)) % 64, Is.Zero);
        }
    }

    [Test]
    public void Write_AnyOrder_GivesTheSameBytes()
    {
        SafetensorsTensor[] tensors = [LoadingTestFiles.Tensor("b", 2), LoadingTestFiles.Tensor("a", 3), SafetensorsTensor.FromBytes("c", DType.F64, [1], new byte[8])];
        SafetensorsWriter.Write(_folder["x"], tensors, new Dictionary<string, string> { ["k"] = "1", ["l"] = "2" });
        SafetensorsWriter.Write(_folder["y"], tensors.Reverse(), new Dictionary<string, string> { ["l"] = "2", ["k"] = "1" });

        Assert.That(File.ReadAllBytes(_folder["y"]), Is.EqualTo(File.ReadAllBytes(_folder["x"])));
    }

    [TestCase(3)]
    [TestCase(5)]
    public void Write_CallbackOfTheWrongLength_ThrowsAndLeavesTheOldFile(int written)
    {
        SafetensorsWriter.Write(_folder["m"], [LoadingTestFiles.Tensor("old", 1)]);
        var old = File.ReadAllBytes(_folder["m"]);

        Assert.That(() => SafetensorsWriter.Write(_folder["m"], [new SafetensorsTensor("t", DType.U8, [4], stream => stream.Write(new byte[written]))]),
            Throws.InvalidOperationException.With.Message.Contains($"'t': {written} bytes were written").And.Message.Contains("U8 [4] has 4"));

        Assert.That(File.ReadAllBytes(_folder["m"]), Is.EqualTo(old));
        Assert.That(Directory.GetFiles(_folder.Path), Has.Length.EqualTo(1), "no temporary file stays");
    }

    [Test]
    public void Write_TwoTensorsOfOneName_Throws() =>
        Assert.That(() => SafetensorsWriter.Write(_folder["m"], [LoadingTestFiles.Tensor("t", 1), LoadingTestFiles.Tensor("t", 2)]),
            Throws.ArgumentException.With.Message.Contains("'t'"));

    [Test]
    public void Write_OverAMappedFile_LeavesTheReaderItsData()
    {
        SafetensorsWriter.Write(_folder["m"], [SafetensorsTensor.FromBytes("t", DType.U8, [1], new byte[] { 1 })]);
        using var reader = SafetensorsFile.Open(_folder["m"]);
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows does not replace a file that is mapped");
        }

        SafetensorsWriter.Write(_folder["m"], [SafetensorsTensor.FromView(reader.Tensors["t"], "copy"), SafetensorsTensor.FromBytes("t", DType.U8, [1], new byte[] { 2 })]);

        using var again = SafetensorsFile.Open(_folder["m"]);
        Assert.That((reader.Tensors["t"].Bytes[0], again.Tensors["t"].Bytes[0], again.Tensors["copy"].Bytes[0]), Is.EqualTo(((byte)1, (byte)2, (byte)1)));
    }

    [TestCase("__metadata__", 1)]
    [TestCase("a\nb", 1)]
    [TestCase("", 1)]
    [TestCase("t", -1)]
    [TestCase("t", long.MaxValue)]
    public void SafetensorsTensor_ThatCannotBeInAFile_Throws(string name, long extent) =>
        Assert.That(() => new SafetensorsTensor(name, DType.F32, [extent], _ => { }), Throws.InstanceOf<ArgumentException>());
}
