using System.Diagnostics;
using System.Text;
using NativeSpec.Backends;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Engine.Requests;

/// <summary>What a request needs to know before it begins.</summary>
/// <param name="Prompt">Its tokens.</param>
/// <param name="Options">What to write, the checkpoint's defaults filled in.</param>
/// <param name="Seed">Its random numbers.</param>
/// <param name="MaxTokens">Most tokens to write, cut to the context.</param>
/// <param name="StopIds">Tokens that end the text.</param>
/// <param name="MaxNodes">Most nodes of a round's tree.</param>
internal sealed record SequenceRequest(int[] Prompt, GenerationOptions Options, ulong Seed, int MaxTokens, HashSet<int> StopIds, int MaxNodes);

/// <summary>What a request needs from the time when the engine begins with it: made then, so that one that waits holds little.</summary>
/// <param name="Drafting">Its drafters, and how its tokens are chosen.</param>
/// <param name="Text">Turns its tokens to text.</param>
internal sealed record SequenceTools(Drafting Drafting, TextStream Text);

/// <summary>One request on its way: its tokens, its place in the cache and the text it has released. The scheduler's thread
/// owns it; the caller holds only the channel's other end and the cancellation.</summary>
internal sealed class Sequence : ITextWriter, IDisposable
{
    private readonly SequenceRequest _request;
    private readonly Func<SequenceTools> _begin;
    private readonly int _prefillChunk;
    private readonly PieceQueue _pieces;
    private readonly CancellationTokenSource _cancellation;
    private readonly List<int> _output = [];
    private readonly List<TokenLogProbs> _logProbs = [];
    private readonly StringBuilder _whole = new();
    private readonly long _submitted = Stopwatch.GetTimestamp();
    private SequenceTools? _tools;
    private TokenTree? _tree;
    private int _prefill; // tokens to compute before it decodes
    private long _admitted;
    private long _firstToken;
    private long _lastToken;
    private int _delivered;
    private int _cachedTokens;
    private bool _hasGivenBack;
    private FinishReason? _finish;

    public Sequence(
        SequenceRequest request, Func<SequenceTools> begin, int prefillChunk, PieceQueue pieces, CancellationTokenSource cancellation)
    {
        (_request, _begin, _prefillChunk, _pieces, _cancellation) = (request, begin, prefillChunk, pieces, cancellation);
        Cancellation = cancellation.Token; // kept, because a disposed source does not give it out any more
    }

    /// <summary>What the next forward computes for this sequence; filled anew each round.</summary>
    public TokenTree Tree => _tree ?? throw NotBegun();

    /// <summary>Its drafters, its candidates and what became of them.</summary>
    public Drafting Drafting => Tools.Drafting;

    /// <summary>What shows it to those who trace, if somebody does.</summary>
    public Activity? Activity { get; init; }

    /// <summary>Its rows in the cache, while the scheduler serves it.</summary>
    public KvSequence? Kv { get; private set; }

    /// <summary>Who is served before whom: by priority, then by arrival.</summary>
    public static IComparer<Sequence> Order { get; } = Comparer<Sequence>.Create(static (a, b) =>
        a._request.Options.Priority != b._request.Options.Priority ? b._request.Options.Priority.CompareTo(a._request.Options.Priority) : a.Arrival.CompareTo(b.Arrival));

    /// <summary>Its place in the order of arrival.</summary>
    public long Arrival { get; set; }

    /// <summary>Whether it counts as one of the engine's requests (<see cref="Scheduling.Admission"/>).</summary>
    public bool IsCounted { get; set; }

    /// <summary>Whether it has been served at all.</summary>
    public bool HasBegun => _tools is not null;

    /// <summary>The text's way to its reader.</summary>
    public PieceQueue Pieces => _pieces;

    /// <summary>Whether the time in which it should have had a token has passed without one.</summary>
    public bool IsTooLate => _output.Count == 0 && _request.Options.FirstTokenTimeout is { } timeout && Stopwatch.GetElapsedTime(_submitted) >= timeout;

