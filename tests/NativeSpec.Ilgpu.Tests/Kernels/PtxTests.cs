using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Ilgpu.Tests.Kernels;

/// <summary>What a CUDA device would be given: every kernel as PTX for sm_80, which needs no device to make. That it is made says little, so what is in it is looked at, and NVIDIA's
/// assembler takes it where that is installed.</summary>
public sealed partial class PtxTests
{
    private static readonly Lazy<Dictionary<string, string>> Ptx = new(CompileAll);

    public static IEnumerable<string> Names => Ptx.Value.Keys;

    [TestCaseSource(nameof(Names))]
    public void Ptx_OfEveryKernel_CallsNothingThatIsNotInItAndSharesNoMemory(string name)
    {
        var text = Ptx.Value[name];
        Assert.That(text, Does.Contain(".target sm_80").And.Contain(".visible .entry"));
        var defined = FunctionPattern().Matches(text).Where(match => !match.Groups["extern"].Success).Select(match => match.Groups["name"].Value).ToArray();
        var called = CallPattern().Matches(text).Select(match => match.Groups["name"].Value).ToArray();
        Assert.That(called, Is.SubsetOf(defined), "an unresolved external, which the driver refuses");
        Assert.That(text, Does.Not.Contain(".extern").And.Not.Contain(".shared").And.Not.Contain("bar.sync"));
    }

    /// <summary>A product and the sum behind it without a rounding are ptxas' to fuse, in some of eight rows and not in others.</summary>
    [Test]
    public void Ptx_OfProducts_SaysTheRoundingOfEverySum([Values("F32Format", "F16Format", "BF16Format", "Q8Format", "Q4Format")] string format)
    {
        var text = Ptx.Value[$"MatMul.Run {format}"];
        Assert.That(Occurrences(text, "fma.rn.f32"), Is.EqualTo(64), "eight columns of eight rows");
        Assert.That(text, Does.Not.Contain("add.f32"));
        Assert.That(text, Does.Contain("ld.global.v4.f32"), "rows are read four numbers at once");
        Assert.That(Occurrences(text, "ld.global.v4.b32"), Is.EqualTo(format switch { "F32Format" => 2, "F16Format" or "BF16Format" => 1, _ => 0 }), "weights are read once for eight rows, sixteen bytes at a time");
        Assert.That(Occurrences(text, "ld.global.b32"), Is.EqualTo(format switch { "Q8Format" => 2, "Q4Format" => 1, _ => 0 }), "or four, of which neighbouring threads read neighbouring ones");
    }

    /// <summary>How often attention adds follows the longest context of a batch: a sum whose rounding is not said could be fused in the body of a loop that ptxas unrolls and not in the rest.</summary>
    [Test]
    public void Ptx_OfAttention_SaysTheRoundingOfEverySum()
    {
        var names = Names.Where(name => name.StartsWith("TreeAttention.", StringComparison.Ordinal)).ToArray();
        Assert.That(names, Has.Length.EqualTo(8), "scores, weights, values and parts, for keys and values as F32 and as BF16");
        foreach (var name in names)
        {
            Assert.That(Ptx.Value[name], Does.Not.Contain("add.f32").And.Not.Contain("mad.f32"), name);
            Assert.That(Occurrences(Ptx.Value[name], ".rn.f32"), Is.Positive, name);
        }
    }

    [Test]
    public void Ptx_OfDraws_SaysTheRoundingOfTheNoise()
    {
        var text = Ptx.Value["Choose.Weigh"];
        Assert.That(text, Does.Contain("mul.rn.f64").And.Contain("add.rn.f64").And.Contain("div.rn.f64").And.Not.Contain("mul.f64"));
    }

    [Test]
    public void Ptx_OfTiles_MultipliesByTensorCores()
    {
        var text = Ptx.Value["MatMulTiles.Run"];
        Assert.That(Occurrences(text, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"), Is.EqualTo(2), "a row's first parts and its second");
        Assert.That(Occurrences(text, "ld.global.v4.b32"), Is.EqualTo(2), "a lane's weights and rows, sixteen bytes each");
    }

    /// <summary>The check of this fixture can fail: this is how a call looks that nobody answers.</summary>
    [Test]
    public void Ptx_OfACallThatIlgpuDoesNotKnow_IsSeen()
    {
        using var compiler = new Compiler();
        var text = compiler.Compile(typeof(PtxTests).GetMethod(nameof(Fused), BindingFlags.NonPublic | BindingFlags.Static)!);
        Assert.That(text, Does.Contain(".extern"));
    }

    [TestCaseSource(nameof(Names))]
    public void Ptx_OfEveryKernel_IsTakenByTheAssembler(string name)
    {
        var ptxas = Environment.GetEnvironmentVariable("PTXAS") ?? "ptxas";
        var file = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():n}.ptx");
        File.WriteAllText(file, Ptx.Value[name]);
        try
        {
            using var process = Start(ptxas, "-arch=sm_80", "-v", "-o", file + ".cubin", file);
            var said = process.StandardError.ReadToEnd() + process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.That(process.ExitCode, Is.Zero, said);
            Assert.That(said, Does.Contain("0 bytes spill stores, 0 bytes spill loads"));
            if (name.StartsWith("MatMul", StringComparison.Ordinal))
            {
                Assert.That(said, Does.Contain("0 bytes stack frame"), "what inline PTX writes goes through memory in ILGPU's text; in products it must end in registers");
            }
        }
        finally
        {
            File.Delete(file);
            File.Delete(file + ".cubin");
        }
    }

    private static Process Start(string program, params string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Ignore("NVIDIA's assembler is not here: put ptxas in the path or its path in PTXAS");
            throw;
        }
    }

    private static int Occurrences(string text, string part) => text.Split(part).Length - 1;

    private static void Fused(Index1D index, Loop loop, ArrayView<float> x) => x[index] = MathF.FusedMultiplyAdd(x[index], 2, loop.Stride);

    private static Dictionary<string, string> CompileAll()
    {
        using var compiler = new Compiler();
        Dictionary<string, string> texts = [];
        foreach (var method in IlgpuKernels.Of<CudaArithmetic>(TestBackend.SharedDevice).Methods)
        {
            var types = method.IsGenericMethod ? string.Join(' ', method.GetGenericArguments().Select(type => type.Name).Where(type => type != nameof(CudaArithmetic))) : "";
            texts.Add($"{method.DeclaringType!.Name}.{method.Name} {types}".Trim(), compiler.Compile(method));
        }

        return texts;
    }

    [GeneratedRegex(@"(?<extern>\.extern\s+)?(\.visible\s+)?\.func\s+(\([^)]*\)\s*)?(?<name>[\w$]+)")]
    private static partial Regex FunctionPattern();

    [GeneratedRegex(@"\bcall(\.uni)?\s+(\([^)]*\)\s*,\s*)?(?<name>[\w$]+)")]
    private static partial Regex CallPattern();

    private sealed class Compiler : IDisposable
    {
        private readonly Context _context = Context.Create(builder => builder.DefaultCPU().EnableAlgorithms().Optimize(OptimizationLevel.O2));
        private readonly PTXBackend _backend;

        public Compiler() => _backend = new PTXBackend(_context, new CudaCapabilityContext(CudaArchitecture.SM_80), CudaArchitecture.SM_80, CudaInstructionSet.ISA_70, null);

        public string Compile(MethodInfo method) => ((PTXCompiledKernel)_backend.Compile(EntryPointDescription.FromImplicitlyGroupedKernel(method), default)).PTXAssembly;

        public void Dispose()
        {
            _backend.Dispose();
            _context.Dispose();
        }
    }
}
