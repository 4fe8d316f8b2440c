using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Model;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>Continuous batching: one thread owns the model and takes round after round. A request joins between two rounds and leaves when
/// its text ends, it fails, or its caller goes away.</summary>
/// <remarks>
/// <para><b>Pages.</b> A request is admitted when there are cache pages for its text so far, and a page in reserve for each that is being
/// served; it takes further pages as its text grows. When there are none left, the newest request gives all of its pages back and waits
/// (preemption with recomputation, as in vLLM; Kwon et al., 2023): when it is admitted again, its text so far is computed again as a
/// prompt is, which gives the same bits, and it goes on as if nothing had been.</para>
/// <para><b>Nobody starves.</b> Requests are admitted in order of arrival, and whoever gives its pages back is the first to be admitted
/// again. So those that are served are all older than those that wait, and the oldest keeps its pages until it ends: alone it always has
/// room, because one that has not is refused when it is submitted.</para>
/// </remarks>
internal sealed class Scheduler : IDisposable
{
    private readonly KvCache _cache;
    private readonly Round _round;
    private readonly int _maxSequences;
    private readonly int _maxWaiting;
    private readonly ILogger? _logger;
    private readonly EngineTelemetry _telemetry;
    private readonly ConcurrentQueue<Sequence> _submitted = new();
    private readonly List<Sequence> _waiting = []; // in order of arrival
    private readonly List<Sequence> _active;       // in order of arrival, all before those that wait
    private readonly SemaphoreSlim _work = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private int _requests; // submitted and not ended
    private int _served;   // of them, those in _active; for others to read
    private long _rounds;
    private long _lastRound = Stopwatch.GetTimestamp();
    private volatile EngineFaultedException? _fault;

