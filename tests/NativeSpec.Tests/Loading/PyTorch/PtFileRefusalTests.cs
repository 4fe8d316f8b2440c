using System.IO.Compression;
using System.Text;
using NativeSpec.Loading;
using NativeSpec.Loading.PyTorch;

namespace NativeSpec.Tests.Loading.PyTorch;

/// <summary>Files that are refused: what the message must say, and that nothing else comes out.</summary>
public sealed class PtFileRefusalTests
{
    private static readonly PtTestTensor Two = PtTestTensor.Float("t", "0", 2);

    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [TestCase("os", "system")]
    [TestCase("builtins", "eval")]
    [TestCase("torch", "load")]
    [TestCase("torch.storage", "UntypedStorage")]
    [TestCase("collections", "defaultdict")]
    [TestCase("torch._utils", "_rebuild_tensor_v3")]
    public void Open_ANameThatIsNotOfAStateDict_IsRefusedByName(string module, string name)
    {
        var pickle = new PickleWriter().Proto().Global(module, name).Op((byte)'(').Text("echo hacked").Op((byte)'t', (byte)'R').Stop();
        Refused(PtTestFiles.Archive(pickle), "data.pkl, byte 2", $"'{module}.{name}'");
        pickle = new PickleWriter().Proto(4).Text(module).Text(name).Op(0x93).Stop();
        Refused(PtTestFiles.Archive(pickle), $"data.pkl, byte {pickle.Length - 2}", $"'{module}.{name}'");
    }

    private static IEnumerable<byte> OtherInstructions()
    {
        const string Used = "\u0080\u0095(.})t\u0085\u0086\u0087X\u008cJKM\u008aN\u0088\u0089qr\u0094hjc\u0093QRsub";
        return Enumerable.Range(0, 256).Where(opcode => !Used.Contains((char)opcode)).Select(opcode => (byte)opcode);
    }

    [TestCaseSource(nameof(OtherInstructions))]
    public void Open_AnInstructionThatAStateDictDoesNotNeed_IsRefusedByName(byte opcode)
    {
        var isKnown = "ILSTUVBCFGael]d012gpioP".Contains((char)opcode) || opcode is > 0x80 and <= 0x98;
        Refused(PtTestFiles.Archive(new PickleWriter().Proto().Op(opcode, 0, 0, 0, 0, 0, 0, 0, 0).Stop()),
            "data.pkl, byte 2: instruction", isKnown ? $" (0x{opcode:x2})" : $"unknown (0x{opcode:x2})");
    }

