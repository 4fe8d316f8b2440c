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
/// <remarks>How many requests are let in says <see cref="Admission"/>; which of them are served, and with which pages, <see cref="Seats"/>; how much of each is
/// computed, <see cref="Round"/>.</remarks>
internal sealed class Scheduler : IDisposable
{
    /// <summary>How often those are looked at that no round concerns: whether they are too late, or gone without a word.</summary>
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMilliseconds(20);

    private readonly KvCache _cache;
    private readonly Round _round;
    private readonly TimeSpan _slowReaderTimeout;
    private readonly ILogger? _logger;
    private readonly EngineTelemetry _telemetry;
    private readonly Admission _admission;
    private readonly ConcurrentQueue<Sequence> _submitted = new();
    private readonly Seats _seats;
    private readonly SemaphoreSlim _work = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private Exception? _fault;
    private int _hasNews; // somebody has gone, or has read
    private int _served;  // how many have seats; for others to read
    private long _rounds;
    private long _lastRound = Stopwatch.GetTimestamp();
    private long _lastSweep;

    public Scheduler(LlamaModel model, KvCache cache, SpeculationCore speculation, int chunk, EngineOptions options, EngineTelemetry telemetry)
    {
        _cache = cache;
        _round = new Round(model.Limits, model.Forward, speculation, chunk);
        _admission = new Admission(model.Limits.MaxSequences, options.MaxWaiting, options.MaxWaitingTokens);
        _slowReaderTimeout = options.SlowReaderTimeout;
        _seats = new Seats(cache, model.Limits.MaxSequences);
        (_telemetry, _logger) = (telemetry, options.Logger);
        _thread = new Thread(Loop) { IsBackground = true, Name = "NativeSpec scheduler" };
        _thread.UnsafeStart(); // what is current where the engine is loaded, such as an Activity, is no business of its requests
    }

    /// <summary>Set when the scheduler is disposed. A request's own cancellation is to be linked with it, so that a forward for that request
    /// alone can be left for either reason.</summary>
    public CancellationToken Stopping => _stop.Token;

    /// <summary>Whether the caller is on the scheduler's thread, as drafters are.</summary>
    public bool IsCurrentThread => Thread.CurrentThread == _thread;

    /// <summary>How often a request has given its pages back to one before it.</summary>
    public long Preemptions => _seats.Preemptions;

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
        sequence.IsCounted = true;
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

        foreach (var sequence in _seats.Active.Concat(_seats.Waiting))
        {
            EndGone(sequence);
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
            _seats.TakeTurns();
            Volatile.Write(ref _served, _seats.Active.Count);
            if (_seats.Turn.Count == 0)
            {
                _work.Wait(_seats.Active.Count + _seats.Waiting.Count == 0 ? Timeout.InfiniteTimeSpan : SweepEvery);
                Volatile.Write(ref _lastRound, Stopwatch.GetTimestamp());
                continue;
            }

            _seats.MakeRoom(_logger);
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
            _seats.Wait(sequence);
        }

        // Thousands may wait; they are not all looked at before every round.
        if (Interlocked.Exchange(ref _hasNews, 0) == 0 && Stopwatch.GetElapsedTime(_lastSweep) < SweepEvery)
        {
            return;
        }

        _lastSweep = Stopwatch.GetTimestamp();
        Sweep(_seats.Waiting);
        Sweep(_seats.Active);
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
        for (var at = 0; at < _seats.Waiting.Count;)
        {
            var next = _seats.Waiting[at];
            if (ReasonToEnd(next) is { } reason)
            {
                _seats.Waiting.RemoveAt(at);
                End(next, reason);
            }
            else if (next.Pieces.IsBehind())
            {
                at++; // it has given its place to others
            }
            else if (_seats.TryOpen(next) is { } kv)
            {
                _seats.Waiting.Remove(next); // not at its place: somebody may have given way before it
                Begin(next, kv);
            }
            else
            {
                return;
            }
        }
    }

    private void Begin(Sequence sequence, KvSequence kv)
    {
        var isFirst = !sequence.HasBegun;
        try
        {
            sequence.Admit(kv);
            _seats.Take(sequence);
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

    private void Step()
    {
        try
        {
            // Alone, a request can be left in the middle of a forward; among others its rows are computed to the end of the round.
            _round.Run(_seats.Turn, _seats.Turn.Count == 1 ? _seats.Turn[0].Cancellation : _stop.Token);
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
            foreach (var sequence in _seats.Turn)
            {
                sequence.Fail(new EngineFaultedException(error));
            }
        }

        Volatile.Write(ref _lastRound, Stopwatch.GetTimestamp());
    }

    private void Retire()
    {
        var (active, kept) = (_seats.Active, 0);
        for (var i = 0; i < active.Count; i++)
        {
            var sequence = active[i];
            if (sequence.Error is null && sequence.Cancellation.IsCancellationRequested) // who was told of an error may have gone already
            {
                End(sequence, Cancelled(sequence));
                continue;
            }

            if (sequence.IsFinished)
            {
                CountOut(sequence); // its last piece tells its reader as well
            }

            Deliver(sequence);
            if (sequence.IsFinished)
            {
                Leave(sequence);
            }
            else
            {
                active[kept++] = sequence;
            }
        }

        active.RemoveRange(kept, active.Count - kept);
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
            EndGone(sequence);
        }
    }

    /// <summary>Ends a request that no round will come for. Every one of them is told, whatever goes wrong with another.</summary>
    private void EndGone(Sequence sequence)
    {
        try
        {
            End(sequence, Gone());
        }
#pragma warning disable CA1031 // Nobody is left to tell, and the process is not to end for it.
        catch (Exception)
#pragma warning restore CA1031
        {
            // Its caller has its error: that comes first.
        }
    }

    private void CountOut(Sequence sequence)
    {
        if (sequence.IsCounted)
        {
            sequence.IsCounted = false;
            _admission.Leave(sequence.PromptTokens, sequence.HasBegun);
        }
    }

    private void End(Sequence sequence, Exception error)
    {
        sequence.Fail(error);
        Leave(sequence);
    }

    /// <summary>A sequence's end: whatever ended it, its reader is told here, when the engine's own state already says so.</summary>
    private void Leave(Sequence sequence)
    {
        var failure = sequence.Error;
        if (failure?.InnerException is BackendFaultedException lost)
        {
            Volatile.Write(ref _fault, _fault ?? lost);
        }

        CountOut(sequence); // before its reader knows, who may ask for the next text at once
        sequence.Pieces.End(failure);
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
