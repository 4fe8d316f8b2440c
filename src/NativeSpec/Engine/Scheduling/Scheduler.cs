using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Rounds;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Model;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine.Scheduling;

/// <summary>Continuous batching: one thread owns the model and takes round after round. A request joins between two rounds and leaves when
/// its text ends, it fails, or its caller goes away.</summary>
/// <remarks>How many requests are let in says <see cref="Admission"/>; which of them are served, and with which pages, <see cref="Seats"/>; how much of each is
/// computed, <see cref="Round"/>; how they leave, <see cref="Departures"/>.</remarks>
internal sealed class Scheduler : IDisposable
{
    /// <summary>How often those are looked at that no round concerns: whether they are too late, or gone without a word.</summary>
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMilliseconds(20);

    private readonly KvCache _cache;
    private readonly Round _round;
    private readonly ILogger? _logger;
    private readonly EngineTelemetry _telemetry;
    private readonly Admission _admission;
    private readonly ConcurrentQueue<Sequence> _submitted = new();
    private readonly Seats _seats;
    private readonly Departures _departures;
    private readonly SemaphoreSlim _work = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
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
        _seats = new Seats(cache, model.Limits.MaxSequences);
        _departures = new Departures(_admission, options, telemetry, _stop.Token);
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
        var (requests, free) = (_admission.Requests, _cache.FreePages);
        var active = Math.Min(Volatile.Read(ref _served), requests); // seats of those that have ended are given away with the next turns
        return new EngineSnapshot(
            requests - active,
            active,
            _cache.TotalPages - free,
            free,
            _cache.CachedPages,
            Preemptions,
            Volatile.Read(ref _rounds),
            Stopwatch.GetElapsedTime(Volatile.Read(ref _lastRound)),
            _departures.Fault is not null);
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
        if (_stop.IsCancellationRequested || _departures.Fault is not null)
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
            _departures.Lose(error);
        }

        foreach (var sequence in _seats.Active.Concat(_seats.Waiting))
        {
            _departures.EndGone(sequence);
        }

        FailSubmitted();
        Volatile.Write(ref _served, 0);
    }

    private void Serve()
    {
        while (!_stop.IsCancellationRequested && _departures.Fault is null)
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
            _departures.Retire(_seats.Active);
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
        _departures.Sweep(_seats.Waiting);
        _departures.Sweep(_seats.Active);
    }

    /// <summary>Admits requests in their order: one that is smaller does not overtake.</summary>
    private void Admit()
    {
        for (var at = 0; at < _seats.Waiting.Count;)
        {
            var next = _seats.Waiting[at];
            if (_departures.ReasonToEnd(next) is { } reason)
            {
                _seats.Waiting.RemoveAt(at);
                _departures.End(next, reason);
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
            _departures.End(sequence, error);
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
            // Nothing was committed; retiring removes whoever cancelled.
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

    private void FailSubmitted()
    {
        while (_submitted.TryDequeue(out var sequence))
        {
            _departures.EndGone(sequence);
        }
    }

    private void ThrowIfFaulted()
    {
        if (_departures.Fault is { } fault)
        {
            throw new EngineFaultedException(fault);
        }
    }
}
