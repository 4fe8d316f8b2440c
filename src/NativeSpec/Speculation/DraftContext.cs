using NativeSpec.Sampling;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation;

/// <summary>What a drafter may know when it proposes. The engine makes it; make one yourself to try or test a drafter without an engine.</summary>
public sealed class DraftContext
{
    private readonly Chooser? _chooser;
    private readonly SamplingRule? _rule;
    private readonly TokenHistory? _history;
    private TokenDistribution? _distribution;
    private float[]? _logits;
    private int[] _text = [];
    private int _length;
    private int _drafted;
    private int _drafter; // whose turn it is

    /// <summary>Makes the context of one proposal. For the next one, make another with the longer text.</summary>
    /// <param name="text">Prompt and output so far, at least one token; the last one is the tree's root.</param>
    /// <param name="budget">The most nodes that it makes sense to add.</param>
    /// <param name="maxDepth">The deepest node that can be used.</param>
    /// <param name="probeBudget">The most probes to add.</param>
    public DraftContext(ReadOnlySpan<int> text, int budget, int maxDepth, int probeBudget = 0)
        : this()
    {
        ArgumentOutOfRangeException.ThrowIfZero(text.Length, nameof(text));
        ArgumentOutOfRangeException.ThrowIfNegative(budget);
        ArgumentOutOfRangeException.ThrowIfNegative(maxDepth);
        ArgumentOutOfRangeException.ThrowIfNegative(probeBudget);
        Append(text);
        (Budget, MaxDepth, ProbeBudget) = (budget, maxDepth, probeBudget);
    }

    internal DraftContext(Chooser? chooser = null, SamplingRule? rule = null, TokenHistory? history = null, bool samplesDrafts = false)
    {
        (_chooser, _rule, _history) = (chooser, rule, history);
        SamplesDrafts = samplesDrafts;
        DraftChance = new CounterChance(rule?.Seed ?? 0, FirstDraftDraw);
    }

    /// <summary>Drafts draw from numbers of their own, so that verifying is independent of drafting.</summary>
    private const uint FirstDraftDraw = 1u << 20;

    /// <summary>The text so far, prompt and output; the last token is the tree's root.</summary>
    public ReadOnlySpan<int> Text => _text.AsSpan(0, _length);

    /// <summary>The most nodes that it makes sense to add: the rest would not be computed.</summary>
    public int Budget { get; internal set; }

    /// <summary>The deepest node that can be used, because the text or the context ends there.</summary>
    public int MaxDepth { get; internal set; }

    /// <summary>The most probes that pay at present, by measurement; 0 for a drafter that should add none.</summary>
    public int ProbeBudget { get; private set; }

    /// <summary>The rate at which text is written; with it, seconds are worth tokens. 0 where the request does not follow cost.</summary>
    public double TokensPerSecond { get; internal set; }

    /// <summary>How much longer, in seconds, the round's forward takes with one node more than a tree has; 0 where the request does not
    /// follow cost.</summary>
    /// <param name="nodes">Nodes of the tree, the root included.</param>
    public double SecondsOfNodeAfter(int nodes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(nodes);
        return Cost is { } cost ? cost.HopefullyAt(OtherNodes + nodes + 1, _length) - cost.HopefullyAt(OtherNodes + nodes, _length) : 0;
    }

    /// <summary>What forwards cost; null where the request does not follow cost.</summary>
    internal CostCurve? Cost { get; set; }

    /// <summary>Nodes that the round computes in any case for other requests.</summary>
    internal int OtherNodes { get; set; }

    /// <summary>Judges candidates by what became of others like them; null where nothing is known.</summary>
    internal ProposalJudge? Judge { get; set; }

    /// <summary>Only texts with the same salt share what draft models have computed.</summary>
    internal string? CacheSalt { get; init; }

    /// <summary>Whether draft models sample their tokens.</summary>
    internal bool SamplesDrafts { get; }

    /// <summary>The random numbers of drafts: one after the other, none twice. Where a round ended may depend on what was drawn below that
    /// place, so the next round must not draw the same again.</summary>
    internal CounterChance DraftChance { get; }

    /// <summary>The probability that a candidate is right if its parent is, by what became of others like it and by what is in the tree
    /// already.</summary>
    internal double ChanceOf(int parent, int token, int rank, float confidence)
        => Judge?.EstimateWith(_drafter, parent, token, rank, confidence) ?? confidence;

    /// <summary>How likely the best of the candidates that a node has already is right, if the node is.</summary>
    internal double ChanceBelow(int node) => Judge?.LikeliestBelow(node) ?? 0;

    /// <summary>The distribution that the request asks for, of a draft model's logits after the text and the tokens drafted below it.</summary>
    /// <param name="draftLogits">[draft vocab].</param>
    /// <param name="vocabulary">The draft's tokens in the target's; what the target does not have is ruled out.</param>
    internal TokenDistribution ProcessDraft(ReadOnlySpan<float> draftLogits, VocabularyMap vocabulary)
    {
        var history = _history ?? throw new InvalidOperationException("drafts are sampled for requests only");
        _distribution ??= new TokenDistribution(history.VocabSize);
        _logits ??= new float[history.VocabSize];
        Array.Fill(_logits, float.NegativeInfinity);
        for (var token = 0; token < draftLogits.Length; token++)
        {
            var mapped = vocabulary.ToTarget(token);
            if ((uint)mapped < (uint)_logits.Length)
            {
                _logits[mapped] = draftLogits[token];
            }
        }

        _chooser!.Process(_logits, history.Choice(_rule!), _distribution);
        return _distribution;
    }

    /// <summary>Begins a drafter's turn.</summary>
    /// <param name="drafter">Its number.</param>
    /// <param name="probes">The most probes that it may add.</param>
    internal void BeginTurn(int drafter, int probes) => (_drafter, ProbeBudget) = (drafter, probes);

    /// <summary>Follows a drafted token: the next distribution comes after it.</summary>
    internal void PushDrafted(int token)
    {
        _history!.Push(token);
        _drafted++;
    }

    /// <summary>Comes back to the end of the text, if drafted tokens were followed.</summary>
    internal void PopDrafted()
    {
        for (; _drafted > 0; _drafted--)
        {
            _history!.Pop();
        }
    }

    /// <summary>Appends to the text.</summary>
    internal void Append(ReadOnlySpan<int> tokens)
    {
        if (_text.Length - _length < tokens.Length)
        {
            Array.Resize(ref _text, Math.Max(_length + tokens.Length, 2 * _text.Length));
        }

        tokens.CopyTo(_text.AsSpan(_length));
        _length += tokens.Length;
    }
}
