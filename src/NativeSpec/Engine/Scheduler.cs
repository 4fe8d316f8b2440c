using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Model;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>Continuous batching: one thread owns the model and takes round after round. A request joins between two rounds and leaves when
/// its text ends, it fails, or its caller goes away.</summary>
/// <remarks>
/// <para><b>Pages.</b> A request is admitted when there are cache pages for its text so far, those that others hold of it not counted, and a page in
/// reserve for each that is being served; it takes further pages as its text grows. When there are none left, the last of those that are served
/// gives all of its pages back and waits (preemption with recomputation, as in vLLM; Kwon et al., 2023): when it is admitted again, what
/// the prefix cache has not kept of its text is computed again as a prompt is, which gives the same bits, and it goes on as if nothing had been.</para>
/// <para><b>Nobody starves.</b> Requests are served in the order of their priority and, among equals, of their arrival, and whoever gives its
/// pages back keeps its place in that order. So of those with the highest priority the oldest keeps its pages until it ends: alone it always
/// has room, because one that has not is refused when it is submitted.</para>
/// <para><b>Slow readers.</b> A request whose reader is behind takes no rows. It keeps its pages and its place among those that are served as long as
/// nobody else needs them; after <see cref="EngineOptions.SlowReaderTimeout"/> it ends.</para>
/// </remarks>
internal sealed class Scheduler : IDisposable
{
    /// <summary>How often those are looked at that no round concerns: whether they are too late, or gone without a word.</summary>
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMilliseconds(20);

    private readonly KvCache _cache;
    private readonly Round _round;
    private readonly int _maxSequences;
    private readonly TimeSpan _slowReaderTimeout;
    private readonly ILogger? _logger;
    private readonly EngineTelemetry _telemetry;
    private readonly Admission _admission;
    private readonly ConcurrentQueue<Sequence> _submitted = new();
    private readonly List<Sequence> _waiting = []; // in their order
    private readonly List<Sequence> _active;       // in their order: those that hold pages
    private readonly List<Sequence> _turn;         // of those, whose readers keep up
    private readonly SemaphoreSlim _work = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private Exception? _fault;
    private int _hasNews; // somebody has gone, or has read
    private int _served;  // how many are in _active; for others to read
    private long _rounds;
    private long _lastRound = Stopwatch.GetTimestamp();
    private long _lastSweep;

    public Scheduler(LlamaModel model, KvCache cache, SpeculationCore speculation, EngineOptions options, EngineTelemetry telemetry)
    {
        _cache = cache;
        _round = new Round(model.Limits, model.Forward, speculation, options.PrefillChunk);
        _maxSequences = model.Limits.MaxSequences;
        _admission = new Admission(_maxSequences, options.MaxWaiting, options.MaxWaitingTokens);
        _slowReaderTimeout = options.SlowReaderTimeout;
        (_active, _turn) = (new List<Sequence>(_maxSequences), new List<Sequence>(_maxSequences));
        (_telemetry, _logger) = (telemetry, options.Logger);
        _thread = new Thread(Loop) { IsBackground = true, Name = "NativeSpec scheduler" };
        _thread.UnsafeStart(); // what is current where the engine is loaded, such as an Activity, is no business of its requests
    }

    /// <summary>Set when the scheduler is disposed. A request's own cancellation is to be linked with it, so that a forward for that request
    /// alone can be left for either reason.</summary>
    public CancellationToken Stopping => _stop.Token;

    /// <summary>Whether the caller is on the scheduler's thread, as drafters are.</summary>
    public bool IsCurrentThread => Thread.CurrentThread == _thread;

    /// <summary>How often a request has given its pages back to an older one.</summary>
    public long Preemptions { get; private set; }

