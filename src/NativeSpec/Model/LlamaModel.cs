using NativeSpec.Backends;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Model;

/// <summary>The most that one forward computes; buffers are sized by it once.</summary>
/// <param name="MaxRows">Nodes of all trees: the prompt chunk that is prefilled at once, or all trees that are verified together.</param>
/// <param name="MaxLogitRows">Nodes whose logits are wanted.</param>
/// <param name="MaxSequences">Trees.</param>
/// <param name="MaxContext">Tokens of a sequence.</param>
internal readonly record struct ForwardLimits(int MaxRows, int MaxLogitRows, int MaxSequences, int MaxContext);

/// <summary>A Llama, or a model of a family that computes nearly the same: token embedding, decoder layers of attention and SwiGLU with RMSNorm before each, a head over the vocabulary
/// (Touvron et al., 2023). Where families differ (norms of q and k, a window, a rotated part of a head, multipliers), the configuration says it and a
/// step has it as a parameter. <see cref="Forward"/> is the only forward there is; prefill, decoding, tree verification and batches of
/// sequences differ in the forest they pass.</summary>
/// <remarks>Used by one thread at a time. A forward allocates nothing.</remarks>
internal sealed class LlamaModel : IDisposable
{
    private readonly IBackend _backend;
    private readonly LlamaWeights _weights;
    private readonly RotationAngles _angles;
    private readonly BatchBuilder _builder;
    private readonly RowBatch _batch;
    private readonly IForwardProgram _program;
    private readonly Rows _hidden; // [logit rows, hidden] after the final norm
    private readonly Rows _logits; // [logit rows, vocab]
    private readonly IForwardResult _result;
    private readonly IRowAnswers? _answers; // of a device
    private readonly ITreeWalks? _walks;    // of a device
    private readonly int[] _parents;        // of a tree that a device walks along
    private Forest? _forest; // the last one
    private int _logitRows;

    /// <summary>Puts the weights on the backend and sizes the buffers. The tensors' memory must outlive the model; the backend stays the
    /// caller's.</summary>
    /// <param name="config">The shapes.</param>
    /// <param name="tensors">The weights.</param>
    /// <param name="backend">What computes.</param>
    /// <param name="limits">The most that one forward computes.</param>
    /// <param name="progress">Told the share of the weights that are on the backend, from 0 to 1; null tells nobody.</param>
    public LlamaModel(LlamaConfig config, LlamaTensors tensors, IBackend backend, in ForwardLimits limits, IProgress<double>? progress = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(backend);
        Config = config;
        Limits = limits;
        _backend = backend;
        _weights = LlamaWeights.Import(backend, tensors, progress);
        _angles = RopeFrequencies.Angles(config, limits.MaxContext);
        _builder = new BatchBuilder(config.VocabSize);
        _batch = new RowBatch(limits.MaxRows, checked(limits.MaxSequences * (KvCache.PagesFor(limits.MaxContext) + 1) + KvCache.PagesFor(limits.MaxRows)), _angles);
        var plan = new ForwardPlan(limits.MaxRows, limits.MaxLogitRows) { MaxContext = limits.MaxContext };
        (_hidden, _logits) = Describe(plan, config, _weights);
        _program = backend.Compile(plan);
        (_answers, _walks) = (_program as IRowAnswers, _program as ITreeWalks);
        _parents = new int[_walks is null ? 0 : limits.MaxLogitRows];
        _result = _answers is null ? new ForwardResult(this) : new DeviceResult(this, _answers);
    }

    /// <summary>The shapes.</summary>
    public LlamaConfig Config { get; }

    /// <summary>The most that one forward computes.</summary>
    public ForwardLimits Limits { get; }

    /// <summary>Bytes that the buffers of a model take: the activations, the logits and the table of rotation angles.</summary>
    public static long BufferBytes(LlamaConfig config, in ForwardLimits limits)
    {
        ArgumentNullException.ThrowIfNull(config);
        var angles = (long)limits.MaxContext * config.RotaryDim;
        return checked(BufferLayout.Of(PlanOf(config, limits)).Bytes + (sizeof(float) * angles));
    }

    /// <summary>The forward of a model of which nothing is loaded.</summary>
    public static ForwardPlan PlanOf(LlamaConfig config, in ForwardLimits limits)
    {
        var plan = new ForwardPlan(limits.MaxRows, limits.MaxLogitRows) { MaxContext = limits.MaxContext };
        Describe(plan, config, LlamaWeights.Shapes(config));
        return plan;
    }