    /// <summary>What it fails with when it is too late.</summary>
    public FirstTokenTimeoutException TooLate() => new(_request.Options.FirstTokenTimeout!.Value, HasBegun);

    /// <summary>Set when the caller has cancelled or gone away.</summary>
    public CancellationToken Cancellation { get; }

    /// <summary>What the request failed with, if it has failed.</summary>
    public Exception? Error { get; private set; }

    public bool IsFinished => Error is not null || _finish is not null;

    public int PromptTokens => _request.Prompt.Length;

    public int OutputTokens => _output.Count;

    /// <summary>Most tokens that its cache rows may ever hold, the candidates of a round included.</summary>
    public int Capacity => _request.Prompt.Length + _request.MaxTokens + _request.MaxNodes;

    /// <summary>Tokens that its cache rows must hold to go on: the text so far and the candidates of a round.</summary>
    public int RoomForRound => _request.Prompt.Length + _output.Count + _request.MaxNodes;

    /// <summary>Tokens not yet computed of the prompt or, after its pages were given back, of the text so far.</summary>
    public int PromptRemaining => Math.Max(_prefill - Kv!.Length, 0);

    /// <summary>Rows that it has given up while its prompt was the oldest (<see cref="Rounds.PromptSharing"/>).</summary>
    public double RowsOwed { get; set; }

    /// <summary>Whether the text's first token is chosen when the prompt has been computed: not if there are tokens already, and the prompt
    /// was computed for the second time.</summary>
    public bool PromptBeginsText => _output.Count == 0;

    private RequestSampling Sampling => Drafting.Sampling;

    private SequenceTools Tools => _tools ?? throw NotBegun();

    /// <summary>Prompt and output so far, of which the cache rows hold the beginning.</summary>
    public ReadOnlySpan<int> Text => _tools is null ? _request.Prompt : Drafting.Text;

    /// <summary>Those with the same salt may share cache rows.</summary>
    public string? CacheSalt => _request.Options.CacheSalt;

    /// <summary>Takes over what others have computed of its text.</summary>
    /// <param name="kv">Its rows, or those that it is going to have.</param>
    public void Reuse(KvSequence kv)
    {
        var tokens = kv.Reuse(Text);
        _cachedTokens += kv == Kv && !_hasGivenBack ? tokens : 0;
    }

    /// <summary>Begins, or goes on: it has rows, and all that it has to know is computed into them. Its last token is the root of the next
    /// tree, so that is left out.</summary>
    public void Admit(KvSequence kv)
    {
        Kv = kv;
        _cachedTokens = _hasGivenBack ? _cachedTokens : kv.Length;
        _prefill = _request.Prompt.Length + Math.Max(_output.Count - 1, 0);
        if (_tools is not null)
        {
            return;
        }

        _tools = _begin();
        Sampling.History.Start(_request.Prompt);
        _tree = new TokenTree(Math.Max(_prefillChunk, _request.MaxNodes));
        _output.EnsureCapacity(Math.Min(_request.MaxTokens, 1024));
        _admitted = Stopwatch.GetTimestamp();
    }

    /// <summary>Gives the cache rows back; all else stays as it is until it is admitted again.</summary>
    public void GiveBack()
    {
        Kv?.Dispose();
        Kv = null;
        _hasGivenBack = true;
    }

    /// <summary>Fills the tree with the prompt's next tokens; true when the prompt ends with them and the text begins.</summary>
    public bool TakePromptChunk(int most)
    {
        var (first, count) = (Kv!.Length, Math.Min(most, PromptRemaining));
        Sampling.Follow(planned: null);
        Tree.Clear();
        for (var at = first; at < first + count; at++)
        {
            Tree.Add(Tree.Count - 1, at < _request.Prompt.Length ? _request.Prompt[at] : _output[at - _request.Prompt.Length]);
        }

        return count == PromptRemaining && PromptBeginsText;
    }

    /// <summary>The deepest candidate that can be used: none so deep that the text would be longer than asked for.</summary>
    public int MaxDepth => _request.MaxTokens - _output.Count - 1;

