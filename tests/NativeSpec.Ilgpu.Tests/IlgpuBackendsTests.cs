using System.Reflection;
using ILGPU.Runtime.Cuda;
using NativeSpec.Backends;
using NativeSpec.Engine;
using NativeSpec.Tests;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>How the back end is taken: one line, by the device's number, kind or name.</summary>
public sealed class IlgpuBackendsTests
{
    [Test]
    public async Task On_TheProcessor_WritesTheManagedText()
    {
        using var folder = new TestFolder(poisoned: false);
        var options = new EngineOptions { OtherBackend = IlgpuBackends.On("cpu"), Threads = 2, MaxContext = 64, KvTokens = 128, MaxSequences = 1, MaxTreeNodes = 4 };
        using var engine = InferenceEngine.Load(folder.Path, options);
        using var managed = InferenceEngine.Load(folder.Path, options with { OtherBackend = null, Backend = BackendKind.Cpu });

        var result = await engine.CompleteAsync([72, 101, 108], new() { MaxTokens = 12, Temperature = 0 });

        Assert.That(result.Ids, Is.EqualTo((await managed.CompleteAsync([72, 101, 108], new() { MaxTokens = 12, Temperature = 0 })).Ids));
        Assert.That(engine.Backend, Does.StartWith("ilgpu: cpu, 2 threads, weights as stored"));
    }

    /// <summary>Nobody who refers to the package need know ILGPU.</summary>
    [Test]
    public void ThePackage_ShowsNoTypeOfIlgpu()
    {
        Assert.That(typeof(IlgpuBackends).Assembly.ExportedTypes, Is.EqualTo(new[] { typeof(IlgpuBackends) }));
        Assert.That(
            typeof(IlgpuBackends).GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly).Select(method => method.ReturnType),
            Is.EquivalentTo(new[] { typeof(IReadOnlyList<string>), typeof(BackendProvider) }));
        Assert.That(typeof(InferenceEngine).Assembly.GetReferencedAssemblies().Select(name => name.Name), Has.None.StartsWith("ILGPU"));
    }

    [Test]
    public void Ilgpu_IsReferredToByItsOneProjectAlone()
    {
        var naming = new[] { "src", "tests", "samples" }.SelectMany(folder => Directory.GetFiles(Repository.Find(folder), "*.csproj", SearchOption.AllDirectories))
            .Where(file => File.ReadAllText(file).Contains("PackageReference Include=\"ILGPU", StringComparison.OrdinalIgnoreCase)).Select(Path.GetFileName);
        Assert.That(naming, Is.EqualTo(new[] { "NativeSpec.Ilgpu.csproj" }));
    }

    [Test]
    public void Devices_OfEveryMachine_EndWithTheProcessor() => Assert.That(IlgpuBackends.Devices()[^1], Does.StartWith("cpu, "));

    [TestCase("999")]
    [TestCase("a device of another world")]
    public void On_ADeviceThatIsNotThere_SaysWhichAre(string device)
    {
        using var folder = new TestFolder(poisoned: false);
        var error = Assert.Throws<InvalidOperationException>(() => InferenceEngine.Load(folder.Path, new EngineOptions { OtherBackend = IlgpuBackends.On(device) }))!;
        Assert.That(error.Message, Does.Contain($"'{device}'").And.Contain("0: ").And.Contain("cpu, "));
    }

    /// <summary>An engine whose back end is lost must know it from other errors, and people want the driver's words.</summary>
    [Test]
    public void Lost_OfADriversError_IsWhatAnEngineKnowsAsALostBackend()
    {
        using var device = IlgpuDevice.Open("cpu", threads: 2);
        var error = new CudaException("an illegal memory access was encountered");
        Assert.That(device.Lost(error).InnerException, Is.SameAs(error));
        Assert.That(device.Lost(error).Message, Does.Contain("cpu").And.Contain("illegal memory access"));
        Assert.That(IlgpuDevice.IsOutOfMemory(error), Is.False);
        Assert.That(IlgpuDevice.IsOutOfMemory(new CudaException("out of memory")), Is.True);
    }

    /// <summary>The roof of a device is its own; the processor accelerator computes under the processor's.</summary>
    [Test]
    public void MeasureCopying_IsADevicesAlone()
    {
        using var backend = new IlgpuBackend(IlgpuDevice.Open("cpu", threads: 2), ownsDevice: true);
        Assert.That(((IBackend)backend).MeasureCopying(), Is.Null);
        Assert.That(backend.MeasureCopying(1 << 16), Is.Positive, "what it would measure on a device");
    }

    [Test]
    public void OtherBackend_BesideABackend_IsRefused()
    {
        using var folder = new TestFolder(poisoned: false);
        Assert.That(
            () => InferenceEngine.Load(folder.Path, new EngineOptions { OtherBackend = IlgpuBackends.On("cpu"), Backend = BackendKind.Cpu }),
            Throws.ArgumentException.With.Message.Contains("OtherBackend").And.Message.Contains("ilgpu"));
    }
}
