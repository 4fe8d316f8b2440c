using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Speculation.Planning;
using NativeSpec.Tokenization;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>How much a draft model serves.</summary>
/// <param name="MaxSequences">Requests that it drafts for at once.</param>
/// <param name="MaxContext">Most tokens of a text that it drafts for; its own limit counts too.</param>
/// <param name="KvTokens">Tokens whose keys and values it keeps, for all requests together.</param>
/// <param name="SharesPrefixes">Whether texts that begin alike share them.</param>
internal readonly record struct DraftRoom(int MaxSequences, int MaxContext, long KvTokens, bool SharesPrefixes = false);

/// <summary>A second, smaller model that writes ahead (Leviathan et al., 2023): a chain of its most probable tokens, a tree of the most
/// probable paths, or, where the request wants it, tokens sampled from its distribution.</summary>
/// <remarks>All sequences of a round are drafted for together: a level of their candidates is one forward pass over a forest of one tree
/// each, so the weights are read once a level. There is a next level while what it may be expected to bring to all of them is worth a pass
/// over so many rows. Each sequence has its own keys and values, in pages of one pool; one that finds the pool empty is not drafted for.</remarks>
internal sealed class DraftModelSource : BatchDrafterSource
{
    private readonly LlamaCheckpoint _checkpoint;
    private readonly Forest _forest;
    private readonly List<DraftModelSession> _drafting = [];
    private bool _draftedLast; // whether the last call found that candidates pay