    /// <summary>Fills the tree with the candidates that were chosen, below the last token.</summary>
    public void TakePlanned(ReadOnlySpan<PlannedNode> nodes)
    {
        Sampling.Follow(Drafting.Planned);
        Tree.Clear();
        foreach (var node in nodes)
        {
            Tree.Add(node.Parent, node.Token);
        }
    }

    /// <summary>Hands the caller what is new, and the result when the text has ended. That no more will come the scheduler says when the sequence leaves.</summary>
    public void Deliver()
    {
        if (Error is not null || (_output.Count == _delivered && !IsFinished))
        {
            return;
        }

        if (IsFinished)
        {
            Tools.Text.Finish();
        }

        var text = Tools.Text.Take();
        _whole.Append(text);
        var ids = _output[_delivered..];
        IReadOnlyList<TokenLogProbs> logProbs = _logProbs.Count == 0 ? [] : _logProbs[_delivered..];
        _delivered = _output.Count;
        _pieces.Write(new GenerationPiece(text, ids, logProbs, IsFinished ? Result() : null));
    }

    /// <summary>Ends the request with an error, which its caller's enumeration throws once the sequence leaves. The first one stands: a caller that has seen it
    /// goes, and its going is no other one.</summary>
    public void Fail(Exception error) => Error ??= error is BackendException ? new EngineFaultedException(error) : error;

    /// <summary>What there is to say of it now that it has ended.</summary>
    public RequestEnd End() => new(
        _request.Prompt.Length,
        _cachedTokens,
        _output.Count,
        _admitted == 0 ? Stopwatch.GetElapsedTime(_submitted) : Stopwatch.GetElapsedTime(_submitted, _admitted),
        _output.Count == 0 ? null : Stopwatch.GetElapsedTime(_submitted, _firstToken),
        Stopwatch.GetElapsedTime(_firstToken, _lastToken),
        Stopwatch.GetElapsedTime(_submitted),
        _tools?.Drafting.Stats,
        _finish,
        Error);

    /// <summary>Tells the engine that nobody reads any more.</summary>
    public void Abandon() => _cancellation.Cancel();

    /// <summary>Gives the cache rows and the drafters back.</summary>
    public void Dispose()
    {
        GiveBack();
        _tools?.Drafting.Dispose();
    }

    private static InvalidOperationException NotBegun() => new("the sequence has not begun");

    bool ITextWriter.Take(int token, IForwardResult rows, int row)
    {
        if (_request.Options.TopLogProbs is { } topCount)
        {
            _logProbs.Add(Sampling.Chooser.LogProbsOf(rows.Logits(row), token, topCount, Sampling.History.Count));
        }

        _lastToken = Stopwatch.GetTimestamp();
        if (_output.Count == 0)
        {
            _firstToken = _lastToken;
        }

        _output.Add(token);
        Sampling.History.Push(token);
        _finish = FinishAt(token);
        return _finish is null;
    }

    private FinishReason? FinishAt(int token)
    {
        if (_request.StopIds.Contains(token))
        {
            return FinishReason.Stop;
        }

        Tools.Text.Append(token);
        return Tools.Text.Stop is not null ? FinishReason.Stop : _output.Count == _request.MaxTokens ? FinishReason.Length : null;
    }

    private GenerationResult Result() => new()
    {
        Text = _whole.ToString(),
        Ids = [.. _output],
        LogProbs = [.. _logProbs],
        FinishReason = _finish!.Value,
        StopString = Tools.Text.Stop,
        Seed = _request.Seed,
        SamplerVersion = Chooser.Version,
        PromptTokens = _request.Prompt.Length,
        CachedTokens = _cachedTokens,
        Speculation = Drafting.Stats.ToStats(),
        Timings = new GenerationTimings(
            Stopwatch.GetElapsedTime(_submitted, _admitted),
            Stopwatch.GetElapsedTime(_admitted, _firstToken),
            Stopwatch.GetElapsedTime(_firstToken, _lastToken),
            Drafting.Stats.Rounds),
    };
}