    private static IEnumerable<TestCaseData> Programs()
    {
        static TestCaseData Case(string name, string fact, Func<PickleWriter, byte[]> write) => new TestCaseData(write(new PickleWriter().Proto()), fact).SetName($"Open_{name}_IsRefused");
        yield return Case("NoProtocol", "begins with PROTO", _ => [(byte)'}', (byte)'.']);
        yield return Case("Protocol1", "begins with PROTO", _ => [0x80, 1, (byte)'}', (byte)'.']);
        yield return Case("Protocol6", "begins with PROTO", _ => [0x80, 6, (byte)'}', (byte)'.']);
        yield return Case("SecondProtocol", "PROTO", w => w.Op(0x80, 2, (byte)'}').Stop());
        yield return Case("MemoUsedButNotSet", "memo entry 7", w => w.Op((byte)'h', 7).Stop());
        yield return Case("LongMemoUsedButNotSet", "memo entry 4294967295", w => w.Op((byte)'j', 255, 255, 255, 255).Stop());
        yield return Case("MemoSetTwice", "memo entry 0 is set twice", w => w.Op((byte)'}').Op((byte)'q', 0, (byte)'q', 0).Stop());
        yield return Case("MemoOfNothing", "nothing is on the stack", w => w.Op((byte)'q', 0).Stop());
        yield return Case("MemoizeOfNothing", "nothing is on the stack", w => w.Op(0x94).Stop());
        yield return Case("TupleWithoutMark", "no mark", w => w.Op((byte)'t').Stop());
        yield return Case("ItemsWithoutMark", "no mark", w => w.Op((byte)'}', (byte)'u').Stop());
        yield return Case("ItemsWithoutDict", "no dict", w => w.Op((byte)'(').Text("a").Number(1).Op((byte)'u').Stop());
        yield return Case("ItemsOfATuple", "no dict", w => w.Op((byte)')', (byte)'(').Text("a").Number(1).Op((byte)'u').Stop());
        yield return Case("KeyWithoutValue", "no dict", w => w.Op((byte)'}', (byte)'(').Text("a").Op((byte)'u').Stop());
        yield return Case("KeyThatIsANumber", "a key that is a number", w => w.Op((byte)'}').Number(1).Number(1).Op((byte)'s').Stop());
        yield return Case("KeySetTwice", "'a' is set twice", w => w.Op((byte)'}').Text("a").Number(1).Op((byte)'s').Text("a").Number(1).Op((byte)'s').Stop());
        yield return Case("StackUnderMark", "takes 1 objects from a stack that has 0", w => w.Op((byte)'}', (byte)'(', 0x85).Stop());
        yield return Case("EmptyStack", "takes 2 objects", w => w.Op((byte)'R').Stop());
        yield return Case("StopWithNothing", "STOP leaves 0 objects", w => w.Stop());
        yield return Case("StopWithTwo", "STOP leaves 2 objects", w => w.Op((byte)'}', (byte)'}').Stop());
        yield return Case("StopWithMark", "1 marks", w => w.Op((byte)'}', (byte)'(').Stop());
        yield return Case("BytesAfterStop", "and 1 bytes", w => [.. w.Op((byte)'}').Stop(), 0]);
        yield return Case("FrameTooLong", "a frame of", w => w.Op(0x95, 255, 255, 255, 255, 255, 255, 255, 255, (byte)'}').Stop());
        yield return Case("HugeString", "wants 4294967295 bytes", w => w.Op((byte)'X', 255, 255, 255, 255).Stop());
        yield return Case("LongString", "strings are at most 1024 bytes", w => w.Text(new string('x', 1025)).Stop());
        yield return Case("BrokenString", "of UTF-8", w => w.Op((byte)'X', 1, 0, 0, 0, 255).Stop());
        yield return Case("NameWithoutEnd", "without end", w => w.Op((byte)'c').Op("os"u8.ToArray()).Bytes);
        yield return Case("NumberOfNineBytes", "a number of 9 bytes", w => w.Op(0x8a, 9).Op(new byte[9]).Stop());
        yield return Case("CallOfAString", "REDUCE calls a string", w => w.Text("os.system").Op((byte)')', (byte)'R').Stop());
        yield return Case("CallOfAStorageType", "REDUCE calls torch.FloatStorage", w => w.Global("torch", "FloatStorage").Op((byte)')', (byte)'R').Stop());
        yield return Case("OrderedDictOfSomething", "REDUCE calls collections.OrderedDict", w => w.Global("collections", "OrderedDict").Number(1).Op(0x85, (byte)'R').Stop());
        yield return Case("ParameterOfAString", "REDUCE calls torch._utils._rebuild_parameter",
            w => w.Global("torch._utils", "_rebuild_parameter").Text("x").Op(0x88).EmptyOrderedDict().Op(0x87, (byte)'R').Stop());
        yield return Case("AttributesOfAPlainDict", "BUILD", w => w.Op((byte)'}', (byte)'}').Text("_metadata").Op((byte)'}', (byte)'s', (byte)'b').Stop());
        yield return Case("OtherAttributes", "BUILD", w => w.EmptyOrderedDict().Op((byte)'}').Text("__class__").Op((byte)'}', (byte)'s', (byte)'b').Stop());
        yield return Case("PersistentIdThatIsAString", "a persistent id that is a string", w => w.Text("x").Op((byte)'Q').Stop());
        yield return Case("PersistentIdOfAModule", "a persistent id", w => w.Op((byte)'(').Text("module").Global("torch", "FloatStorage").Text("0").Text("cpu").Number(1).Op((byte)'t', (byte)'Q').Stop());
        yield return Case("NegativeStorage", "a persistent id", w => w.Storage("FloatStorage", "0", -1).Stop());
        yield return Case("NegativeOffset", "_rebuild_tensor_v2 wants", w => w.Tensor(Two with { Offset = -1 }).Stop());
        yield return Case("NegativeExtent", "_rebuild_tensor_v2 wants", w => w.Tensor(Two with { Shape = [-2] }).Stop());
        yield return Case("NegativeStride", "_rebuild_tensor_v2 wants", w => w.Tensor(Two with { Strides = [-1] }).Stop());
        yield return Case("StridesOfAnotherRank", "_rebuild_tensor_v2 wants", w => w.Tensor(Two with { Strides = [1, 1] }).Stop());
        yield return Case("NineExtents", "_rebuild_tensor_v2 wants", w => w.Tensor(PtTestTensor.Float("t", "0", 1, 1, 1, 1, 1, 1, 1, 1, 1)).Stop());
        yield return Case("RootThatIsATensor", "holds a tensor; expected a state dict", w => w.Tensor(Two).Stop());
        yield return Case("RootThatIsATuple", "holds a tuple of 0", w => w.Op((byte)')').Stop());
        yield return Case("ValueThatIsADict", "entry 'model' of the state dict is a dict", w => w.Op((byte)'}').Text("model").Op((byte)'}', (byte)'s').Stop());
        yield return Case("ValueThatIsNone", "entry 'x' of the state dict is None", w => w.Op((byte)'}').Text("x").Op((byte)'N', (byte)'s').Stop());
    }

