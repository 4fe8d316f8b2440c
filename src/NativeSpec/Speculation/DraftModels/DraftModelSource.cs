using NativeSpec.Backends;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Speculation.Planning;
using NativeSpec.Tokenization;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>How a draft model drafts.</summary>
public sealed record DraftModelOptions
{
    /// <summary>The name under which statistics and options know it.</summary>
    public string Name { get; init; } = "draft";

    /// <summary>Longest path, 1 to 32.</summary>
    public int Depth { get; init; } = 6;

    /// <summary>Nodes kept per depth, the most probable paths first: 1 drafts a chain, more a tree. 1 to 16.</summary>
    public int Width { get; init; } = 1;

    /// <summary>A path less probable than this, by the draft's own reckoning, is not followed further. 0 to 1.</summary>
    public float StopBelow { get; init; } = 0.05f;

    internal void Validate()
    {
        OptionRange.Require(nameof(Depth), Depth, 1, 32);
        OptionRange.Require(nameof(Width), Width, 1, 16);
        if (!(StopBelow >= 0 && StopBelow <= 1))
        {
            throw new ArgumentException(FormattableString.Invariant($"{nameof(StopBelow)} is {StopBelow}; it must be between 0 and 1"));
        }
    }
}

/// <summary>A second, smaller model that writes ahead (Leviathan et al., 2023): a chain of its most probable tokens, a tree of the most
/// probable paths, or, where the request wants it, tokens drawn from its distribution.</summary>
/// <remarks>The model shares the target's backend and is computed between the target's rounds, by the same thread. Each request has its
/// own keys and values in it, which catch up with the text before each draft.</remarks>
public sealed class DraftModelSource : IDrafterSource
{
    private readonly LlamaCheckpoint _checkpoint;
    private readonly KvCache _cache;

    /// <summary>Opens a draft model.</summary>
    /// <param name="path">Its checkpoint.</param>
    /// <param name="target">The target's tokenizer.</param>
    /// <param name="backend">The target's backend; stays the caller's.</param>
    /// <param name="maxSequences">Requests that are drafted for at once.</param>
    /// <param name="options">How to draft; null for the defaults.</param>
    /// <param name="limits">What the checkpoint may ask for; null for the defaults.</param>
    /// <exception cref="ModelFormatException">The folder is not a model that this engine runs.</exception>
    /// <exception cref="ArgumentException">An option is out of its range, or the vocabularies have nothing to do with each other.</exception>
    internal DraftModelSource(
        string path, Tokenizer target, IBackend backend, int maxSequences, DraftModelOptions? options = null, LoadLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxSequences, 1);
        Options = options ?? new DraftModelOptions();
        Options.Validate();
        _checkpoint = LlamaCheckpoint.Open(path, limits);
        try
        {
            Vocabulary = VocabularyMap.Create(target, Tokenizer.Load(path, limits), path);
            MaxContext = _checkpoint.Config.MaxPositionEmbeddings;
            var nodes = 1 + (Options.Depth * Options.Width);
            Model = new LlamaModel(_checkpoint.Config, _checkpoint.Tensors, backend, new ForwardLimits(Chunk + nodes, Math.Max(nodes, 1), 1, MaxContext));
            _cache = Model.CreateCache(maxSequences * (long)(MaxContext + nodes + RowBatch.PageSize));
        }
        catch
        {
            Model?.Dispose();
            _checkpoint.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name => Options.Name;

    internal const int Chunk = 256;

    internal DraftModelOptions Options { get; }

    internal VocabularyMap Vocabulary { get; }

    internal LlamaModel Model { get; }

    internal int MaxContext { get; }

    /// <summary>What a level of a draft costs and brings.</summary>
    internal LevelWorth Level { get; } = new();

    /// <inheritdoc/>
    public IDrafter Start(ReadOnlyMemory<int> prompt)
        => new DraftModelSession(this, _cache.TryOpen(MaxContext + 1 + (Options.Depth * Options.Width))
            ?? throw new InvalidOperationException($"the drafter '{Name}' serves no more requests at once than it was made for"));

    /// <inheritdoc/>
    public void Dispose()
    {
        _cache.Dispose();
        Model.Dispose();
        _checkpoint.Dispose();
    }
}
