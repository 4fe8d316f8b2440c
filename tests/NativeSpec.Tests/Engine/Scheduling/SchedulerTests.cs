using NativeSpec.Engine;

namespace NativeSpec.Tests.Engine.Scheduling;

/// <summary>Who is served when: pages, queue and cancellation.</summary>
public sealed class SchedulerTests : FolderFixture
{
    /// <summary>A pool that holds three texts, or fewer, of the requests below; eight are served at once as far as it goes.</summary>
    private static readonly EngineOptions SmallPool = new() { MaxSequences = 8, MaxTreeNodes = 8, MaxContext = 300, KvTokens = 300, PrefillChunk = 64 };

    [Test]
    public async Task CompleteAsync_ManyMoreThanThePoolHolds_EachWritesWhatItWritesAlone([Values] bool draftModel)
    {
        var requests = Requests(64);
        var engine = Open(SmallPool with { DraftModels = draftModel ? [FolderPath] : [] });
        List<GenerationResult> alone = [];
        foreach (var (prompt, options) in requests)
        {
            alone.Add(await engine.CompleteAsync(prompt, options));
        }

        Assert.That(engine.Scheduler.Preemptions, Is.Zero);
        var together = await Task.WhenAll(requests.Select(request => engine.CompleteAsync(request.Prompt, request.Options)));

        Assert.That(engine.Scheduler.Preemptions, Is.Positive, "the pool is too large for this test");
        for (var i = 0; i < requests.Length; i++)
        {
            Assert.That(together[i].Ids, Is.EqualTo(alone[i].Ids), $"request {i}");
            Assert.That((together[i].Text, together[i].FinishReason, together[i].StopString), Is.EqualTo((alone[i].Text, alone[i].FinishReason, alone[i].StopString)));
            Assert.That(together[i].LogProbs.Select(p => p.Chosen), Is.EqualTo(alone[i].LogProbs.Select(p => p.Chosen)));
        }

        AssertNoPageLost(engine);
    }

    [Test]
    public async Task GenerateAsync_CancelledAtAnyMoment_LosesNoPageAndHarmsNoNeighbour()
    {
        var requests = Requests(48);
        var engine = Open(SmallPool);
        List<GenerationResult> alone = [];
        foreach (var (prompt, options) in requests)
        {
            alone.Add(await engine.CompleteAsync(prompt, options));
        }

        await Task.WhenAll(requests.Select(async (request, i) =>
        {
            using var cancellation = new CancellationTokenSource();
            var pieces = i % 3 == 0 ? int.MaxValue : i * 7 % 60; // some before the first piece, some never
            List<int> ids = [];
            try
            {
                if (pieces == 0)
                {
                    await cancellation.CancelAsync();
                }

                await foreach (var piece in engine.GenerateAsync(request.Prompt, request.Options, cancellation.Token))
                {
                    ids.AddRange(piece.Ids);
                    if (--pieces <= 0)
                    {
                        await cancellation.CancelAsync();
                    }
                }

                Assert.That(ids, Is.EqualTo(alone[i].Ids));
            }
            catch (OperationCanceledException)
            {
                Assert.That(ids, Is.EqualTo(alone[i].Ids.Take(ids.Count)));
            }
        }));

        AssertNoPageLost(engine);
    }