    [TestCaseSource(nameof(Programs))]
    public void Open_AProgramThatBuildsNoStateDict_IsRefused(byte[] pickle, string fact) => Refused(PtTestFiles.Archive(pickle, new byte[8]), fact);

    private static IEnumerable<TestCaseData> Tensors()
    {
        yield return new TestCaseData(Two with { Key = "1" }, "no such entry");
        yield return new TestCaseData(Two with { Elements = 3 }, "holds 8 bytes");
        yield return new TestCaseData(Two with { Elements = long.MaxValue }, "holds 8 bytes");
        yield return new TestCaseData(Two with { StorageType = "LongStorage" }, "holds 8 bytes");
        yield return new TestCaseData(Two with { Offset = 1 }, "does not fit its storage of 2");
        yield return new TestCaseData(Two with { Offset = long.MaxValue }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [3] }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [2], Strides = [2] }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [1000], Strides = [0] }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [long.MaxValue, long.MaxValue], Strides = [0, 0] }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [2, long.MaxValue], Strides = [long.MaxValue, long.MaxValue] }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [long.MaxValue, long.MaxValue, 0], Strides = [1, 1, 1] }, "does not fit");
        yield return new TestCaseData(Two with { Shape = [0], Offset = 3 }, "does not fit");
    }

    [TestCaseSource(nameof(Tensors))]
    public void Open_ATensorOutsideItsStorage_IsRefused(object tensor, string fact) =>
        Refused(PtTestFiles.Archive(PickleWriter.StateDict((PtTestTensor)tensor), new byte[8]), "'t'", fact);

    [Test]
    public void Open_OneStorageOfTwoTypes_IsRefused() =>
        Refused(PtTestFiles.Archive(PickleWriter.StateDict(Two, Two with { Name = "u", StorageType = "IntStorage" }), new byte[8]), "storage '0' is 2 F32 and, for tensor 'u', 2 I32");

    [Test]
    public void Open_ManyCopiesOfOneStorage_AreRefused()
    {
        var transposed = new PtTestTensor("t", "FloatStorage", "0", 65536, 0, [256, 256], [1, 256]);
        Refused(PtTestFiles.Archive(PickleWriter.StateDict([.. Enumerable.Range(0, 9).Select(i => transposed with { Name = $"{i}" })]), new byte[65536 * 4]),
            "need a copy of 2359296 bytes; at most 1048576");
    }

    [Test]
    public void Open_FilesCutAtEveryByte_AreRefused()
    {
        var good = PtTestFiles.Floats(("a", [2]), ("b", [1, 1]));
        for (var length = 1; length < good.Length; length++)
        {
            Refused(good[..length]);
        }
    }

    [Test]
    public void Open_PicklesCutAtEveryByte_AreRefused()
    {
        var good = PickleWriter.StateDict(Two);
        for (var length = 1; length < good.Length; length++)
        {
            Refused(PtTestFiles.Archive(good[..length], new byte[8]), "data.pkl, byte");
        }
    }

    [TestCase(new byte[] { 0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.' }, "legacy format")]
    [TestCase(new byte[] { 8, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}' }, "does not begin as a zip file")]
    [TestCase(new byte[] { (byte)'P' }, "does not begin as a zip file")]
    [TestCase(new byte[] { (byte)'P', (byte)'K', 3, 4 }, "a zip file has at least 22")]
    public void Open_AnotherFormat_IsRefusedByName(byte[] content, string fact) => Refused(content, fact);

    [Test]
    public void Open_ACompressedZip_IsRefused()
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            using var entry = zip.CreateEntry("m/data.pkl", CompressionLevel.SmallestSize).Open();
            entry.Write(new byte[100_000]); // a bomb of the small kind
        }

        Refused(stream.ToArray(), "'m/data.pkl' is compressed or encrypted (method 8");
    }

    [TestCase("byteorder", "big", "byteorder is 'big'")]
    [TestCase("constants.pkl", "x", "TorchScript")]
    public void Open_OtherArchives_AreRefused(string entry, string content, string fact) =>
        Refused(PtTestFiles.Zip([("m/data.pkl", PickleWriter.StateDict()), ($"m/{entry}", Encoding.ASCII.GetBytes(content))]), fact);

    [Test]
    public void Open_DamagedZips_AreRefused()
    {
        var pickle = PickleWriter.StateDict(Two);
        var good = PtTestFiles.Archive(pickle, PtTestFiles.Bytes(1, 2));
        using (Assert.EnterMultipleScope())
        {
            Refused([.. good, 0], "something was appended");
            Refused(PtTestFiles.Zip([("m/data.pkl", pickle), ("m/data/0", new byte[8]), ("m/data/0", new byte[8])]), "'m/data/0' twice");
            Refused(PtTestFiles.Zip([("m/data.pkl", pickle), ("n/data.pkl", pickle)]), "has 2 entries FOLDER/data.pkl");
            Refused(PtTestFiles.Zip([("data.pkl", pickle)]), "has 0 entries FOLDER/data.pkl");
            Refused(PtTestFiles.Zip([("m/data.pkl", pickle), ("../x", [])]), "'../x' lies outside");
            Refused(PtTestFiles.Zip([("m/data.pkl", pickle)], flags: 1), "encrypted");
            Refused(PtTestFiles.Zip([("m/data.pkl", pickle)], method: 8), "compressed");
            Refused(PtTestFiles.Zip([(new string('n', 2000), pickle)]), "a name of 2000 bytes");

            // The second entry's place in the directory moved onto the first: two names for one run of bytes.
            var second = PtTestFiles.Find(good, "PK\x01\x02"u8, 1);
            Refused(PtTestFiles.Patch(good, second + 42, 0), "is not what the directory says");
            Refused(PtTestFiles.Patch(good, second + 42, (uint)good.Length), "cannot lie at byte");
            Refused(PtTestFiles.Patch(good, second + 24, 7), "cannot lie at byte");
            var first = PtTestFiles.Find(good, "PK\x01\x02"u8);
            Refused(PtTestFiles.Patch(PtTestFiles.Patch(good, first + 24, 1 << 30), first + 20, 1 << 30), "is not what the directory says");
            var length = BitConverter.ToUInt32(good, first + 24) + 100;
            Refused(PtTestFiles.Patch(PtTestFiles.Patch(good, first + 24, length), first + 20, length), "lies inside another");
            Refused(PtTestFiles.Patch(good, good.Length - 22 + 12, 1), "do not agree");
            Refused(PtTestFiles.Patch(good, good.Length - 22 + 4, 1), "several parts");
            Refused(PtTestFiles.Patch(good, PtTestFiles.Find(good, "PK\x06\x07"u8) + 8, 1), "do not agree");
        }
    }

    [Test]
    public void Open_MoreThanTheLimits_IsRefused()
    {
        var good = PtTestFiles.Floats(("a", [2]), ("b", [1]));
        _folder.Write("m.pt", good);
        using (Assert.EnterMultipleScope())
        {
            LoadingTestFiles.Refused(() => PtFile.Open(_folder["m.pt"], LoadLimits.Default with { MaxTensors = 1 }), "holds 2 tensors; at most 1");
            LoadingTestFiles.Refused(() => PtFile.Open(_folder["m.pt"], LoadLimits.Default with { MaxHeaderBytes = 10 }), "zip directory has 5 entries");
            LoadingTestFiles.Refused(() => PtFile.Open(_folder["m.pt"], LoadLimits.Default with { MaxConfigBytes = 10 }), "'m/data.pkl' holds", "at most 10 are read");
        }
    }

    [Test]
    public void Open_AStackOrMemoWithoutEnd_IsRefused()
    {
        var limits = LoadLimits.Default with { MaxTensors = 1 };
        foreach (var (opcode, fact) in new[] { ((byte)'}', "objects on the stack"), ((byte)'(', "marks"), ((byte)0x94, "objects in the memo") })
        {
            var pickle = new PickleWriter().Proto().Op((byte)'}').Op([.. Enumerable.Repeat(opcode, 5000)]).Stop();
            LoadingTestFiles.Refused(() => PtFile.Open(_folder.Write("m.pt", PtTestFiles.Archive(pickle)), limits), $"more than", fact);
        }
    }

    [Test]
    public void Open_TuplesInTuples_CostWhatTheyAreLong()
    {
        // Each level holds the one before twice: 2⁶⁰ leaves for whoever walks it.
        var pickle = new PickleWriter().Proto().Op((byte)')');
        for (byte level = 0; level < 60; level++)
        {
            pickle.Op((byte)'q', level, (byte)'h', level, 0x86);
        }

        Refused(PtTestFiles.Archive(pickle.Stop()), "holds a tuple of 2");
    }

    private void Refused(byte[] content, params string[] facts) => LoadingTestFiles.Refused(() => PtFile.Open(_folder.Write("m.pt", content)).Dispose(), [_folder["m.pt"], .. facts]);
}
