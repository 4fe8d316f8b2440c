using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Planning;
using NativeSpec.Tensors;

namespace NativeSpec.Speculation.Medusa;

/// <summary>Medusa heads as a source of candidates. The heads read the hidden state that chose the tree's root, so head h, counted from 0,
/// proposes the tokens at depth h + 1.</summary>
/// <remarks>A head is computed for all sequences of a round at once, and as many heads as may be expected to pay for all of them
/// together.</remarks>
internal sealed class MedusaDrafterSource : BatchDrafterSource
{
    private readonly HeadsModel _heads;
    private readonly MedusaOptions _options;
    private readonly LevelWorth _head = new();
    private readonly List<MedusaDrafter> _drafting = [];

    /// <summary>Puts the heads on a backend.</summary>
    /// <param name="heads">The heads; their memory must outlive the source.</param>
    /// <param name="model">The model that they belong to.</param>
    /// <param name="tokens">Tokens that its tokenizer has.</param>
    /// <param name="lmHead">The model's output matrix, for heads without one of their own.</param>
    /// <param name="backend">Where they are computed; stays the caller's.</param>
    /// <param name="options">The tree and its limits; defaults when null.</param>
    /// <exception cref="ModelFormatException">The heads belong to another model.</exception>
    /// <exception cref="ArgumentException">The tree is deeper than the heads are many or wider than their vocabulary, or more than 64 tokens of a head are wanted.</exception>
    public MedusaDrafterSource(MedusaHeads heads, LlamaConfig model, int tokens, TensorView lmHead, IBackend backend, MedusaOptions? options = null)
    {
        _options = options ?? new MedusaOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.TopK, 1, nameof(options));
        ArgumentException.ThrowIfNullOrEmpty(_options.Name, nameof(options));
        heads.RequireFit(model, tokens);
        var rows = Math.Min(heads.Rows ?? model.VocabSize, heads.TokenMap is null ? model.VocabSize : int.MaxValue);
        _options.Tree?.RequireFit(heads.Heads.Count, rows);
        var width = Math.Min(_options.Tree?.Width ?? _options.TopK, rows);
        if (width > TopTokens.MaxCount)
        {
            var what = _options.Tree is null ? nameof(MedusaOptions.TopK) : nameof(MedusaOptions.Tree);
            throw new ArgumentException($"{nameof(MedusaOptions)}.{what} takes the {width} likeliest tokens of a head; expected at most {TopTokens.MaxCount}", nameof(options));
        }

        _heads = new HeadsModel(heads, lmHead, backend, rows, width);
    }

    /// <inheritdoc/>
    public override string Name => _options.Name;

    /// <inheritdoc/>
    public override IDrafter Start(ReadOnlyMemory<int> prompt) => new MedusaDrafter(this, _options.Tree);

    /// <inheritdoc/>
    public override void Propose(DraftBatch batch, CancellationToken cancellationToken)
    {
        for (var next = 0; next < batch.Count;)
        {
            _drafting.Clear();
            var depth = 0;
            for (; next < batch.Count && _drafting.Count < HeadsModel.MaxStates; next++)
            {
                var session = (MedusaDrafter)batch[next].Session;
                if (session.Begin(batch[next], next, _heads.Count) is > 0 and var most)
                {
                    _drafting.Add(session);
                    depth = Math.Max(depth, most);
                }
            }

            if (HeadsThatPay(depth) is > 0 and var heads)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Compute(batch, heads);
            }
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _heads.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>How many heads to compute. The first one, if its tokens would pay if they were certain, and each further one if it would pay
    /// where all before it are as often right as usual. Where none can pay, one is computed now and then to time it again.</summary>
    private int HeadsThatPay(int most)
    {
        var (heads, chance) = (0, 1.0);
        for (; heads < most && Gain(heads, chance) > 0; heads++)
        {
            chance *= _head.UsualChance;
        }

        return heads == 0 && most > 0 && _head.IsTimeToTry() ? 1 : heads;
    }

    /// <summary>What a head may be expected to bring, less what it and the nodes of its tokens cost: of all sequences that can use it.</summary>
    private double Gain(int head, double chance)
    {
        var (gain, rows, rate) = (0.0, 0, 0.0);
        foreach (var session in _drafting)
        {
            if (session.Depth > head && chance > LevelWorth.CostOfNode(session.Context, nodes: 1))
            {
                gain += chance - LevelWorth.CostOfNode(session.Context, nodes: 1);
                rate = Math.Max(rate, session.Context.TokensPerSecond);
                rows++;
            }
        }

        return gain - (_head.SecondsOf(rows) * rate);
    }

    private void Compute(DraftBatch batch, int heads)
    {
        var began = Stopwatch.GetTimestamp();
        for (var row = 0; row < _drafting.Count; row++)
        {
            _drafting[row].GiveState(_heads, row);
        }

        _heads.Run(_drafting.Count, heads);
        _head.ObserveSeconds(_drafting.Count, Stopwatch.GetElapsedTime(began).TotalSeconds / heads);
        for (var row = 0; row < _drafting.Count; row++)
        {
            batch.CountRows(_drafting[row].Place, heads);
            _head.ObserveChance(_drafting[row].Propose(_heads, row, heads));
        }
    }
}
