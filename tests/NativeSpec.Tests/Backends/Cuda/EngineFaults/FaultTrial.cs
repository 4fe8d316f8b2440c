using NativeSpec.Backends;
using NativeSpec.Engine;

namespace NativeSpec.Tests.Backends.Cuda.EngineFaults;

/// <summary>One engine that calls of the driver fail under: loaded, asked, disposed. Finds what came of it wrong, which is to be nothing.</summary>
internal sealed class FaultTrial(FaultPlan plan, FaultTexts texts)
{
    /// <summary>How long anything may take before it is said to hang; some trials take a second on two busy processors.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly List<string> _wrong = [];
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether requests, the load or the warm-up were ended by a fault.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>What was wrong.</summary>
    public async Task<IReadOnlyList<string>> RunAsync()
    {
        try
        {
            Arm(FaultMoment.Load);
            if (await LoadAsync() is { } engine)
            {
                Disarm(); // what may fail while loading need not while serving
                await ServeAsync(engine);
            }
        }
        finally
        {
            Disarm();
        }

        if (CudaEmulator.Problems() is { Length: > 0 } problems)
        {
            _wrong.Add($"the driver complains: {problems.Trim()}");
            CudaEmulator.ForgetProblems(); // nobody else made them
        }

        return _wrong;
    }

    private static void Disarm()
    {
        CudaEmulator.Set("FAULTS", "0,0");
        CudaEmulator.Set("FAIL", "none,0,0");
    }

    private void Arm(FaultMoment moment)
    {
        if (plan.Moment == moment)
        {
            CudaEmulator.Set(plan.Fault, plan.Value);
        }
    }

    private async Task<InferenceEngine?> LoadAsync()
    {
        try
        {
            return await Task.Run(() => texts.Load(plan)).WaitAsync(Patience);
        }
        catch (Exception error) when (plan.Moment == FaultMoment.Load && error is not TimeoutException)
        {
            HasFailed = true;
            Check(error is InvalidOperationException && HasFacts(error.Message), $"the load ended with {Name(error)}");
            return null;
        }
    }

    private async Task ServeAsync(InferenceEngine engine)
    {
        if (plan.Moment == FaultMoment.WarmUp)
        {
            await WarmUpAsync(engine);
        }

        var rounds = engine.Snapshot().Rounds;
        Arm(FaultMoment.BeforeRequests);
        var outcomes = plan.Requests.Select((request, i) => Task.Run(() => ReadAsync(engine, request, plan.CancelAfter[i]))).ToArray();
        await Within(_begun.Task, engine);
        Arm(FaultMoment.AmongRequests);
        if (plan.Moment == FaultMoment.DisposalAmongRequests)
        {
            Arm(plan.Moment);
            await DisposeAsync(engine);
        }

        var ended = (await Within(Task.WhenAll(outcomes), engine)).ToList();
        if (plan.Moment == FaultMoment.DisposalAmongRequests)
        {
            return;
        }

        // A round gives a text a token, or a prompt a chunk, of which the rows of running texts take less than half; a text that gave its pages back is computed twice.
        // Requests share rounds, so their sum is more than is needed.
        var bound = 2 * plan.Requests.Sum(request => (2 * ((FaultTexts.Requests[request].Prompt.Length / FaultTexts.PrefillChunk) + 1)) + FaultTexts.Requests[request].Options.MaxTokens!.Value);
        Check(engine.Snapshot().Rounds - rounds <= bound, $"{engine.Snapshot().Rounds - rounds} rounds, of {bound} at most");
        var lost = ended.Find(error => error?.InnerException is BackendFaultedException);
        if (lost is not null)
        {
            Check(engine.Snapshot().IsFaulted, "the device is lost and the snapshot does not say so");
        }

        Disarm();
        await RequireUseAsync(engine);
        Arm(FaultMoment.Disposal);
        await DisposeAsync(engine);
    }

    private async Task WarmUpAsync(InferenceEngine engine)
    {
        using var cancellation = new CancellationTokenSource();
        Arm(FaultMoment.WarmUp);
        var warming = engine.WarmUpAsync(cancellation.Token);
        cancellation.CancelAfter(200); // it would go on for longer than its first texts take
        try
        {
            await warming.WaitAsync(Patience);
        }
        catch (OperationCanceledException)
        {
        }
        catch (EngineFaultedException error)
        {
            HasFailed = true;
            Check(HasFacts(error), $"the warm-up ended with {Name(error)}");
        }

        Disarm();
    }

