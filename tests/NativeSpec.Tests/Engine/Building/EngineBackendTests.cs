using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Engine.Building;

public sealed class EngineBackendTests
{
    private readonly Lines _log = new();

    [Test]
    public void Create_WithoutAWish_TakesTheNativeKernelsWhereTheyAreAndOtherwiseSaysWhyNot()
    {
        using var backend = EngineBackend.Create(new EngineOptions { Logger = _log, Threads = 3 });

        if (NativeLibraryLoader.WhyMissing is { } reason)
        {
            Assert.That(backend.Name, Is.EqualTo("cpu"));
            Assert.That(_log.Messages, Is.EqualTo(new[] { $"Warning: {reason}; the managed kernels serve" }));
        }
        else
        {
            Assert.That(backend.Name, Is.EqualTo("native"));
            Assert.That(_log.Messages, Is.Empty);
        }

        Assert.That(backend.Description, Does.Contain("3 threads"));
    }

    [Test]
    public void Create_TheManagedKernelsByName_TakesThemAndSaysNothing()
    {
        using var backend = EngineBackend.Create(new EngineOptions { Logger = _log, Backend = BackendKind.Cpu });
        Assert.That(backend.Name, Is.EqualTo("cpu"));
        Assert.That(_log.Messages, Is.Empty);
    }

    [Test]
    public void Create_KeysAndValuesAsBF16_TakeHalfTheMemoryWhereTheyAreAskedFor([Values(BackendKind.Cpu, BackendKind.Native)] BackendKind kind)
    {
        Assume.That(kind == BackendKind.Cpu || NativeLibraryLoader.WhyMissing is null);
        using IBackend usual = EngineBackend.Create(new EngineOptions { Backend = kind }), rounded = EngineBackend.Create(new EngineOptions { Backend = kind, KvFormat = KvFormat.BF16 });
        var shape = new KvShape(Layers: 2, Rows: 64, Heads: 4, KvHeads: 2, HeadDim: 8);
        Assert.That((usual.KvBytesPerRow(shape), rounded.KvBytesPerRow(shape)), Is.EqualTo((shape.Length * 4, shape.Length * 2)));
        Assert.That(rounded.Description, Does.Contain("BF16 keys and values"), "a profile of another format is another profile");
    }

    [Test]
    public void Create_PackedWeightsWithoutTheNativeKernels_IsRefused()
    {
        var error = Assert.Throws<ArgumentException>(() => EngineBackend.Create(new EngineOptions { Backend = BackendKind.Cpu, Weights = WeightFormat.Q8 }))!;
        Assert.That(error.Message, Does.Contain("q8").And.Contain("native"));
    }

    [Test]
    public void Create_OneOfTheCallers_TakesIt()
    {
        using var own = EngineBackend.Create(new EngineOptions { Backend = BackendKind.Cpu });
        Assert.That(EngineBackend.Create(new EngineOptions { CreateBackend = _ => own, Weights = WeightFormat.Q4 }), Is.SameAs(own));
    }

    [Test]
    public void Load_PackedWeights_ReportsProgressAndKeepsItsOwnProfile()
    {
        Assume.That(NativeLibraryLoader.WhyMissing, Is.Null);
        using var folder = new TestFolder();
        var profiles = Path.Combine(folder.Path, "profiles");
        var shares = new Shares();
        foreach (var options in new[] { new EngineOptions(), new EngineOptions { Weights = WeightFormat.Q8, LoadProgress = shares }, new EngineOptions { Threads = 5 }, new EngineOptions { Backend = BackendKind.Cpu } })
        {
            using var engine = InferenceEngine.Load(folder.Path, options with { ProfileDirectory = profiles });
        }

        Assert.That(shares.Seen, Is.Ordered.Ascending);
        Assert.That(shares.Seen[^1], Is.EqualTo(1));
        Assert.That(Directory.GetFiles(profiles), Has.Length.EqualTo(4), "weights, threads and backends are told apart");
    }

    private sealed class Shares : IProgress<double>
    {
        public List<double> Seen { get; } = [];

        public void Report(double value) => Seen.Add(value);
    }

    private sealed class Lines : ILogger
    {
        public List<string> Messages { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            => Messages.Add($"{logLevel}: {formatter(state, exception)}");
    }
}
