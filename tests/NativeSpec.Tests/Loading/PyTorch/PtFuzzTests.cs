using NativeSpec.Loading;
using NativeSpec.Loading.PyTorch;

namespace NativeSpec.Tests.Loading.PyTorch;

/// <summary>Seeded mutations of PyTorch files: nothing but <see cref="ModelFormatException"/> comes out, and no tensor lies outside.</summary>
public sealed class PtFuzzTests
{
    private static readonly TempFolder Folder = new();

    private static readonly byte[] Pickle = PickleWriter.StateDict(
        PtTestTensor.Float("0.0.linear.weight", "0", 2, 2),
        PtTestTensor.Float("0.0.linear.bias", "1", 2) with { IsParameter = true },
        new PtTestTensor("0.1.weight", "HalfStorage", "2", 6, 0, [2, 3], [1, 2]));

    [OneTimeTearDown]
    public void RemoveFolder() => Folder.Dispose();

    [Test]
    public void PtFile_MutatedFiles_NeverCrashOrReadOutside()
    {
        FileTarget.Accepted = 0;

        new Mutator(11, PtTestFiles.Archive(Pickle, new byte[16], new byte[8], new byte[12]), PtTestFiles.Floats(("a", [3]))).Run<FileTarget>(4000);

        Assert.That(FileTarget.Accepted, Is.InRange(50, 3900));
    }

    [Test]
    public void PtFile_MutatedPickles_NeverCrashOrReadOutside()
    {
        PickleTarget.Accepted = 0;

        new Mutator(12, Pickle, PickleWriter.StateDict(), PickleWriter.StateDict(PtTestTensor.Of("LongStorage", "token_map", "0", 2))).Run<PickleTarget>(6000);

        Assert.That(PickleTarget.Accepted, Is.InRange(50, 5900));
    }

    [Test]
    public void PtFile_EveryBitOfThePickleFlipped_NeverCrashesOrReadsOutside()
    {
        for (var bit = 0; bit < Pickle.Length * 8; bit++)
        {
            var broken = (byte[])Pickle.Clone();
            broken[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.That(() => PickleTarget.Fuzz(broken), Throws.Nothing, $"bit {bit}");
        }
    }

    private sealed class FileTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            File.WriteAllBytes(Folder["fuzz"], input);
            try
            {
                using var file = PtFile.Open(Folder["fuzz"]);
                Accepted++;
                foreach (var tensor in file.Tensors.Values)
                {
                    var at = tensor.Data - file.MapStart;
                    var isInside = at >= 0 && at + tensor.ByteLength <= input.Length;
                    Assert.That(isInside || file.CopiedBytes >= tensor.ByteLength, Is.True, $"{tensor} lies at {at} of {input.Length} bytes");
                    Assert.That(tensor.Bytes.ToArray(), Has.Length.EqualTo(tensor.ByteLength));
                }
            }
            catch (ModelFormatException e)
            {
                Assert.That(e.Message, Does.StartWith(Folder["fuzz"]));
            }
        }
    }

    private sealed class PickleTarget : IFuzzTarget
    {
        public static int Accepted
        {
            get => FileTarget.Accepted;
            set => FileTarget.Accepted = value;
        }

        public static void Fuzz(ReadOnlySpan<byte> input) => FileTarget.Fuzz(PtTestFiles.Archive(input.ToArray(), new byte[16], new byte[8], new byte[12]));
    }
}