    public Scheduler(LlamaModel model, KvCache cache, SpeculationCore speculation, int prefillChunk, int maxWaiting, EngineTelemetry telemetry, ILogger? logger)
    {
        _cache = cache;
        _round = new Round(model.Limits, model.Forward, speculation, prefillChunk);
        (_maxSequences, _maxWaiting) = (model.Limits.MaxSequences, maxWaiting);
        _active = new List<Sequence>(_maxSequences);
        (_telemetry, _logger) = (telemetry, logger);
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
            Math.Max(Volatile.Read(ref _requests) - active, 0), active, _cache.TotalPages - free, free, Preemptions, Volatile.Read(ref _rounds), Stopwatch.GetElapsedTime(Volatile.Read(ref _lastRound)));
    }

    /// <summary>Says now what <see cref="Submit"/> would say.</summary>
    /// <exception cref="EngineBusyException">There are as many requests as are taken.</exception>
    /// <exception cref="EngineFaultedException">What computes is lost.</exception>
    public void ThrowIfBusy()
    {
        ThrowIfFaulted();
        if (Volatile.Read(ref _requests) - _maxSequences >= _maxWaiting)
        {
            throw new EngineBusyException(_maxSequences, _maxWaiting);
        }
    }

    /// <summary>Queues a request, in order of arrival.</summary>
    /// <exception cref="EngineBusyException">There are as many requests as are taken.</exception>
    /// <exception cref="ArgumentException">It would not fit the empty cache.</exception>
    /// <exception cref="EngineFaultedException">What computes is lost.</exception>
    public void Submit(Sequence sequence)
    {
        ThrowIfFaulted();
        if (KvCache.PagesFor(sequence.Capacity) > _cache.TotalPages)
        {
            throw new ArgumentException($"a request of {sequence.Capacity} tokens, candidates included, does not fit a cache of {_cache.TotalPages} pages", nameof(sequence));
        }

        if (Interlocked.Increment(ref _requests) - _maxSequences > _maxWaiting)
        {
            Interlocked.Decrement(ref _requests);
            throw new EngineBusyException(_maxSequences, _maxWaiting);
        }

        _submitted.Enqueue(sequence);
        if (_stop.IsCancellationRequested)
        {
            FailSubmitted();
            return;
        }

        _work.Release();
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
        while (!_stop.IsCancellationRequested)
        {
            Receive();
            Admit();
            Volatile.Write(ref _served, _active.Count);
            if (_active.Count == 0)
            {
                _work.Wait();
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

        foreach (var sequence in _active.Concat(_waiting))
        {
            End(sequence, Disposed());
        }

        Volatile.Write(ref _served, 0);
    }

    /// <summary>Takes over what was submitted, and lets those go whose callers have gone.</summary>
    private void Receive()
    {
        while (_submitted.TryDequeue(out var sequence))
        {
            _waiting.Add(sequence);
        }

        if (_fault is { } fault)
        {
            _waiting.ForEach(sequence => End(sequence, fault));
            _waiting.Clear();
        }

        for (var i = _waiting.Count - 1; i >= 0; i--)
        {
            if (_waiting[i].Cancellation.IsCancellationRequested)
            {
                End(_waiting[i], Cancelled(_waiting[i]));
                _waiting.RemoveAt(i);
            }
        }
    }

    private void Admit()
    {
        while (_active.Count < _maxSequences && _waiting.Count > 0)
        {
            var next = _waiting[0];
            var kv = _cache.Open(next.CacheSalt);
            next.Reuse(kv);
            if (!kv.TryReserve(next.RoomForRound, spare: _active.Count))
            {
                kv.Dispose();
                return; // first come, first served: a later, smaller one does not overtake
            }

            _waiting.RemoveAt(0);
            Begin(next, kv);
        }
    }

    private void Begin(Sequence sequence, KvSequence kv)
    {
        try
        {
            sequence.Admit(kv);
            _active.Add(sequence);
        }
#pragma warning disable CA1031 // A drafter that cannot start is its request's failure.
        catch (Exception error)
#pragma warning restore CA1031
        {
            End(sequence, error);
        }
    }

    /// <summary>Gives every sequence the pages for its next round, the oldest first; where there are too few, the newest gives its own
    /// back. Of two with the same prompt the one that is behind takes over what the other has computed.</summary>
    private void MakeRoom()
    {
        for (var i = 0; i < _active.Count; i++)
        {
            if (_active[i].PromptRemaining > 0)
            {
                _active[i].Reuse(_active[i].Kv!);
            }

            while (i < _active.Count && !_active[i].Kv!.TryReserve(_active[i].RoomForRound))
            {
                var newest = _active[^1];
                _active.RemoveAt(_active.Count - 1);
                newest.GiveBack();
                _waiting.Insert(0, newest);
                Preemptions++;
                if (_logger is { } logger)
                {
                    EngineLog.Preempted(logger, newest.PromptTokens + newest.OutputTokens);
                }
            }
        }
    }

    private void Step()
    {
        try
        {
            // Alone, a request can be left in the middle of a forward; among others its rows are computed to the end of the round.
            _round.Run(_active, _active.Count == 1 ? _active[0].Cancellation : _stop.Token);
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
            foreach (var sequence in _active)
            {
                sequence.Fail(error);
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
            _fault ??= sequence.Error as EngineFaultedException;
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
            End(sequence, Disposed());
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

        Interlocked.Decrement(ref _requests);
        _telemetry.End(sequence.End(), sequence.Activity);
        if (_logger is not null && failure is not (null or OperationCanceledException or ObjectDisposedException))
        {
            EngineLog.RequestFailed(_logger, sequence.PromptTokens, sequence.OutputTokens, failure);
        }
    }

    private void ThrowIfFaulted()
    {
        if (_fault is { } fault)
        {
            throw new EngineFaultedException(fault.Code, fault.Kernel, fault.Message);
        }
    }

    private Exception Cancelled(Sequence sequence) => _stop.IsCancellationRequested ? Disposed() : new OperationCanceledException(sequence.Cancellation);

    private static ObjectDisposedException Disposed() => new(nameof(InferenceEngine), "the engine was disposed while the request was under way");
}
