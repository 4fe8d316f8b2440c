using System.Diagnostics;
using System.Text;
using System.Threading.Channels;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>What a request needs to know before it begins.</summary>
/// <param name="Prompt">Its tokens.</param>
/// <param name="Options">What to write, the checkpoint's defaults filled in.</param>
/// <param name="Seed">Its random numbers.</param>
/// <param name="MaxTokens">Most tokens to write, cut to the context.</param>
/// <param name="StopIds">Tokens that end the text.</param>
/// <param name="MaxNodes">Most nodes of a round's tree.</param>
internal sealed record SequenceRequest(int[] Prompt, GenerationOptions Options, ulong Seed, int MaxTokens, HashSet<int> StopIds, int MaxNodes);

/// <summary>One request on its way: its tokens, its place in the cache and the text it has released. The scheduler's thread
/// owns it; the caller holds only the channel's other end and the cancellation.</summary>
internal sealed class Sequence : IDisposable
{
    private readonly SequenceRequest _request;
    private readonly Chooser _chooser;
    private readonly TokenHistory _history;
    private readonly TextStream _text;
    private readonly Func<Speculator> _startSpeculator;
    private readonly ChannelWriter<GenerationPiece> _pieces;
    private readonly CancellationTokenSource _cancellation;
    private readonly List<int> _output;
    private readonly List<TokenLogProbs> _logProbs = [];
    private readonly StringBuilder _whole = new();
    private readonly long _submitted = Stopwatch.GetTimestamp();
    private Speculator? _speculator;
    private long _admitted;
    private long _firstToken;
    private long _lastToken;
    private int _delivered;
    private int _rounds;
    private FinishReason? _finish;
    private bool _failed;

    public Sequence(
        SequenceRequest request, Chooser chooser, TokenHistory history, TextStream text, Func<Speculator> startSpeculator, int prefillChunk,
        ChannelWriter<GenerationPiece> pieces, CancellationTokenSource cancellation)
    {
        _request = request;
        _chooser = chooser;
        _history = history;
        _text = text;
        _pieces = pieces;
        _cancellation = cancellation;
        Cancellation = cancellation.Token; // kept, because a disposed source does not give it out any more
        _output = new List<int>(Math.Min(request.MaxTokens, 1024));
        _startSpeculator = startSpeculator;
        Tree = new TokenTree(Math.Max(prefillChunk, request.MaxNodes));
        history.Start(request.Prompt);
    }

    /// <summary>What the next forward computes for this sequence; filled anew each round.</summary>
    public TokenTree Tree { get; }

    /// <summary>Its drafters, its candidates and what became of them.</summary>
    public Speculator Speculator => _speculator ?? throw new InvalidOperationException("the sequence has not begun");

    /// <summary>Its rows in the cache, once the scheduler has begun with it.</summary>
    public KvSequence? Kv { get; private set; }

    /// <summary>Set when the caller has cancelled or gone away.</summary>
    public CancellationToken Cancellation { get; }

    public bool IsFinished => _failed || _finish is not null;

    /// <summary>Most tokens that its cache rows must hold, the candidates of a round included.</summary>
    public int Capacity => _request.Prompt.Length + _request.MaxTokens + _request.MaxNodes;

    /// <summary>Prompt tokens not yet computed.</summary>
    public int PromptRemaining => Math.Max(_request.Prompt.Length - Kv!.Length, 0);

    /// <summary>Begins: it has its rows, and its drafters start.</summary>
    public void Admit(KvSequence kv)
    {
        Kv = kv;
        _speculator = _startSpeculator();
        _admitted = Stopwatch.GetTimestamp();
    }

    /// <summary>Fills the tree with the prompt's next tokens; true when the prompt ends with them.</summary>
    public bool TakePromptChunk(int most)
    {
        var count = Math.Min(most, PromptRemaining);
        Tree.Clear();
        Tree.AddChain(_request.Prompt.AsSpan(Kv!.Length, count));
        return count == PromptRemaining;
    }

    /// <summary>Asks the drafters for candidates after the last token; none so deep that the text would be longer than asked for.</summary>
    /// <param name="share">Its part of the round's nodes.</param>
    /// <param name="others">Other sequences that the round computes.</param>
    public void Propose(int share, int others)
    {
        Speculator.Propose(_request.MaxTokens - _output.Count - 1, share, others);
        _rounds++;
    }

