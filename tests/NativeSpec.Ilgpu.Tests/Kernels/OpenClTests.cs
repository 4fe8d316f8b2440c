using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.OpenCL;
using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Ilgpu.Tests.Kernels;

/// <summary>What an OpenCL device would be given: every kernel but that of tensor cores as OpenCL C, with nothing that a device may lack besides float64; and clang takes it where that is
/// installed.</summary>
public sealed class OpenClTests
{
    private static readonly Lazy<Dictionary<string, string>> Sources = new(CompileAll);

    public static IEnumerable<string> Names => Sources.Value.Keys;

    [TestCaseSource(nameof(Names))]
    public void Source_OfEveryKernel_AsksForNoExtensionBesidesFloat64(string name)
    {
        var source = Sources.Value[name];
        Assert.That(source, Does.Contain("__kernel").Or.Contain("kernel void"));
        Assert.That(source, Does.Not.Contain("half").And.Not.Contain("sub_group").And.Not.Contain("barrier(").And.Not.Contain("local "));
    }

    [Test]
    public void Sources_OfTheNoise_RoundEveryProductBeforeItIsAdded()
        => Assert.That(Sources.Value["Choose.Weigh"], Does.Not.Contain("fma("), "a statement's result is rounded; only within an expression may a compiler fuse");

    [TestCaseSource(nameof(Names))]
    public void Source_OfEveryKernel_IsTakenByClang(string name)
    {
        var file = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"{Guid.NewGuid():n}.cl");
        File.WriteAllText(file, Sources.Value[name]);
        try
        {
            using var process = Start("-x", "cl", "-cl-std=CL2.0", "-Xclang", "-finclude-default-header", "--target=spir64", "-fsyntax-only", file);
            var said = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.That(process.ExitCode, Is.Zero, said);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static Process Start(params string[] arguments)
    {
        foreach (var clang in new[] { Environment.GetEnvironmentVariable("CLANG"), "clang", "clang-19" }.OfType<string>())
        {
            try
            {
                return Process.Start(new ProcessStartInfo(clang, arguments) { RedirectStandardError = true })!;
            }
            catch (Win32Exception)
            {
                // the next name
            }
        }

        Assert.Ignore("no clang is here: put it in the path or its path in CLANG");
        throw new InvalidOperationException();
    }

    private static Dictionary<string, string> CompileAll()
    {
        using var context = Context.Create(builder => builder.DefaultCPU().EnableAlgorithms().Optimize(OptimizationLevel.O2));
        using var backend = new CLBackend(context, Capabilities(), CLDeviceVendor.Other, CLCVersion.CL20);
        Dictionary<string, string> sources = [];
        foreach (var method in IlgpuKernels.Of<PlainArithmetic>(TestBackend.SharedDevice).Methods.Where(method => method.DeclaringType != typeof(MatMulTiles) || method.Name != nameof(MatMulTiles.Run)))
        {
            var types = method.IsGenericMethod ? string.Join(' ', method.GetGenericArguments().Select(type => type.Name).Where(type => type != nameof(PlainArithmetic))) : "";
            sources.Add($"{method.DeclaringType!.Name}.{method.Name} {types}".Trim(), ((CLCompiledKernel)backend.Compile(EntryPointDescription.FromImplicitlyGroupedKernel(method), default)).Source);
        }

        return sources;
    }

    /// <summary>A device that has float64 and what ILGPU itself asks for, and nothing else.</summary>
    private static CLCapabilityContext Capabilities()
    {
        var constructor = typeof(CLCapabilityContext).GetConstructors(BindingFlags.Public | BindingFlags.Instance).Single();
        return (CLCapabilityContext)constructor.Invoke([.. constructor.GetParameters().Select(parameter =>
            (object)(parameter.Name!.Equals("float64", StringComparison.OrdinalIgnoreCase) || parameter.Name.Equals("genericAddressSpace", StringComparison.OrdinalIgnoreCase)))]);
    }
}
