using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using NativeSpec.Model;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>Continuous batching: one thread owns the model and takes round after round. A request joins between two rounds when there is
/// room for all it may write, and leaves when its text ends, it fails, or its caller goes away.</summary>
internal sealed partial class Scheduler : IDisposable
{
    private readonly KvCache _cache;
    private readonly Round _round;
    private readonly int _maxSequences;
    private readonly ILogger? _logger;
    private readonly ConcurrentQueue<Sequence> _submitted = new();
    private readonly Queue<Sequence> _waiting = new();
    private readonly List<Sequence> _active;
    private readonly SemaphoreSlim _work = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;

    public Scheduler(LlamaModel model, KvCache cache, SpeculationCore speculation, int prefillChunk, ILogger? logger)
    {
        _cache = cache;
        _round = new Round(model, speculation, prefillChunk);
        _maxSequences = model.Limits.MaxSequences;
        _active = new List<Sequence>(_maxSequences);
        _logger = logger;
        _thread = new Thread(Loop) { IsBackground = true, Name = "NativeSpec scheduler" };
        _thread.Start();
    }

    /// <summary>Queues a request, in order of arrival.</summary>
    public void Submit(Sequence sequence)
    {
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

    private static ObjectDisposedException Disposed() => new(nameof(InferenceEngine), "the engine was disposed while the request was under way");

    private void Loop()
    {
        while (!_stop.IsCancellationRequested)
        {
            Receive();
            Admit();
            if (_active.Count == 0)
            {
                _work.Wait();
                continue;
            }

            Step();
            Retire();
        }

        foreach (var sequence in _active.Concat(_waiting))
        {
            End(sequence, Disposed());
        }
    }

    private void Receive()
    {
        while (_submitted.TryDequeue(out var sequence))
        {
            _waiting.Enqueue(sequence);
        }
    }

    private void Admit()
    {
        while (_active.Count < _maxSequences && _waiting.TryPeek(out var next))
        {
            if (next.Cancellation.IsCancellationRequested)
            {
                End(next, new OperationCanceledException(next.Cancellation));
            }
            else if (_cache.TryOpen(next.Capacity) is { } kv)
            {
                Begin(next, kv);
            }
            else if (_active.Count > 0)
            {
                return; // first come, first served: a later, smaller one does not overtake
            }
            else
            {
                End(next, new InvalidOperationException($"a request of {next.Capacity} tokens does not fit the empty cache"));
            }

            _waiting.Dequeue();
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

    private void Step()
    {
        try
        {
            // Alone, a request can be left in the middle of a forward; among others its rows are computed to the end of the round.
            _round.Run(_active, _active.Count == 1 ? _active[0].Cancellation : _stop.Token);
        }
        catch (OperationCanceledException)
        {
            // Nothing was committed; Retire removes whoever cancelled.
        }
#pragma warning disable CA1031 // Whatever went wrong must reach the callers, not end the thread that serves them.
        catch (Exception error)
#pragma warning restore CA1031
        {
            if (_logger is not null)
            {
                LogRoundFailed(_logger, _active.Count, error);
            }

            foreach (var sequence in _active)
            {
                sequence.Fail(error);
            }
        }
    }

    private void Retire()
    {
        var kept = 0;
        for (var i = 0; i < _active.Count; i++)
        {
            var sequence = _active[i];
            if (sequence.Cancellation.IsCancellationRequested)
            {
                End(sequence, _stop.IsCancellationRequested ? Disposed() : new OperationCanceledException(sequence.Cancellation));
                continue;
            }

            sequence.Deliver();
            if (sequence.IsFinished)
            {
                sequence.Dispose();
            }
            else
            {
                _active[kept++] = sequence;
            }
        }

        _active.RemoveRange(kept, _active.Count - kept);
    }

    private void FailSubmitted()
    {
        while (_submitted.TryDequeue(out var sequence))
        {
            End(sequence, Disposed());
        }
    }

    private static void End(Sequence sequence, Exception error)
    {
        sequence.Fail(error);
        sequence.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "a round of {Sequences} sequences failed")]
    private static partial void LogRoundFailed(ILogger logger, int sequences, Exception error);
}