    /// <summary>Bytes that a backend takes for the keys and values of a token.</summary>
    public static long KvBytesPerToken(LlamaConfig config, IBackend backend)
        => backend.KvBytesPerRow(new KvShape(config.NumHiddenLayers, 1, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim));

    /// <summary>Makes room for the keys and values of at least <paramref name="tokens"/> tokens of all sequences together.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="sharesPrefixes">Whether texts that begin alike share pages.</param>
    public KvCache CreateCache(long tokens, bool sharesPrefixes = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        var pages = checked((int)((tokens + RowBatch.PageSize - 1) / RowBatch.PageSize));
        var rows = checked(pages * RowBatch.PageSize);
        var shape = new KvShape(Config.NumHiddenLayers, rows, Config.NumAttentionHeads, Config.NumKeyValueHeads, Config.HeadDim);
        var cache = new KvCache(_backend, shape, Limits.MaxRows, sharesPrefixes);
        _program.Prepare(cache.Storage, _batch);
        return cache;
    }

    /// <summary>Computes every node of the forest: keys and values go to the cache, the rows of the wanted logits stay where they are and can be
    /// asked.</summary>
    /// <param name="forest">One tree per sequence, all of one cache.</param>
    /// <param name="cancellationToken">Looked at before every layer; a cancelled forward has committed nothing.</param>
    /// <returns>The rows, until the next forward.</returns>
    /// <exception cref="ArgumentException">The forest outgrows the limits, or a token is outside the vocabulary.</exception>
    public IForwardResult Forward(Forest forest, CancellationToken cancellationToken = default)
    {
        Check(forest);
        Forwards++;
        _forest = forest;
        _logitRows = 0;
        _builder.Fill(_batch, forest);
        Ask(forest);
        _program.Run(_batch, forest.Entries[0].Sequence.Cache.Storage, cancellationToken);
        _logitRows = _batch.LogitCount;
        foreach (ref readonly var entry in forest.Entries)
        {
            entry.Sequence.NoteWalk(_walks is not null && IsWhole(entry) ? _walks.Path(entry.FirstLogitRow) : []);
        }

        return _result;
    }

