using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Engine;
using NativeSpec.Tensors;

namespace NativeSpec.Extensions.AI;

/// <summary>The engine of a host: what a configuration may say, in the section <see cref="Section"/> or, for an engine with a key, in the section of that name inside of it.
/// What is null is chosen from the model and the machine; <see cref="EngineOptions"/> says more of each member that has its name there.</summary>
public sealed class NativeSpecOptions
{
    /// <summary>The section of the configuration.</summary>
    public const string Section = "NativeSpec";

    private readonly List<Func<EngineOptions, EngineOptions>> _changes = [];

    /// <summary>The model's folder. Required.</summary>
    public string ModelPath { get; set; } = "";

    /// <summary>What clients call the model; null takes the name of its folder.</summary>
    public string? ModelId { get; set; }

    /// <summary>Folders of draft models.</summary>
    public IList<string> DraftModels { get; set; } = [];

    /// <summary>Medusa heads: a folder or file; null takes those in the checkpoint.</summary>
    public string? Medusa { get; set; }

    /// <summary>The chat template, by name or as text, for a model that has none or another one.</summary>
    public string? ChatTemplate { get; set; }

    /// <summary>Threads that compute.</summary>
    public int? Threads { get; set; }

    /// <summary>The backend.</summary>
    public BackendKind? Backend { get; set; }

    /// <summary>The CUDA device.</summary>
    public int? Device { get; set; }

    /// <summary>How matmul weights are held.</summary>
    public WeightFormat Weights { get; set; }

    /// <summary>How keys and values are held.</summary>
    public KvFormat? KvFormat { get; set; }

    /// <summary>Most requests that are computed together.</summary>
    public int MaxSequences { get; set; } = 16;

    /// <summary>Most requests that wait beyond those.</summary>
    public int MaxWaiting { get; set; } = 1024;

    /// <summary>Most prompt tokens of all requests that wait together.</summary>
    public long MaxWaitingTokens { get; set; } = 4_194_304;

    /// <summary>Most tokens of a request, prompt and output together.</summary>
    public int? MaxContext { get; set; }

    /// <summary>Tokens whose keys and values are kept for all requests together.</summary>
    public long? KvTokens { get; set; }

    /// <summary>Whether keys and values of texts that have ended are kept for those that begin alike.</summary>
    public bool PrefixCache { get; set; } = true;

    /// <summary>How long a reader may read nothing while many pieces wait.</summary>
    public TimeSpan SlowReaderTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Where the engine keeps what it measured about the machine; null keeps nothing.</summary>
    public string? ProfileDirectory { get; set; }

    /// <summary>Whether the engine writes a few short texts before it counts as ready, so that the first request finds all code compiled.</summary>
    public bool WarmUp { get; set; } = true;

    /// <summary>How long an engine that has requests may compute nothing before <see cref="EngineHealthCheck"/> calls it stuck.</summary>
    public TimeSpan StuckAfter { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary><see cref="ModelId"/>, or the name of the model's folder.</summary>
    internal string EffectiveModelId => ModelId ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(ModelPath)));

    /// <summary>Changes what no configuration can say: drafters of one's own, limits of files, further options.</summary>
    /// <param name="change">Makes other options of those that these make.</param>
    /// <returns>These options.</returns>
    public NativeSpecOptions ConfigureEngine(Func<EngineOptions, EngineOptions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        _changes.Add(change);
        return this;
    }

    /// <summary>The engine's own options, with all changes. Called once a load, because a change may make drafters.</summary>
    internal EngineOptions ToEngineOptions(ILogger logger) => _changes.Aggregate(Bound() with { Logger = logger }, (options, change) => change(options));

    /// <summary>The engine's own options as far as a configuration says them.</summary>
    internal EngineOptions Bound() => new()
    {
        Name = EffectiveModelId,
        DraftModels = [.. DraftModels],
        Medusa = Medusa,
        ChatTemplate = ChatTemplate,
        Threads = Threads,
        Backend = Backend,
        Device = Device,
        Weights = Weights,
        KvFormat = KvFormat,
        MaxSequences = MaxSequences,
        MaxWaiting = MaxWaiting,
        MaxWaitingTokens = MaxWaitingTokens,
        MaxContext = MaxContext,
        KvTokens = KvTokens,
        PrefixCache = PrefixCache,
        SlowReaderTimeout = SlowReaderTimeout,
        ProfileDirectory = ProfileDirectory,
    };
}