    /// <summary>Fills the tree with the candidates that were chosen, below the last token.</summary>
    public void TakeCandidates()
    {
        Tree.Clear();
        foreach (var node in Speculator.NodesToCompute())
        {
            Tree.Add(node.Parent, node.Token);
        }
    }

    /// <summary>Walks along the computed tree as far as it goes along with the text, and takes the tokens into the
    /// text; returns how many.</summary>
    /// <exception cref="NonFiniteLogitsException">The logits leave nothing to choose from.</exception>
    public int Walk(IComputedTrees computed, int treeInRound)
    {
        Speculator.BeginWalk(computed, treeInRound);
        var (before, node) = (_output.Count, 0);
        var typical = Speculator.FindTypicalPath();
        for (var i = 0; i < typical?.Count && !IsFinished; i++)
        {
            Take(Speculator.Tree.Token(typical[i]), Speculator.Logits(node));
            Speculator.Accept(_output[^1], typical[i]);
            node = typical[i];
        }

        while (node >= 0 && !IsFinished)
        {
            var step = Speculator.Step(node);
            var child = typical is null ? step.Child : -1; // the typical path has ended here; the target chooses one token more
            Take(step.Token, Speculator.Logits(node));
            Speculator.Accept(step.Token, child);
            node = child;
        }

        return _output.Count - before;
    }

    /// <summary>Hands the caller what is new, and the result when the text has ended.</summary>
    public void Deliver()
    {
        if (_failed || (_output.Count == _delivered && !IsFinished))
        {
            return;
        }

        if (IsFinished)
        {
            _text.Finish();
        }

        var text = _text.Take();
        _whole.Append(text);
        var ids = _output[_delivered..];
        IReadOnlyList<TokenLogProbs> logProbs = _logProbs.Count == 0 ? [] : _logProbs[_delivered..];
        _delivered = _output.Count;
        _pieces.TryWrite(new GenerationPiece(text, ids, logProbs, IsFinished ? Result() : null));
        if (IsFinished)
        {
            _pieces.TryComplete();
        }
    }

    /// <summary>Ends the request with an error, which its caller's enumeration throws.</summary>
    public void Fail(Exception error)
    {
        _failed = true;
        _pieces.TryComplete(error);
    }

    /// <summary>Tells the engine that nobody reads any more.</summary>
    public void Abandon() => _cancellation.Cancel();

    /// <summary>Gives the cache rows and the drafters back.</summary>
    public void Dispose()
    {
        Kv?.Dispose();
        _speculator?.Dispose();
    }

    private void Take(int token, ReadOnlySpan<float> logits)
    {
        if (_request.Options.TopLogProbs is { } topCount)
        {
            _logProbs.Add(_chooser.LogProbsOf(logits, token, topCount, _history.Count));
        }

        _lastToken = Stopwatch.GetTimestamp();
        if (_output.Count == 0)
        {
            _firstToken = _lastToken;
        }

        _output.Add(token);
        _history.Push(token);
        if (_request.StopIds.Contains(token))
        {
            _finish = FinishReason.Stop;
            return;
        }

        _text.Append(token);
        if (_text.Stop is not null)
        {
            _finish = FinishReason.Stop;
        }
        else if (_output.Count == _request.MaxTokens)
        {
            _finish = FinishReason.Length;
        }
    }

    private GenerationResult Result() => new()
    {
        Text = _whole.ToString(),
        Ids = [.. _output],
        LogProbs = [.. _logProbs],
        FinishReason = _finish!.Value,
        StopString = _text.Stop,
        Seed = _request.Seed,
        SamplerVersion = Chooser.Version,
        PromptTokens = _request.Prompt.Length,
        Speculation = Speculator.Stats.ToStats(),
        Timings = new GenerationTimings(
            Stopwatch.GetElapsedTime(_submitted, _admitted),
            Stopwatch.GetElapsedTime(_admitted, _firstToken),
            Stopwatch.GetElapsedTime(_firstToken, _lastToken),
            _rounds),
    };
}