    /// <summary>[vocab] logits of a node of the last forward; see <see cref="IForwardResult.Logits"/>.</summary>
    public ReadOnlySpan<float> Logits(int logitRow)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)logitRow, (uint)_logitRows);
        return _program.Read(_logits, logitRow);
    }

    /// <summary>The hidden state of a node of the last forward; see <see cref="IForwardResult.Hidden"/>.</summary>
    public HiddenRow Hidden(int logitRow)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)logitRow, (uint)_logitRows);
        return new HiddenRow(this, Forwards, logitRow);
    }

    /// <summary>What computes the forward.</summary>
    internal IForwardProgram Program => _program;

    /// <summary>Forwards so far, begun ones included: the last one's number.</summary>
    internal long Forwards { get; private set; }

    internal bool IsLast(long forward) => forward == Forwards;

    /// <summary>The choices of a row's tree, and the row's node in it.</summary>
    internal (IRowChoices? Choices, int Node) ChoicesOf(int logitRow)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)logitRow, (uint)_logitRows);
        return _forest!.ChoicesOf(logitRow);
    }

    /// <summary>The position that a row's logits are about.</summary>
    internal int PositionAfter(int logitRow) => _batch.Positions[_batch.LogitRows[logitRow]] + 1;

    internal ReadOnlySpan<float> HiddenValues(int logitRow) => _program.Read(_hidden, logitRow);

    internal void CopyHidden(int logitRow, IForwardProgram to, Rows input, int row) => to.Copy(input, row, _program, _hidden, logitRow);

    /// <inheritdoc/>
    public void Dispose()
    {
        _program.Dispose();
        _weights.Dispose();
        _angles.Dispose();
    }

    /// <summary>The forward, top-down, as the paper reads.</summary>
    private static (Rows Hidden, Rows Logits) Describe(ForwardPlan plan, LlamaConfig config, LlamaWeights weights)
    {
        var x = plan.Embed(weights.Embedding, config.EmbeddingMultiplier);
        for (var i = 0; i < weights.Layers.Length; i++)
        {
            var layer = weights.Layers[i];
            var attention = new AttentionPlan(i, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim)
            {
                Scale = config.AttentionScale,
                RotaryDim = config.RotaryDimOf(i),
                Window = config.WindowOf(i),
                QNorm = layer.QNorm is null ? null : Norm(layer.QNorm),
                KNorm = layer.KNorm is null ? null : Norm(layer.KNorm),
            };
            plan.LayerBegins();
            var qkv = plan.Project(x, layer.QkvProj, Norm(layer.InputNorm));
            plan.RopeAppend(qkv, attention);
            plan.Project(plan.Attend(qkv, attention), layer.OProj, epilogue: Epilogue.Add, into: x, multiplier: config.ResidualMultiplier);
            var activated = plan.Project(x, layer.GateUpProj, Norm(layer.PostAttentionNorm), Epilogue.SwiGlu);
            plan.Project(activated, layer.DownProj, epilogue: Epilogue.Add, into: x, multiplier: config.ResidualMultiplier);
        }

        var hidden = plan.GatherLogitRows(x);
        plan.Normalize(hidden, Norm(weights.FinalNorm), into: hidden);
        return (plan.Keep(hidden), plan.Ask(plan.Project(hidden, weights.LmHead, multiplier: 1 / config.LogitsScaling)));

        RmsGain Norm(BackendVector gain) => new(gain, config.RmsNormEps);
    }

    /// <summary>Tells a device how the rows of trees with choices are chosen from, and to walk along those whose rows it chooses from, before it computes them.</summary>
    private void Ask(Forest forest)
    {
        if (_answers is null)
        {
            return;
        }

        _answers.Forget(); // choices that threw have left what was said of a run that never began
        foreach (ref readonly var entry in forest.Entries)
        {
            if (entry.Choices is null)
            {
                continue;
            }

            var choosesAll = true;
            for (var node = entry.FirstLogitNode; node < entry.Tree.Count; node++)
            {
                choosesAll &= DeviceResult.Ask(_answers, entry.FirstLogitRow + node - entry.FirstLogitNode, entry.Choices.Describe(node));
            }

            // A tree of its root alone, or of which a part was computed before, is left to the host.
            if (choosesAll && IsWhole(entry) && entry.Tree.Count > 1)
            {
                _walks?.Walk(entry.FirstLogitRow, ParentsOnWalk(entry.Tree, entry.Choices));
            }
        }
    }

    /// <summary>Whether all of a tree is computed, and logits of all.</summary>
    private static bool IsWhole(in Forest.Entry entry) => entry is { FirstNode: 0, FirstLogitNode: 0 };

    private ReadOnlySpan<int> ParentsOnWalk(TokenTree tree, IRowChoices choices)
    {
        for (var node = 0; node < tree.Count; node++)
        {
            _parents[node] = node > 0 && choices.FollowsToken(node) ? tree.Parents[node] : -1;
        }

        return _parents.AsSpan(0, tree.Count);
    }

    private void Check(Forest forest)
    {
        ArgumentNullException.ThrowIfNull(forest);
        if (forest.Count == 0 || forest.Count > Limits.MaxSequences || forest.RowCount > Limits.MaxRows || forest.LogitCount > Limits.MaxLogitRows)
        {
            throw new ArgumentException(
                $"a forest of {forest.Count} trees, {forest.RowCount} nodes and {forest.LogitCount} wanted logits; this model takes 1 to {Limits.MaxSequences}, {Limits.MaxRows} and {Limits.MaxLogitRows}",
                nameof(forest));
        }

        foreach (ref readonly var entry in forest.Entries)
        {
            ObjectDisposedException.ThrowIf(entry.Sequence.IsDisposed, entry.Sequence);
            if (!ReferenceEquals(entry.Sequence.Cache, forest.Entries[0].Sequence.Cache))
            {
                throw new ArgumentException("the sequences of a forest must share one cache", nameof(forest));
            }

            if (entry.FirstNode > 0 && !entry.Sequence.Walked.IsEmpty)
            {
                throw new ArgumentException(
                    $"a tree cannot grow by node {entry.FirstNode}: the forward before has walked along it and moved keys and values to the slots of other nodes", nameof(forest));
            }

            var end = entry.Sequence.Length + entry.Tree.Depths[^1];
            foreach (var depth in entry.Tree.Depths)
            {
                end = Math.Max(end, entry.Sequence.Length + depth);
            }

            if (end >= Limits.MaxContext)
            {
                throw new ArgumentException($"position {end} lies past the context of {Limits.MaxContext} tokens", nameof(forest));
            }
        }
    }
}