    /// <summary>Reads a text to its end, or until its reader has had enough; returns what it ended with.</summary>
    private async Task<Exception?> ReadAsync(InferenceEngine engine, int request, int cancelAfter)
    {
        var ((prompt, options), right) = (FaultTexts.Requests[request], texts.Ids[request]);
        using var cancellation = new CancellationTokenSource();
        List<int> ids = [];
        Exception? end = null;
        var (pieces, whole) = (0, false);
        try
        {
            await foreach (var piece in engine.GenerateAsync(prompt, options, cancellation.Token))
            {
                ids.AddRange(piece.Ids);
                whole |= piece.Result is not null;
                _begun.TrySetResult();
                if (++pieces == cancelAfter)
                {
                    await cancellation.CancelAsync();
                }
            }
        }
        catch (Exception error)
        {
            end = error;
        }

        _begun.TrySetResult();
        HasFailed |= end is EngineFaultedException;
        var isPrefix = ids.Count <= right.Count && ids.SequenceEqual(right.Take(ids.Count));
        Check(isPrefix, $"request {request}: the text is {string.Join(' ', ids)}, not {string.Join(' ', right)}");
        Check(end is not null || (whole && ids.Count == right.Count), $"request {request} ended without an error after {ids.Count} of {right.Count} tokens");
        var isRight = end switch
        {
            null => true,
            EngineFaultedException fault => HasFacts(fault),
            OperationCanceledException => cancelAfter > 0,
            ObjectDisposedException => plan.Moment == FaultMoment.DisposalAmongRequests,
            _ => false,
        };
        Check(isRight, $"request {request} ended with {Name(end)}");
        return end;
    }

    /// <summary>Without further faults an engine goes on with right texts, all pages free between them; or it says that it has failed, and refuses them.</summary>
    private async Task RequireUseAsync(InferenceEngine engine)
    {
        await Within(Task.Run(async () =>
        {
            while (engine.Snapshot() is not { Active: 0, Waiting: 0, UsedPages: 0 })
            {
                await Task.Delay(1); // a reader that cancels goes before its rows are given back
            }
        }), engine);
        var next = await Within(Task.Run(() => ReadAsync(engine, 0, cancelAfter: 0)), engine);
        var isFaulted = engine.Snapshot().IsFaulted;
        Check(isFaulted == next is not null, $"the next request ended with {Name(next)}, and IsFaulted is {isFaulted}");
        if (!isFaulted)
        {
            return;
        }

        try
        {
            _ = engine.GenerateAsync([1]);
            _wrong.Add("an engine that has failed takes requests");
        }
        catch (EngineFaultedException refusal)
        {
            Check(HasFacts(refusal) && refusal.Code == ((EngineFaultedException)next!).Code, $"the refusal is {Name(refusal)}");
        }
    }

    private async Task DisposeAsync(InferenceEngine engine)
    {
        try
        {
            await Within(Task.Run(engine.Dispose), engine);
        }
        catch (Exception error) when (error is not AssertionException)
        {
            _wrong.Add($"the disposal ended with {Name(error)}");
        }
    }

    /// <summary>Waits, but not without end.</summary>
    private async Task<T> Within<T>(Task<T> task, InferenceEngine engine)
    {
        await Within((Task)task, engine);
        return await task;
    }

    private async Task Within(Task task, InferenceEngine engine)
    {
        try
        {
            await task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"it hangs: {plan}; {engine.Snapshot()}; {string.Join("; ", _wrong)}");
        }
    }

    private void Check(bool isRight, string otherwise)
    {
        if (!isRight)
        {
            lock (_wrong)
            {
                _wrong.Add(otherwise);
            }
        }
    }

    private static bool HasFacts(EngineFaultedException error) => error.Code != 0 && error.Message.Contains($"({error.Code})", StringComparison.Ordinal);

    /// <summary>The driver's name of the error and its number.</summary>
    private static bool HasFacts(string message) => message.Contains("CUDA_ERROR_", StringComparison.Ordinal);

    private static string Name(Exception? error) => error is null ? "nothing" : $"{error.GetType().Name} '{error.Message}'{(error.InnerException is { } inner ? $", by {inner.GetType().Name}" : "")}";
}