    /// <summary>Opens a draft model.</summary>
    /// <param name="path">Its checkpoint.</param>
    /// <param name="target">The target's tokenizer.</param>
    /// <param name="backend">The target's backend; stays the caller's.</param>
    /// <param name="roomOf">How much it serves, by its shapes.</param>
    /// <param name="options">How to draft; null for the defaults.</param>
    /// <param name="limits">What the checkpoint may ask for; null for the defaults.</param>
    /// <exception cref="ModelFormatException">The folder is not a model that this engine runs.</exception>
    /// <exception cref="ArgumentException">An option is out of its range, or the vocabularies have nothing to do with each other.</exception>
    public DraftModelSource(
        string path, Tokenizer target, IBackend backend, Func<LlamaConfig, DraftRoom> roomOf, DraftModelOptions? options = null, LoadLimits? limits = null)
    {
        Options = options ?? new DraftModelOptions();
        Options.Validate();
        _checkpoint = LlamaCheckpoint.Open(path, limits);
        try
        {
            var config = _checkpoint.Config;
            Vocabulary = VocabularyMap.Create(target, Tokenizer.Load(path, limits), config.VocabSize, path);
            var room = roomOf(config);
            MaxContext = Math.Min(config.MaxPositionEmbeddings, room.MaxContext);
            Model = new LlamaModel(config, _checkpoint.Tensors, backend, Limits(room with { MaxContext = MaxContext }, Options));
            Cache = Model.CreateCache(CacheTokens(room, Options), room.SharesPrefixes);
            _forest = new Forest(room.MaxSequences);
        }
        catch
        {
            Model?.Dispose();
            _checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Most tokens of text that one forward pass reads.</summary>
    public const int Chunk = 256;

    /// <summary>Text up to this long is computed beside the first level of candidates.</summary>
    public const int ShortText = 16;

    /// <inheritdoc/>
    public override string Name => Options.Name;

    /// <inheritdoc/>
    public override DraftKind Kind => Vocabulary.MapsTokens ? DraftKind.Sampled : DraftKind.Computed;

    public DraftModelOptions Options { get; }

    public VocabularyMap Vocabulary { get; }

    public LlamaModel Model { get; }

    public KvCache Cache { get; }

    public int MaxContext { get; }

    /// <summary>What a level of a draft costs and brings.</summary>
    public LevelWorth Level { get; } = new();

    /// <summary>Forward passes so far, and the rows that they computed.</summary>
    public (long Forwards, long Rows) Computed { get; private set; }

    /// <summary>The most that a forward pass of a draft computes: a chunk of text, or a level of all sequences.</summary>
    public static ForwardLimits Limits(in DraftRoom room, DraftModelOptions options)
    {
        var level = room.MaxSequences * options.Width;
        return new ForwardLimits(Chunk + level, level, room.MaxSequences, room.MaxContext);
    }

    /// <summary>Rows of the cache: beside the texts, each sequence needs room for its candidates and for the rest of its last page.</summary>
    public static long CacheTokens(in DraftRoom room, DraftModelOptions options)
        => checked(room.KvTokens + (room.MaxSequences * (long)((options.Depth * options.Width) + RowBatch.PageSize)));

    /// <inheritdoc/>
    public override IDrafter Start(ReadOnlyMemory<int> prompt) => new DraftModelSession(this);

    /// <inheritdoc/>
    public override int Owed(in DraftItem item) => ((DraftModelSession)item.Session).Owed(item.Context);

    /// <inheritdoc/>
    public override void Read(DraftBatch batch, int rows, CancellationToken cancellationToken)
    {
        Begin(batch, MaxContext);
        if (!KeepWhatPays(isPassPaid: _draftedLast))
        {
            TimeAgain(batch, cancellationToken);
            return;
        }

        _forest.Clear();
        for (var (i, left) = (0, Math.Min(rows, Chunk)); i < _drafting.Count && left > 0; i++)
        {
            left -= _drafting[i].AddText(_forest, Math.Max(left / (_drafting.Count - i), 1));
        }

        if (_forest.Count > 0)
        {
            Forward(cancellationToken);
            CommitText(batch);
        }
    }

    /// <inheritdoc/>
    public override void Propose(DraftBatch batch, CancellationToken cancellationToken)
    {
        Begin(batch, ShortText);
        _draftedLast = KeepWhatPays(isPassPaid: false);
        if (!_draftedLast)
        {
            TimeAgain(batch, cancellationToken);
            return;
        }

        try
        {
            do
            {
                ComputeLevel(batch, cancellationToken);
            }
            while (KeepWhatPays(isPassPaid: false));
        }
        finally
        {
            for (var i = 0; i < batch.Count; i++)
            {
                ((DraftModelSession)batch[i].Session).End();
            }
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        Cache.Dispose();
        Model.Dispose();
        _checkpoint.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Begins with the sequences of a batch that can be drafted for.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="mostText">Those with more text to compute are left out.</param>
    private void Begin(DraftBatch batch, int mostText)
    {
        _drafting.Clear();
        for (var i = 0; i < batch.Count; i++)
        {
            var session = (DraftModelSession)batch[i].Session;
            if (session.Begin(batch[i], i) && session.Uncomputed <= mostText)
            {
                _drafting.Add(session);
            }
        }
    }

    /// <summary>Drops the sequences to which a level brings less than its rows cost, and all of them where what it brings to the others is not
    /// worth the pass.</summary>
    private bool KeepWhatPays(bool isPassPaid)
    {
        var (kept, gain, rate) = (0, 0.0, 0.0);
        for (var i = 0; i < _drafting.Count; i++)
        {
            if (_drafting[i].NetGain() is > 0 and var net)
            {
                gain += net;
                rate = Math.Max(rate, _drafting[i].TokensPerSecond);
                _drafting[kept++] = _drafting[i];
            }
        }

        kept = isPassPaid || gain > Level.FixedSeconds * rate ? kept : 0;
        _drafting.RemoveRange(kept, _drafting.Count - kept);
        return kept > 0;
    }

    /// <summary>Computes the next level of all sequences: in one pass, unless more text has to be caught up with than a pass has rows for.</summary>
    private void ComputeLevel(DraftBatch batch, CancellationToken cancellationToken)
    {
        for (int first = 0, end = 0; first < _drafting.Count; first = end)
        {
            _forest.Clear();
            for (; end < _drafting.Count && _forest.RowCount + _drafting[end].RowsOfLevel <= Model.Limits.MaxRows; end++)
            {
                var before = _forest.RowCount;
                _drafting[end].AddLevel(_forest);
                batch.CountRows(_drafting[end].Place, _forest.RowCount - before);
            }

            if (_forest.Count == 0)
            {
                continue; // the cache has no room for any of them now
            }

            var began = Stopwatch.GetTimestamp();
            var rows = Forward(cancellationToken);
            for (var i = first; i < end; i++)
            {
                _drafting[i].TakeLevel(rows, _forest);
            }

            Level.ObserveSeconds(_forest.RowCount, Stopwatch.GetElapsedTime(began).TotalSeconds);
        }
    }

    /// <summary>Where no candidates can pay, a forward pass is timed now and then all the same, lest one bad moment decide for good.</summary>
    private void TimeAgain(DraftBatch batch, CancellationToken cancellationToken)
    {
        if (!Level.IsTimeToTry())
        {
            return;
        }

        Begin(batch, MaxContext);
        _forest.Clear();
        for (var i = 0; i < _drafting.Count && _forest.Count == 0; i++)
        {
            _drafting[i].AddText(_forest, 1);
        }

        if (_forest.Count > 0)
        {
            var began = Stopwatch.GetTimestamp();
            Forward(cancellationToken);
            Level.ObserveSeconds(rows: 1, Stopwatch.GetElapsedTime(began).TotalSeconds);
            CommitText(batch);
        }
    }

    private void CommitText(DraftBatch batch)
    {
        foreach (var session in _drafting)
        {
            batch.CountRows(session.Place, session.CommitText());
        }
    }

    private IForwardResult Forward(CancellationToken cancellationToken)
    {
        var rows = Model.Forward(_forest, cancellationToken);
        Computed = (Computed.Forwards + 1, Computed.Rows + _forest.RowCount);
        return rows;
    }
}
