using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;

namespace NativeSpec.Tests.Engine;

/// <summary>Tests of engines on a checkpoint folder of their own, with requests that never meet the token whose logits are spoilt.</summary>
public abstract class FolderFixture
{
    /// <summary>A sampled text of 40 tokens at most.</summary>
    protected static GenerationOptions Sampled { get; } = new()
    {
        MaxTokens = 40,
        Temperature = 1,
        Seed = 5,
        LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [TestFolder.TokenizersEndOfText] = -100 },
    };

    /// <summary>The folder's path.</summary>
    protected string FolderPath => _folder.Path;

    private TestFolder _folder = null!;

    [SetUp]
    public void Make() => _folder = MakeFolder();

    [TearDown]
    public void Remove() => _folder.Dispose();

    /// <summary>The folder of a test.</summary>
    private protected virtual TestFolder MakeFolder() => new();

    /// <summary>An engine of two threads on the folder.</summary>
    protected InferenceEngine Open(EngineOptions options)
        => InferenceEngine.Load(FolderPath, options with { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }) });
}
