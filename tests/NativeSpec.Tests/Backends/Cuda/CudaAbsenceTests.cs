using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Where there is no device to use the engine says why in a sentence, and the processor serves whoever did not ask for CUDA.</summary>
public sealed class CudaAbsenceTests
{
    [TearDown]
    public void RestoreTheDriver()
    {
        if (CudaEmulator.IsBuilt)
        {
            CudaEmulator.Set("DEVICES", "1");
            CudaEmulator.Set("VERSION", "13000");
            CudaEmulator.Set("MEMORY", "1024");
        }

        Environment.SetEnvironmentVariable(CudaDevice.NumberVariable, CudaDevice.NoDevice);
    }

    [Test]
    public void Open_WithoutALibrary_SaysWhichWasLookedFor()
    {
        Assert.That(CudaLibrary.Open("/nowhere/libcuda.so.1"), Does.Contain("/nowhere/libcuda.so.1").And.Contain(CudaLibrary.PathVariable));
        Assert.That(CudaLibrary.Open(""), Does.Contain("is empty"));
    }

    [Test]
    public void Open_ALibraryThatIsNoDriver_SaysSo()
    {
        var library = OperatingSystem.IsWindows() ? "kernel32.dll" : OperatingSystem.IsMacOS() ? "libSystem.B.dylib" : "libc.so.6";
        Assert.That(CudaLibrary.Open(library), Is.EqualTo($"'{library}' ({CudaLibrary.PathVariable}) is no CUDA driver: it has no cuInit"));
    }

    [TestCase("DEVICES", "0", "finds no device")]
    [TestCase("VERSION", "11040", "for CUDA 11.4; the kernels need one for 12.0")]
    public void Create_ADriverThatCannotServe_SaysWhyAndTheProcessorServes(string setting, string value, string why)
    {
        CudaEmulator.Require();
        CudaEmulator.Set(setting, value);

        Assert.That(CudaBackend.TryCreate(new CudaOptions { Device = 0 }, out var reason), Is.Null);
        Assert.That(reason, Does.Contain(why));
        Assert.That(() => EngineBackend.Create(new EngineOptions { Backend = BackendKind.Cuda, Device = 0 }), Throws.InvalidOperationException.With.Message.Contains(why));
        Environment.SetEnvironmentVariable(CudaDevice.NumberVariable, "0");
        using var backend = EngineBackend.Create(new EngineOptions());
        Assert.That(backend.Name, Is.Not.EqualTo("cuda"));
    }

    [Test]
    public void Create_ADeviceThatIsNotThere_NamesThoseThatAre()
    {
        CudaEmulator.Require();
        Assert.That(() => EngineBackend.Create(new EngineOptions { Device = 3 }), Throws.InvalidOperationException.With.Message.Contains("there is no CUDA device 3; there is 1, number 0"));
        Environment.SetEnvironmentVariable(CudaDevice.NumberVariable, "first");
        Assert.That(() => EngineBackend.Create(new EngineOptions { Backend = BackendKind.Cuda }), Throws.InvalidOperationException.With.Message.Contains("'first'; expected a device's number"));
    }

    [Test]
    public async Task Load_TooLittleDeviceMemory_ServesOnTheProcessorUnlessCudaWasAskedFor()
    {
        CudaEmulator.Require();
        using var folder = new TestFolder(dtype: DType.BF16);
        CudaEmulator.Set("MEMORY", "1");
        Assert.That(
            () => InferenceEngine.Load(folder.Path, new EngineOptions { Backend = BackendKind.Cuda, Device = 0, KvTokens = 4096 }),
            Throws.InstanceOf<InvalidOperationException>().With.Message.Contains("bytes of memory left").And.Message.Contains("are free"));

        Environment.SetEnvironmentVariable(CudaDevice.NumberVariable, "0");
        var log = new Lines();
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { KvTokens = 4096, Logger = log });
        Assert.That(engine.Backend, Does.Not.StartWith("cuda"));
        Assert.That(log.Warnings, Has.Some.Contains("bytes of memory left"));
        Assert.That((await engine.CompleteAsync([1, 2], new() { MaxTokens = 3, Temperature = 0 })).Ids, Has.Count.EqualTo(3));
        Assert.That(CudaEmulator.Problems(), Is.Empty);
    }

    [Test]
    public async Task Load_ADeviceByItself_IsTakenAndWritesTheProcessorsText()
    {
        CudaEmulator.Require();
        using var folder = new TestFolder(dtype: DType.BF16);
        Environment.SetEnvironmentVariable(CudaDevice.NumberVariable, "0");
        var options = new EngineOptions { KvTokens = 256, MaxContext = 128, MaxSequences = 2, MaxTreeNodes = 8 };
        using var engine = InferenceEngine.Load(folder.Path, options);
        using var processor = InferenceEngine.Load(folder.Path, options with { Backend = BackendKind.Cpu });

        Assert.That(engine.Backend, Does.StartWith("cuda: "));
        var wanted = new GenerationOptions { MaxTokens = 4, Temperature = 0 };
        Assert.That((await engine.CompleteAsync([9, 8, 7], wanted)).Ids, Is.EqualTo((await processor.CompleteAsync([9, 8, 7], wanted)).Ids));
    }

    [Test]
    public void Load_HeadsThatTheKernelsDoNotTake_IsSaidPlainly()
    {
        CudaEmulator.Require();
        using var weights = new SyntheticModel(TestConfigs.Tiny with { HeadDim = 160, NumAttentionHeads = 2, NumKeyValueHeads = 1 }, DType.BF16, 1);
        using var backend = CudaEmulator.Create();
        Assert.That(
            () => new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(8, 8, 1, 64)),
            Throws.TypeOf<CudaException>().With.Message.Contains("heads of 160"));
    }

    /// <summary>sm_86, sm_89 and sm_120 give a block 99 KB.</summary>
    [Test]
    public void Load_OnADeviceWithLittleSharedMemory_ComputesNarrowHeadsAndRefusesWideOnes([Values] KvFormat kv)
    {
        CudaEmulator.Require();
        var whole = CudaDevice.Find(0, out _)!;
        var small = whole with { SharedBytes = 100 << 10, BlockSharedBytes = 99 << 10 };
        using var narrow = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 1);
        using var wide = new SyntheticModel(TestConfigs.Tiny with { HeadDim = 128, NumHiddenLayers = 1 }, DType.BF16, 1);
        var logits = new[] { whole, small }.Select(device =>
        {
            using var run = new ModelRun(new CudaBackend(device, new CudaOptions { KvFormat = kv }), narrow.Config, narrow.Tensors);
            return run.Append(run.Open(), [1, 2, 3], chunk: 3);
        }).ToArray();

        Assert.That(logits[1], Is.EqualTo(logits[0]));
        using var backend = new CudaBackend(small, new CudaOptions { KvFormat = kv });
        Assert.That(
            () => new LlamaModel(wide.Config, wide.Tensors, backend, new ForwardLimits(8, 8, 1, 64)),
            Throws.TypeOf<CudaException>().With.Message.Contains("a multiple of 4 to 64 on a device that gives a block 101376 bytes").And.Message.Contains($"{(kv == KvFormat.F32 ? 115072 : 108928)} for heads to 128"));
    }

    private sealed class Lines : ILogger
    {
        public List<string> Warnings { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel == LogLevel.Warning)
            {
                Warnings.Add(formatter(state, exception));
            }
        }
    }
}
