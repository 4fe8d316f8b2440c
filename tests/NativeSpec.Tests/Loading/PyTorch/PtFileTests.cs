using System.Runtime.InteropServices;
using NativeSpec.Loading.PyTorch;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.PyTorch;

/// <summary>State dicts that are right, in every spelling that PyTorch uses.</summary>
public sealed class PtFileTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_AStateDict_GivesItsTensorsWhereTheyLie()
    {
        using var file = Open(PtTestFiles.Floats(("0.0.linear.weight", [2, 3]), ("0.0.linear.bias", [2]), ("scalar", []), ("none", [0, 4])));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Tensors.Keys, Is.EqualTo(new[] { "0.0.linear.weight", "0.0.linear.bias", "scalar", "none" }));
            Assert.That(file.Tensors["0.0.linear.weight"].ToString(), Is.EqualTo("F32 [2, 3]"));
            Assert.That(Floats(file, "0.0.linear.weight"), Is.EqualTo(new[] { 0f, 1, 2, 3, 4, 5 }));
            Assert.That(file.Tensors["scalar"].ToString(), Is.EqualTo("F32 []"));
            Assert.That(file.Tensors["none"].ByteLength, Is.Zero);
            Assert.That(file.CopiedBytes, Is.Zero);
            Assert.That(file.Tensors["0.0.linear.bias"].Data - file.MapStart, Is.InRange((nint)0, (nint)file.Length));
        }
    }

    [TestCase("FloatStorage", DType.F32)]
    [TestCase("HalfStorage", DType.F16)]
    [TestCase("BFloat16Storage", DType.BF16)]
    [TestCase("DoubleStorage", DType.F64)]
    [TestCase("LongStorage", DType.I64)]
    [TestCase("IntStorage", DType.I32)]
    [TestCase("ShortStorage", DType.I16)]
    [TestCase("CharStorage", DType.I8)]
    [TestCase("ByteStorage", DType.U8)]
    [TestCase("BoolStorage", DType.Bool)]
    public void Open_EveryElementType_IsKnown(string storage, DType dtype)
    {
        var data = Enumerable.Range(0, 3 * dtype.Size()).Select(i => (byte)i).ToArray();
        using var file = Open(PtTestFiles.Archive(PickleWriter.StateDict(PtTestTensor.Of(storage, "t", "0", 3)), data));

        Assert.That(file.Tensors["t"].DType, Is.EqualTo(dtype));
        Assert.That(file.Tensors["t"].Bytes.ToArray(), Is.EqualTo(data));
    }

    [Test]
    public void Open_SharedStorageParametersAndOffsets_AreViewsOfOneStorage()
    {
        var first = PtTestTensor.Float("a", "0", 2, 3) with { Elements = 8 };
        using var file = Open(PtTestFiles.Archive(
            PickleWriter.StateDict(first, first with { Name = "b", Offset = 4, Shape = [4], Strides = [1], IsParameter = true }), PtTestFiles.Bytes(0, 1, 2, 3, 4, 5, 6, 7)));

        Assert.That(Floats(file, "b"), Is.EqualTo(new[] { 4f, 5, 6, 7 }));
        Assert.That(file.Tensors["b"].Data - file.Tensors["a"].Data, Is.EqualTo((nint)16));
    }

    [Test]
    public void Open_TransposedAndSlicedTensors_ArePacked()
    {
        var whole = PtTestTensor.Float("whole", "0", 3, 2);
        using var file = Open(PtTestFiles.Archive(PickleWriter.StateDict(
            whole,
            whole with { Name = "transposed", Shape = [2, 3], Strides = [1, 2] },
            whole with { Name = "column", Shape = [3], Strides = [2], Offset = 1 },
            whole with { Name = "row", Shape = [1, 2], Strides = [17, 1], Offset = 2 }), PtTestFiles.Bytes(0, 1, 2, 3, 4, 5)));

        using (Assert.EnterMultipleScope())
        {
            Assert.That(Floats(file, "transposed"), Is.EqualTo(new[] { 0f, 2, 4, 1, 3, 5 }));
            Assert.That(Floats(file, "column"), Is.EqualTo(new[] { 1f, 3, 5 }));
            Assert.That(Floats(file, "row"), Is.EqualTo(new[] { 2f, 3 }), "the stride of an extent of 1 means nothing");
            Assert.That(file.CopiedBytes, Is.EqualTo(128), "two copies, each on its cache lines");
        }
    }

    [Test]
    public void Open_AZipWithoutAlignmentOr64BitRecords_IsTheSame([Values(1, 2, 3)] int alignment)
    {
        var pickle = PickleWriter.StateDict(PtTestTensor.Float("t", "0", 2));
        using var file = Open(PtTestFiles.Zip([("x/data.pkl", pickle), ("x/data/0", PtTestFiles.Bytes(1.5f, -2))], alignment, is64: false, flags: 8));

        Assert.That(Floats(file, "t"), Is.EqualTo(new[] { 1.5f, -2 }));
        Assert.That(file.Tensors["t"].Data % 4, Is.EqualTo((nint)0));
    }

    /// <summary>What pickle_protocol=4 writes: frames, short strings, names from the stack, a memo that counts by itself; a plain dict.</summary>
    [Test]
    public void Open_Protocol4_IsTheSame()
    {
        static void Short(PickleWriter to, string text) => to.Op(0x8c, (byte)text.Length).Op(System.Text.Encoding.ASCII.GetBytes(text)).Op(0x94);
        var body = new PickleWriter().Op((byte)'}', 0x94, (byte)'(');
        Short(body, "t");
        Short(body, "torch._utils");
        Short(body, "_rebuild_tensor_v2");
        body.Op(0x93, 0x94, (byte)'(', (byte)'(');
        Short(body, "storage");
        Short(body, "torch");
        Short(body, "FloatStorage");
        body.Op(0x93, 0x94);
        Short(body, "0");
        Short(body, "cpu");
        body.Number(2).Op((byte)'t', 0x94, (byte)'Q').Number(0).Number(2).Op(0x85, 0x94).Number(1).Op(0x85, 0x94, 0x89);
        Short(body, "collections");
        Short(body, "OrderedDict");
        var pickle = body.Op(0x93, 0x94, (byte)')', (byte)'R', 0x94, (byte)'t', 0x94, (byte)'R', 0x94, (byte)'u').Stop();
        using var file = Open(PtTestFiles.Archive([0x80, 4, 0x95, .. BitConverter.GetBytes((long)pickle.Length), .. pickle], PtTestFiles.Bytes(3, 4)));

        Assert.That(Floats(file, "t"), Is.EqualTo(new[] { 3f, 4 }));
    }

    [Test]
    public void Open_NumbersOfEverySize_AreRead()
    {
        var sizes = new[] { 1L, 255, 256, 65535, 65536 };
        using var file = Open(PtTestFiles.Archive(
            PickleWriter.StateDict([.. sizes.Select((size, key) => PtTestTensor.Of("ByteStorage", $"{size}", $"{key}", size))]), [.. sizes.Select(size => new byte[size])]));

        Assert.That(file.Tensors.Values.Select(tensor => tensor.ElementCount), Is.EqualTo(sizes));
    }

    [Test]
    public void Tensors_AfterDispose_Throws()
    {
        var file = Open(PtTestFiles.Floats(("t", [1])));
        file.Dispose();
        file.Dispose();
        Assert.That(() => file.Tensors, Throws.InstanceOf<ObjectDisposedException>());
    }

    private static float[] Floats(PtFile file, string name) => MemoryMarshal.Cast<byte, float>(file.Tensors[name].Bytes).ToArray();

    private PtFile Open(byte[] content) => PtFile.Open(_folder.Write("m.pt", content));
}