    /// <summary>How things are. Safe to ask from any thread.</summary>
    public EngineSnapshot Snapshot()
    {
        int active = Volatile.Read(ref _served), free = _cache.FreePages;
        return new EngineSnapshot(
            Math.Max(_admission.Requests - active, 0),
            active,
            _cache.TotalPages - free,
            free,
            _cache.CachedPages,
            Preemptions,
            Volatile.Read(ref _rounds),
            Stopwatch.GetElapsedTime(Volatile.Read(ref _lastRound)),
            Volatile.Read(ref _fault) is not null);
    }

    /// <summary>Says now what <see cref="Submit"/> would say.</summary>
    /// <param name="promptTokens">Tokens of the request's prompt.</param>
    /// <exception cref="EngineBusyException">There are as many requests as are taken.</exception>
    /// <exception cref="EngineFaultedException">No round will ever come.</exception>
    public void ThrowIfBusy(int promptTokens)
    {
        ThrowIfFaulted();
        _admission.ThrowIfBusy(promptTokens);
    }

    /// <summary>Queues a request.</summary>
    /// <exception cref="EngineBusyException">There are as many requests as are taken.</exception>
    /// <exception cref="ArgumentException">It would not fit the empty cache.</exception>
    /// <exception cref="EngineFaultedException">No round will ever come.</exception>
    public void Submit(Sequence sequence)
    {
        ThrowIfFaulted();
        if (KvCache.PagesFor(sequence.Capacity) > _cache.TotalPages)
        {
            throw new ArgumentException($"a request of {sequence.Capacity} tokens, candidates included, does not fit a cache of {_cache.TotalPages} pages", nameof(sequence));
        }

        sequence.Arrival = _admission.Enter(sequence.PromptTokens);
        _submitted.Enqueue(sequence);
        if (_stop.IsCancellationRequested || Volatile.Read(ref _fault) is not null)
        {
            FailSubmitted();
            return;
        }

        _work.Release();
    }

    /// <summary>Tells the engine's thread that a caller has gone, or that a reader who was behind has read.</summary>
    public void Notify()
    {
        if (Interlocked.Exchange(ref _hasNews, 1) == 0 && !_stop.IsCancellationRequested)
        {
            _work.Release();
        }
    }

