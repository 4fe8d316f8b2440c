using NativeSpec.Backends;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Telemetry;

namespace NativeSpec.Engine.Scheduling;

/// <summary>How requests leave: their texts end, they fail, their callers go away or do not read, they are too late, or no round will ever come for them.
/// Each gives back what it holds, is counted out and told to telemetry, once.</summary>
/// <param name="admission">Counts who is in the engine.</param>
/// <param name="options">How long a reader may read nothing, and who is told of failures.</param>
/// <param name="telemetry">Is told how each request ended.</param>
/// <param name="stopping">Set when the engine is disposed.</param>
internal sealed class Departures(Admission admission, EngineOptions options, EngineTelemetry telemetry, CancellationToken stopping)
{
    private Exception? _fault;

    /// <summary>What has ended the engine; null while it serves. Safe to ask from any thread.</summary>
    public Exception? Fault => Volatile.Read(ref _fault);

    /// <summary>The engine has failed for good. The first reason stands, and is the only one that is logged: what else fails fails because of it.</summary>
    public void Lose(Exception fault)
    {
        if (Interlocked.CompareExchange(ref _fault, fault, null) is null && options.Logger is { } logger)
        {
            EngineLog.Faulted(logger, fault);
        }
    }

    /// <summary>Why a request is not to go on, as far as no round says so; null where it may.</summary>
    public Exception? ReasonToEnd(Sequence sequence)
        => sequence.Cancellation.IsCancellationRequested ? Cancelled(sequence)
        : sequence.IsTooLate ? sequence.TooLate()
        : sequence.Pieces.IsBehind() && sequence.Pieces.SinceLastRead >= options.SlowReaderTimeout ? new SlowReaderException(sequence.Pieces.Unread, options.SlowReaderTimeout)
        : null;

    /// <summary>Ends those that are not to go on, and takes them out of the list.</summary>
    public void Sweep(List<Sequence> sequences)
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

    /// <summary>After a round: hands over what it has written, and takes those out of the list that have ended.</summary>
    /// <param name="active">Those that have seats.</param>
    public void Retire(List<Sequence> active)
    {
        var kept = 0;
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
                Release(sequence); // its last piece tells its reader as well
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

    /// <summary>Ends a request with an error.</summary>
    public void End(Sequence sequence, Exception error)
    {
        sequence.Fail(error);
        Leave(sequence);
    }

    /// <summary>Ends a request that no round will come for. Every one of them is told, whatever goes wrong with another.</summary>
    public void EndGone(Sequence sequence)
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

    /// <summary>Takes a sequence's pages and its place among the requests back.</summary>
    private void Release(Sequence sequence)
    {
        if (sequence.IsCounted)
        {
            sequence.IsCounted = false;
            sequence.GiveBack();
            admission.Leave(sequence.PromptTokens, sequence.HasBegun);
        }
    }

    /// <summary>A sequence's end: whatever ended it, its reader is told here, when <see cref="Scheduler.Snapshot"/> already says so. Its drafters and telemetry are code of
    /// others, for which no reader waits.</summary>
    private void Leave(Sequence sequence)
    {
        var failure = sequence.Error;
        if (failure?.InnerException is BackendFaultedException lost)
        {
            Lose(lost);
        }

        Release(sequence); // before its reader knows, who may ask for the next text at once
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

        telemetry.End(sequence.End(), sequence.Activity);
        if (options.Logger is { } logger && Fault is null && failure is not (null or OperationCanceledException or ObjectDisposedException))
        {
            EngineLog.RequestFailed(logger, sequence.PromptTokens, sequence.OutputTokens, failure);
        }
    }

    private Exception Cancelled(Sequence sequence) => stopping.IsCancellationRequested ? Gone() : new OperationCanceledException(sequence.Cancellation);

    private Exception Gone() => Fault is { } fault ? new EngineFaultedException(fault)
        : new ObjectDisposedException(nameof(InferenceEngine), "the engine was disposed while the request was under way");
}