    /// <summary>A request without a limit takes the pages it uses, not those it might, so that others are served beside it.</summary>
    [Test]
    public void GenerateAsync_WithoutALimit_LeavesRoomForOthers()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 8, MaxTreeNodes = 8, MaxContext = 500, KvTokens = 500 });
        using var turns = new Turns();
        using var gone = new CancellationTokenSource();
        var options = Sampled with { MaxTokens = null };
        var started = 0;
        List<Task> running = [engine.CompleteAsync("abc", options with { Speculation = turns.Drafter.Alone }, gone.Token)];
        turns.WaitFor(1);
        var others = options with { Speculation = new CallbackDrafter { OnStart = () => started++ }.Alone };
        running.AddRange(Enumerable.Range(0, 4).Select(_ => engine.CompleteAsync("abc", others, gone.Token)));
        turns.LetGo();
        turns.WaitFor(2);

        Assert.That(started, Is.EqualTo(4), "where each reserved its whole context, one would fit beside the first");
        gone.Cancel();
        turns.LetGo();
        Assert.That(async () => await Task.WhenAll(running), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void GenerateAsync_CancelledWhileItWaits_LeavesItsPlaceToAnother()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1, MaxWaiting = 1 });
        using var turns = new Turns();
        using var gone = new CancellationTokenSource();
        var served = engine.CompleteAsync("hello", Sampled with { MaxTokens = 4, Speculation = turns.Drafter.Alone }); // two turns: the last token needs no candidates
        turns.WaitFor(1);
        var waiting = engine.CompleteAsync("hello", Sampled, gone.Token);
        Assert.That(() => engine.GenerateAsync("hello"), Throws.InstanceOf<EngineBusyException>());

        gone.Cancel();
        Assert.That(async () => await waiting, Throws.InstanceOf<OperationCanceledException>(), "at once, though the engine is in a round");
        turns.LetGo();
        turns.WaitFor(2);

        var next = engine.CompleteAsync("hello", Sampled);
        turns.LetGo();
        Assert.That(async () => (await served).Ids.Count, Is.EqualTo(4));
        Assert.That(async () => (await next).Ids.Count, Is.EqualTo(40));
    }

    [Test]
    public async Task GenerateAsync_WhenTooManyWait_IsRefusedAtOnceAndServedLater()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1, MaxWaiting = 2 });
        using var gate = new ManualResetEventSlim();
        var options = Sampled with { MaxTokens = 3, Speculation = new CallbackDrafter { OnPropose = gate.Wait }.Alone };
        var made = engine.GenerateAsync("hello", options); // before the others, and enumerated after them
        var running = Enumerable.Range(0, 3).Select(_ => engine.CompleteAsync("hello", options)).ToArray();

        Assert.That(() => engine.GenerateAsync("hello", options), Throws.InstanceOf<EngineBusyException>().With.Message.Contains("1 requests").And.Message.Contains("2 more"));
        Assert.That(() => { _ = engine.CompleteAsync("hello", options); }, Throws.InstanceOf<EngineException>());
        Assert.That(async () => await made.GetAsyncEnumerator().MoveNextAsync(), Throws.InstanceOf<EngineBusyException>());

        gate.Set();
        var texts = await Task.WhenAll(running);
        Assert.That(texts.Select(text => text.Ids.Count), Has.All.EqualTo(3));
        Assert.That((await engine.CompleteAsync("hello", options)).Ids, Is.EqualTo(texts[0].Ids));
    }

    /// <summary>Penalties need counts for the whole vocabulary; a request has them when it is served, not while it waits.</summary>
    [Test]
    public async Task GenerateAsync_WhileItWaits_HoldsNoHistory()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1 });
        using var gate = new ManualResetEventSlim();
        var served = engine.CompleteAsync("hello", Sampled with { MaxTokens = 3, Speculation = new CallbackDrafter { OnPropose = gate.Wait }.Alone });
        List<Task> waiting = [];
        var plain = Allocated(Sampled);
        var penalized = Allocated(Sampled with { RepetitionPenalty = 1.2f, FrequencyPenalty = 0.1f });

        Assert.That(penalized, Is.EqualTo(plain).Within(64)); // numbers where there was null
        gate.Set();
        await served;
        await Task.WhenAll(waiting);

        long Allocated(GenerationOptions options)
        {
            waiting.Add(engine.CompleteAsync("hello", options)); // once for what is compiled and cached
            var before = GC.GetAllocatedBytesForCurrentThread();
            waiting.Add(engine.CompleteAsync("hello", options));
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    /// <summary>The drafter holds the round until the cancellation is there; if the forward did not look at it, the round would end and be
    /// observed.</summary>
    [Test]
    public void GenerateAsync_Alone_LeavesTheForwardWhenCancelledOrDisposed([Values] bool disposes)
    {
        using var engine = Open(new EngineOptions());
        using var cancellation = new CancellationTokenSource();
        using var inPropose = new ManualResetEventSlim();
        using var cancelled = new ManualResetEventSlim();
        // Registered before the request's own cancellation is linked, so called after that: the last registered is called first.
        using var registration = (disposes ? engine.Scheduler.Stopping : cancellation.Token).Register(cancelled.Set);
        var observed = 0;
        var drafter = new CallbackDrafter
        {
            OnPropose = () =>
            {
                inPropose.Set();
                cancelled.Wait();
            },
            OnObserve = () => observed++,
        };
        var task = engine.CompleteAsync("hello", Sampled with { Speculation = drafter.Alone }, cancellation.Token);
        inPropose.Wait();
        Assert.That(observed, Is.EqualTo(1), "the prompt's round");

        if (disposes)
        {
            engine.Dispose();
            Assert.That(async () => await task, Throws.InstanceOf<ObjectDisposedException>());
        }
        else
        {
            cancellation.Cancel();
            Assert.That(async () => await task, Throws.InstanceOf<OperationCanceledException>());
            engine.Dispose(); // waits for the thread
        }

        Assert.That(observed, Is.EqualTo(1));
    }

    /// <summary>Requests of some 200 to 280 tokens with all that has a state: penalties, log-probabilities, stop strings.</summary>
    private static (int[] Prompt, GenerationOptions Options)[] Requests(int count)
    {
        var random = new Random(3);
        return [.. Enumerable.Range(0, count).Select(i => (
            Prompt: (int[])[.. Enumerable.Range(0, 20 + random.Next(100)).Select(_ => random.Next(97, 123))],
            Options: Sampled with
            {
                Seed = (ulong)i,
                MaxTokens = 160 + random.Next(20),
                RepetitionPenalty = i % 2 == 0 ? 1.2f : null,
                TopLogProbs = i % 4 == 0 ? 2 : 0,
                StopStrings = i % 5 == 0 ? ["aa", "zz"] : [],
                Temperature = i % 3 == 0 ? 0.2f : 1,
            }))];
    }

    private static void AssertNoPageLost(InferenceEngine engine)
    {
        var cache = engine.Cache;
        engine.Dispose(); // waits for the thread, which gives pages back after it has handed over a text
        Assert.That(cache.FreePages, Is.EqualTo(cache.TotalPages));
    }

    /// <summary>Holds the scheduler in a drafter's Propose until it is let go, round by round.</summary>
    private sealed class Turns : IDisposable
    {
        private readonly SemaphoreSlim _arrived = new(0);
        private readonly SemaphoreSlim _released = new(0);
        private int _seen;

        public Turns() => Drafter = new CallbackDrafter { OnPropose = Hold };

        public CallbackDrafter Drafter { get; }

        /// <summary>Waits until the scheduler is in the given turn, counted from 1.</summary>
        public void WaitFor(int turn)
        {
            for (; _seen < turn; _seen++)
            {
                Assert.That(_arrived.Wait(60_000), "the scheduler came");
            }
        }

        public void LetGo() => _released.Release();

        public void Dispose() => _released.Release(1000); // whoever is held goes on; the semaphores are left to the collector

        private void Hold()
        {
            _arrived.Release();
            _released.Wait();
        }
    }
}
