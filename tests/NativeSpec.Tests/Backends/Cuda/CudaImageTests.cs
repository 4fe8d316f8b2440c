using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends.Cuda;

[TestFixture]
public sealed partial class CudaImageTests
{
    private const string MakeAgain = "make it again with native/ptx.sh, which takes clang and brotli, and commit kernels/cuda/ptx";

    private static readonly string[] Formats = ["bf16", "f16", "f32", "q8", "q4"];

    private static string Folder => Repository.Find("kernels/cuda/ptx");

    /// <summary>native/ptx.sh writes the digest of the sources' names and contents, without carriage returns, in the order of the names.</summary>
    [Test]
    public void PtxWasMadeFromTheseSources()
    {
        var cuda = Directory.GetFiles(Repository.Find("kernels/cuda")).Where(file => Path.GetExtension(file) is ".cu" or ".h").Select(file => $"kernels/cuda/{Path.GetFileName(file)}");
        using var all = new MemoryStream();
        foreach (var name in cuda.Order(StringComparer.Ordinal).Prepend("kernels/cpu/quantized.h"))
        {
            all.Write(Encoding.UTF8.GetBytes(name + "\n"));
            all.Write(File.ReadAllBytes(Repository.Find(name)).Where(b => b != '\r').ToArray());
        }

        var made = File.ReadAllText(Path.Combine(Folder, "sources.sha256")).Trim();
        Assert.That(Convert.ToHexStringLower(SHA256.HashData(all.ToArray())), Is.EqualTo(made), $"the CUDA kernels' sources are newer than their PTX; {MakeAgain}");
    }

    /// <summary>Every kernel is in every image, and no image asks for a newer driver than CUDA 11.1 (sm_80) and 12.0.</summary>
    [TestCase(80, "7.1", "sm_80")]
    [TestCase(90, "8.0", "sm_90a")]
    [TestCase(120, "8.0", "sm_90")]
    public void EveryImageHasEveryKernel(int capability, string version, string target)
    {
        var text = Encoding.UTF8.GetString(CudaImage.Ptx(capability).Bytes);
        Assert.That(text, Does.StartWith($".version {version}\n.target {target}\n"));
        var kernels = Kernels().Matches(File.ReadAllText(Repository.Find("kernels/cuda/kernels.h"))).Select(match => match.Groups[1].Value)
            .SelectMany(name => name.Contains('#') ? Formats.Select(format => name.Replace("##name##", format).Replace("##name", format)) : [name]);
        Assert.That(Entries().Matches(text).Select(match => match.Groups[1].Value), Is.EquivalentTo(kernels));
    }

    /// <summary>A kernel launched with more threads than it was compiled for does not start, on any device.</summary>
    [Test]
    public void EveryKernel_IsLaunchedWithTheThreadsItWasCompiledFor([Values(80, 90, 120)] int capability)
    {
        var bounds = Bounds().Matches(Encoding.UTF8.GetString(CudaImage.Ptx(capability).Bytes)).ToDictionary(match => match.Groups[1].Value, match => int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture));
        var device = new CudaDevice(0, 0, "", capability, 1L << 30, 8, 164 << 10, 163 << 10);

        Assert.That(CudaKernels.All(device).Select(kernel => (kernel.Name, kernel.Threads)), Is.EquivalentTo(bounds.Select(bound => (bound.Key, bound.Value))));
        foreach (var vocabulary in new[] { 1, 300, 4096, 4097, 8192, 8193, 128_256, 262_144 })
        {
            Assert.That(CudaKernels.ChooseThreads(vocabulary), Is.InRange(32, bounds["choose"]), $"a vocabulary of {vocabulary}");
        }