    /// <summary>Ends all requests with <see cref="ObjectDisposedException"/> and waits for the thread; a forward under way is left at its
    /// next layer.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _work.Release();
        _thread.Join();
        FailSubmitted();
    }

    private void Loop()
    {
        try
        {
            Serve();
        }
#pragma warning disable CA1031 // Whatever went wrong must reach the callers, not end the process.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Volatile.Write(ref _fault, error);
        }

        foreach (var sequence in _active.Concat(_waiting))
        {
            End(sequence, Gone());
        }

        FailSubmitted();
        Volatile.Write(ref _served, 0);
    }

    private void Serve()
    {
        while (!_stop.IsCancellationRequested && _fault is null)
        {
            Receive();
            Admit();
            TakeTurns();
            Volatile.Write(ref _served, _active.Count);
            if (_turn.Count == 0)
            {
                _work.Wait(_active.Count + _waiting.Count == 0 ? Timeout.InfiniteTimeSpan : SweepEvery);
                Volatile.Write(ref _lastRound, Stopwatch.GetTimestamp());
                continue;
            }

            MakeRoom();
            Step();
            Retire();
            // Those who were just given something may be waiting for this very processor, where every one of them computes; without this they
            // would get it when the system's time slice ends, several milliseconds and pieces later.
            Thread.Yield();
        }
    }

    /// <summary>Takes over what was submitted, and lets those go that wait for nothing any more.</summary>
    private void Receive()
    {
        while (_submitted.TryDequeue(out var sequence))
        {
            Insert(_waiting, sequence);
        }

        // Thousands may wait; they are not all looked at before every round.
        if (Interlocked.Exchange(ref _hasNews, 0) == 0 && Stopwatch.GetElapsedTime(_lastSweep) < SweepEvery)
        {
            return;
        }

        _lastSweep = Stopwatch.GetTimestamp();
        Sweep(_waiting);
        Sweep(_active);
    }

    private void Sweep(List<Sequence> sequences)
    {
        var kept = 0;
        for (var i = 0; i < sequences.Count; i++)
        {
            if (ReasonToEnd(sequences[i]) is { } reason)
            {
                End(sequences[i], reason);
            }
            else
            {
                sequences[kept++] = sequences[i];
            }
        }

        sequences.RemoveRange(kept, sequences.Count - kept);
    }

    private Exception? ReasonToEnd(Sequence sequence)
        => sequence.Cancellation.IsCancellationRequested ? Cancelled(sequence)
        : sequence.IsTooLate ? sequence.TooLate()
        : sequence.Pieces.IsBehind() && sequence.Pieces.SinceLastRead >= _slowReaderTimeout ? new SlowReaderException(sequence.Pieces.Unread, _slowReaderTimeout)
        : null;

    /// <summary>Admits requests in their order: one that is smaller does not overtake.</summary>
    private void Admit()
    {
        for (var at = 0; at < _waiting.Count;)
        {
            var next = _waiting[at];
            if (ReasonToEnd(next) is { } reason)
            {
                _waiting.RemoveAt(at);
                End(next, reason);
            }
            else if (next.Pieces.IsBehind())
            {
                at++; // it has given its place to others
            }
            else if (TryOpen(next) is { } kv)
            {
                _waiting.Remove(next); // not at its place: somebody may have given way before it
                Begin(next, kv);
            }
            else
            {
                return;
            }
        }
    }

    /// <summary>Pages for a request's text so far; null where there are none, or all places are taken.</summary>
    private KvSequence? TryOpen(Sequence sequence)
    {
        while (_active.Count == _maxSequences)
        {
            if (!TryPark())
            {
                return null;
            }
        }

        var kv = _cache.Open(sequence.CacheSalt);
        sequence.Reuse(kv);
        while (!kv.TryReserve(sequence.RoomForRound, spare: _active.Count))
        {
            if (!TryPark())
            {
                kv.Dispose();
                return null;
            }
        }

        return kv;
    }

    private void Begin(Sequence sequence, KvSequence kv)
    {
        var isFirst = !sequence.HasBegun;
        try
        {
            sequence.Admit(kv);
            Insert(_active, sequence);
        }
#pragma warning disable CA1031 // A drafter that cannot start is its request's failure.
        catch (Exception error)
#pragma warning restore CA1031
        {
            End(sequence, error);
            return;
        }

        if (isFirst)
        {
            _admission.Begin(sequence.PromptTokens);
        }
    }

    /// <summary>Whose turn it is: those whose readers keep up.</summary>
    private void TakeTurns()
    {
        _turn.Clear();
        foreach (var sequence in _active)
        {
            if (!sequence.Pieces.IsBehind())
            {
                _turn.Add(sequence);
            }
        }
    }

    /// <summary>Gives those whose turn it is the pages for their next round, the first first; where there are too few, those whose readers are
    /// behind give theirs back, and then the last of the others. Of two with the same prompt the one that is behind takes over what
    /// the other has computed.</summary>
    private void MakeRoom()
    {
        for (var i = 0; i < _turn.Count; i++)
        {
            if (_turn[i].PromptRemaining > 0)
            {
                _turn[i].Reuse(_turn[i].Kv!);
            }

            while (i < _turn.Count && !_turn[i].Kv!.TryReserve(_turn[i].RoomForRound))
            {
                if (TryPark())
                {
                    continue;
                }

                var last = _turn[^1];
                _turn.RemoveAt(_turn.Count - 1);
                GiveBack(last);
                Preemptions++;
                if (_logger is { } logger)
                {
                    EngineLog.Preempted(logger, last.PromptTokens + last.OutputTokens);
                }
            }
        }
    }

    /// <summary>Takes pages and place from the last whose reader is behind; false where there is none. Nobody whose turn it is falls behind before
    /// it has been given something.</summary>
    private bool TryPark()
    {
        if (_active.FindLast(static sequence => sequence.Pieces.IsBehind()) is not { } parked)
        {
            return false;
        }

        GiveBack(parked);
        return true;
    }

    private void GiveBack(Sequence sequence)
    {
        sequence.GiveBack();
        _active.Remove(sequence);
        Insert(_waiting, sequence);
    }

    private static void Insert(List<Sequence> sequences, Sequence sequence)
        => sequences.Insert(~sequences.BinarySearch(sequence, Sequence.Order), sequence);

    private void Step()
    {
        try
        {
            // Alone, a request can be left in the middle of a forward; among others its rows are computed to the end of the round.
            _round.Run(_turn, _turn.Count == 1 ? _turn[0].Cancellation : _stop.Token);
            Volatile.Write(ref _rounds, _rounds + 1);
            _telemetry.Round(_round.Times);
        }
        catch (OperationCanceledException)
        {
            // Nothing was committed; Retire removes whoever cancelled.
        }
#pragma warning disable CA1031 // Whatever went wrong must reach the callers, not end the thread that serves them.
        catch (Exception error)
#pragma warning restore CA1031
        {
            foreach (var sequence in _turn)
            {
                sequence.Fail(new EngineFaultedException(error));
            }
        }

        Volatile.Write(ref _lastRound, Stopwatch.GetTimestamp());
    }

    private void Retire()
    {
        var kept = 0;
        for (var i = 0; i < _active.Count; i++)
        {
            var sequence = _active[i];
            if (sequence.Error?.InnerException is BackendFaultedException lost)
            {
                Volatile.Write(ref _fault, lost);
            }

            if (sequence.Cancellation.IsCancellationRequested)
            {
                End(sequence, Cancelled(sequence));
                continue;
            }

            Deliver(sequence);
            if (sequence.IsFinished)
            {
                Leave(sequence);
            }
            else
            {
                _active[kept++] = sequence;
            }
        }

        _active.RemoveRange(kept, _active.Count - kept);
    }

    private static void Deliver(Sequence sequence)
    {
        try
        {
            sequence.Deliver();
        }
#pragma warning disable CA1031 // What one request cannot hand over is its own failure.
        catch (Exception error)
#pragma warning restore CA1031
        {
            sequence.Fail(error);
        }
    }

    private void FailSubmitted()
    {
        while (_submitted.TryDequeue(out var sequence))
        {
            End(sequence, Gone());
        }
    }

    private void End(Sequence sequence, Exception error)
    {
        sequence.Fail(error);
        Leave(sequence);
    }

    private void Leave(Sequence sequence)
    {
        var failure = sequence.Error;
        try
        {
            sequence.Dispose();
        }
#pragma warning disable CA1031 // A drafter that cannot be disposed harms nobody else; its text is there.
        catch (Exception error)
#pragma warning restore CA1031
        {
            failure ??= error;
        }

        _admission.Leave(sequence.PromptTokens, sequence.HasBegun);
        _telemetry.End(sequence.End(), sequence.Activity);
        if (_logger is not null && _fault is null && failure is not (null or OperationCanceledException or ObjectDisposedException))
        {
            EngineLog.RequestFailed(_logger, sequence.PromptTokens, sequence.OutputTokens, failure);
        }
    }

    private void ThrowIfFaulted()
    {
        if (Volatile.Read(ref _fault) is { } fault)
        {
            throw new EngineFaultedException(fault);
        }
    }

    private Exception Cancelled(Sequence sequence) => _stop.IsCancellationRequested ? Gone() : new OperationCanceledException(sequence.Cancellation);

    /// <summary>What requests get that no round will come for.</summary>
    private Exception Gone() => Volatile.Read(ref _fault) is { } fault ? new EngineFaultedException(fault)
        : new ObjectDisposedException(nameof(InferenceEngine), "the engine was disposed while the request was under way");
}