        foreach (var width in new[] { 4, 4096, 4100, 24_000 })
        {
            Assert.That(CudaKernels.NormThreads(width), Is.InRange(32, Math.Min(bounds["rms_norm"], bounds["finish_rows"])), $"rows of {width}");
        }
    }

    /// <summary>Machine code has the digest of the kernels that it is of in its name, so that none is taken that was made of others.</summary>
    [Test]
    public void For_ADevice_IsMachineCodeOfItsPartAndOfTheseKernels_ThenPtx()
    {
        using var folder = new TemporaryImages();
        Assert.That(Names(90), Is.EqualTo(new[] { "PTX for sm_90a" }));
        var code = TemporaryImages.MachineCode("");
        folder.Write("sm_90a-0123456789abcdef.cubin", code);
        folder.Write(CudaImage.FileName("sm_80"), code);
        Assert.That(Names(90), Is.EqualTo(new[] { "PTX for sm_90a" }), "of other kernels, and for another part");
        code[^1] = 3;
        folder.Write(CudaImage.FileName("sm_90a"), code);

        Assert.That(Names(90), Is.EqualTo(new[] { "machine code for sm_90a", "PTX for sm_90a" }));
        Assert.That(CudaImage.For(90, folder.Path).First().Bytes, Is.EqualTo(code));
        Assert.That(Names(86), Is.EqualTo(new[] { "machine code for sm_80", "PTX for sm_80" }));
        Assert.That(Names(120), Is.EqualTo(new[] { "PTX for sm_90" }));

        IEnumerable<string> Names(int capability) => CudaImage.For(capability, folder.Path).Select(image => image.Name);
    }

    /// <summary>A driver would read past its end: it is told no length.</summary>
    [Test]
    public void For_MachineCodeThatWasCutOff_IsPtx()
    {
        using var folder = new TemporaryImages();
        var code = TemporaryImages.MachineCode(Encoding.UTF8.GetString(CudaImage.Ptx(90).Bytes));
        foreach (var length in new[] { 0, 5, 63, 64, 200, code.Length / 2, code.Length - 1, code.Length })
        {
            folder.Write(CudaImage.FileName("sm_90a"), code[..length]);
            Assert.That(CudaImage.For(90, folder.Path).Count(), Is.EqualTo(length == code.Length ? 2 : 1), $"{length} of {code.Length} bytes");
        }

        foreach (var place in new[] { 0, 4, 32 + 7, 40 + 7, 58, 64 + 24 + 7, 64 + 32 + 7 }) // magic, 64 bits, segments, sections, bytes of one; place and bytes of the first
        {
            var damaged = code.ToArray();
            damaged[place] ^= 0xff;
            folder.Write(CudaImage.FileName("sm_90a"), damaged);
            Assert.That(CudaImage.For(90, folder.Path).Count(), Is.EqualTo(1), $"byte {place}");
        }
    }

    /// <summary>Of an assembler that is newer than the driver, or damaged: the driver refuses it, and compiles the PTX.</summary>
    [Test]
    public void Create_MachineCodeThatTheDriverRefuses_TakesPtxAndSaysSo()
    {
        CudaEmulator.Require();
        using var folder = new TemporaryImages();
        folder.Write(CudaImage.FileName("sm_90a"), TemporaryImages.MachineCode("")); // without a kernel

        using var backend = CudaEmulator.Create(new CudaOptions { ImageFolder = folder.Path });

        Assert.That(backend.Description, Does.Contain(", PTX for sm_90a, "));
    }

    [Test]
    public void Create_MachineCodeForTheDevice_IsTakenBeforePtxAndComputesTheSame()
    {
        CudaEmulator.Require();
        using var folder = new TemporaryImages();
        folder.Write(CudaImage.FileName("sm_90a"), TemporaryImages.MachineCode(Encoding.UTF8.GetString(CudaImage.Ptx(90).Bytes)));
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        var logits = new[] { folder.Path, "/nowhere" }.Select(images =>
        {
            var backend = CudaEmulator.Create(new CudaOptions { ImageFolder = images });
            Assert.That(backend.Description, Does.Contain(images == folder.Path ? ", machine code for sm_90a, " : ", PTX for sm_90a, "));
            using var run = new ModelRun(backend, weights.Config, weights.Tensors);
            return run.Append(run.Open(), [1, 2, 3], chunk: 3);
        }).ToArray();

        Assert.That(logits[1], Is.EqualTo(logits[0]));
    }

    [GeneratedRegex(@"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+), 1, 1")]
    private static partial Regex Bounds();

    [GeneratedRegex(@"\.entry (\w+)\(")]
    private static partial Regex Entries();

    /// <summary>The lines of NS_FOR_EACH_KERNEL; those with ## are for every format.</summary>
    [GeneratedRegex(@"each\(([a-z_0-9#]+), \w+Arguments\)")]
    private static partial Regex Kernels();
}
