using Microsoft.Extensions.Logging;
using NativeSpec.Engine;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Scheduling;
using NativeSpec.Speculation;
using NativeSpec.Tests.Engine.Telemetry;

namespace NativeSpec.Tests.Engine.Scheduling;

/// <summary>Who is let in, in which order, and who is sent away: limits, priorities, times, readers who do not read, an engine that fails.</summary>
public sealed class AdmissionTests : FolderFixture
{
    private static readonly GenerationOptions Greedy = Sampled with { Temperature = 0, Seed = null, Speculation = new() { Drafters = [] } };

    [Test]
    public async Task GenerateAsync_WhenTooManyTokensWait_IsRefusedAtOnceAndServedLater()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1, MaxWaitingTokens = 100 });
        using var gate = new ManualResetEventSlim();
        using var inRound = new ManualResetEventSlim();
        var served = engine.CompleteAsync(new int[300], Greedy with { MaxTokens = 3, Speculation = Held(gate, inRound) }); // alone, however long
        inRound.Wait();
        var waiting = engine.CompleteAsync(new int[60], Greedy);
        Assert.That(() => engine.GenerateAsync(new int[41], Greedy), Throws.InstanceOf<EngineBusyException>().With.Message.Contains("41").And.Message.Contains("100 tokens"));
        var fits = engine.CompleteAsync(new int[40], Greedy);
        gate.Set();
        await Task.WhenAll(served, waiting, fits);
        Assert.That((await engine.CompleteAsync(new int[200], Greedy)).Ids, Has.Count.EqualTo(40), "nothing is counted twice");
    }

    /// <summary>The last piece is there, and the engine still frees what the request had: it counts no more.</summary>
    [Test]
    public async Task GenerateAsync_AtTheLastPieceOfAnother_IsTaken()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1, MaxWaiting = 0 });
        using var gate = new ManualResetEventSlim();
        var first = await engine.CompleteAsync("hello", Greedy with { Speculation = new CallbackDrafter { OnDispose = gate.Wait }.Alone });
        Task<GenerationResult> next;
        try
        {
            next = engine.CompleteAsync("hello", Greedy);
        }
        finally
        {
            gate.Set();
        }

        Assert.That((await next).Ids, Is.EqualTo(first.Ids));
    }

    [Test]
    public void Enter_ManyAtOnce_NeverLetsInMoreThanTheLimits()
    {
        var admission = new Admission(maxSequences: 2, maxWaiting: 6, maxWaitingTokens: 50);
        var (inside, most) = (0, 0);
        Parallel.For(0, 20_000, i =>
        {
            try
            {
                admission.Enter(promptTokens: 10);
                var now = Interlocked.Increment(ref inside);
                InterlockedMax(ref most, now);
                Interlocked.Decrement(ref inside);
                admission.Leave(10, hasBegun: false);
            }
            catch (EngineBusyException)
            {
                // as it should be
            }
        });
        Assert.That(most, Is.InRange(1, 5), "fifty tokens");
        Assert.That(admission.Requests, Is.Zero);
        for (var i = 0; i < 5; i++)
        {
            Assert.That(() => admission.Enter(10), Throws.Nothing);
        }

        Assert.That(() => admission.Enter(10), Throws.InstanceOf<EngineBusyException>());
    }

    [Test]
    public async Task GenerateAsync_OfAHigherPriority_IsServedBeforeThoseThatWait()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1 });
        using var gate = new ManualResetEventSlim();
        using var inRound = new ManualResetEventSlim();
        List<string> begun = [];
        List<Task> all = [engine.CompleteAsync("first", Greedy with { MaxTokens = 3, Speculation = Held(gate, inRound) })];
        inRound.Wait();
        foreach (var (name, priority) in new[] { ("a", 0), ("b", 0), ("late", -1), ("urgent", 5), ("c", 0), ("urgent too", 5) })
        {
            var drafter = new CallbackDrafter { OnStart = () => begun.Add(name) };
            all.Add(engine.CompleteAsync(name, Greedy with { MaxTokens = 2, Priority = priority, Speculation = drafter.Alone }));
        }

        gate.Set();
        await Task.WhenAll(all);
        Assert.That(begun, Is.EqualTo(new[] { "urgent", "urgent too", "a", "b", "c", "late" }));
    }

    [Test]
    public async Task GenerateAsync_WithoutATokenInItsTime_EndsAndLeavesItsPlace()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1, MaxWaiting = 1 });
        using var gate = new ManualResetEventSlim();
        using var inRound = new ManualResetEventSlim();
        var served = engine.CompleteAsync("hello", Greedy with { MaxTokens = 3, FirstTokenTimeout = TimeSpan.FromHours(1), Speculation = Held(gate, inRound) });
        inRound.Wait();
        var waiting = engine.CompleteAsync("hello", Greedy with { FirstTokenTimeout = TimeSpan.FromTicks(1) });
        gate.Set();
        Assert.That(async () => await waiting, Throws.InstanceOf<FirstTokenTimeoutException>().With.Message.Contains("waiting for its turn"));
        Assert.That((await served).Ids, Has.Count.EqualTo(3), "who has a token is not too late");
        Assert.That((await engine.CompleteAsync("hello", Greedy)).Ids, Has.Count.EqualTo(40));
    }

    /// <summary>A reader who stops reading holds up nobody: its request is computed so far ahead and no further, gives up its place and its pages to
    /// others, and goes on when it reads again, with the same text.</summary>
    [Test]
    public async Task GenerateAsync_AReaderThatStops_PausesAndGoesOnWithTheSameText()
    {
        using var engine = Open(new EngineOptions { MaxSequences = 1, MaxUnreadPieces = 4 });
        var expected = (await engine.CompleteAsync("hello", Greedy)).Ids;
        await using var slow = engine.GenerateAsync("hello", Greedy).GetAsyncEnumerator();
        Assert.That(await slow.MoveNextAsync());
        List<int> ids = [.. slow.Current.Ids];

        var others = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => engine.CompleteAsync("world", Greedy))); // which need the only place
        Assert.That(others.Select(other => other.Ids.Count), Has.All.EqualTo(40));

        while (await slow.MoveNextAsync())
        {
            ids.AddRange(slow.Current.Ids);
        }

        Assert.That(ids, Is.EqualTo(expected));
        Assert.That(engine.Cache.FreePages, Is.EqualTo(engine.Cache.TotalPages));
    }

    [Test]
    public async Task GenerateAsync_AReaderThatStopsForTooLong_Ends()
    {
        using var engine = Open(new EngineOptions { MaxUnreadPieces = 3, SlowReaderTimeout = TimeSpan.Zero });
        await using var slow = engine.GenerateAsync("hello", Greedy).GetAsyncEnumerator();
        await slow.MoveNextAsync();
        Assert.That(SpinWait.SpinUntil(() => engine.Snapshot() is { Active: 0, Waiting: 0 }, 60_000), "the engine has let it go");
        var pieces = 1;
        Assert.That(async () =>
        {
            while (await slow.MoveNextAsync())
            {
                pieces++;
            }
        }, Throws.InstanceOf<SlowReaderException>().With.Message.Contains("pieces of the text wait"));
        Assert.That(pieces, Is.InRange(3, 4), "what was written can be read");
        Assert.That(engine.Cache.FreePages, Is.EqualTo(engine.Cache.TotalPages));
    }

    [Test]
    public async Task GenerateAsync_AReaderThatStopsAndLeaves_GivesItsPagesBack()
    {
        using var engine = Open(new EngineOptions { MaxUnreadPieces = 3 });
        await using (var slow = engine.GenerateAsync("hello", Greedy).GetAsyncEnumerator())
        {
            await slow.MoveNextAsync();
        }

        Assert.That(SpinWait.SpinUntil(() => engine.Snapshot() is { Active: 0, Waiting: 0, UsedPages: 0 }, 60_000));
    }

    /// <summary>What breaks in a round ends the requests of the round, and they are told that it was not they.</summary>
    [Test]
    public void GenerateAsync_WhenARoundFails_SaysThatItIsTheEngine()
    {
        using var engine = Open(new EngineOptions());
        var drafter = new CallbackDrafter { OnPropose = () => engine.Cache.Dispose() };
        var error = Assert.ThrowsAsync<EngineFaultedException>(() => engine.CompleteAsync("hello", Greedy with { Speculation = drafter.Alone }));
        Assert.That(error!.InnerException, Is.InstanceOf<ObjectDisposedException>());
        Assert.That(engine.Snapshot().IsFaulted, Is.False, "the next round may do");
    }

    /// <summary>What breaks between two rounds, here because a request is submitted twice, ends the engine: nobody waits for rounds that will not come.</summary>
    [Test]
    public void GenerateAsync_WhenTheEngineHasFailed_SaysSoAtOnce()
    {
        var log = new ListLogger();
        using var engine = Open(new EngineOptions { MaxSequences = 1, Logger = log });
        using var gate = new ManualResetEventSlim();
        using var inRound = new ManualResetEventSlim();
        using var cancellation = new CancellationTokenSource();
        var served = engine.CompleteAsync("hello", Greedy with { Speculation = Held(gate, inRound) });
        inRound.Wait();
        var waiting = engine.CompleteAsync("hello", Greedy);
        var twice = new Sequence(new SequenceRequest([1], Greedy, 1, 1, [], 1), () => throw new NotSupportedException(), 16, new PieceQueue(1), cancellation);
        engine.Scheduler.Submit(twice);
        engine.Scheduler.Submit(twice);
        gate.Set();
        foreach (var request in new[] { served, waiting })
        {
            Assert.That(async () => await request, Throws.InstanceOf<EngineFaultedException>().With.InnerException.InstanceOf<ArgumentException>());
        }

        Assert.That(() => engine.GenerateAsync("hello", Greedy), Throws.InstanceOf<EngineFaultedException>());
        Assert.That(engine.Snapshot().IsFaulted);
        engine.Dispose();
        var (level, _, error) = log.Entries.Single(entry => entry.Level >= LogLevel.Error);
        Assert.That((level, error), Is.EqualTo((LogLevel.Critical, Assert.ThrowsAsync<EngineFaultedException>(() => waiting)!.InnerException)), "once, and not for each request that it ends");
    }

    /// <summary>It throws whatever it is asked, at the load, for a request that fails and for one that does not.</summary>
    [Test]
    public async Task Logger_ThatThrows_HarmsNobody([Values] bool isEnabled)
    {
        var logger = new BrokenLogger(isEnabled);
        using var engine = Open(new EngineOptions { Logger = logger });
        var fails = new CallbackDrafter { OnPropose = () => throw new FormatException("mine") };
        Assert.That(async () => await engine.CompleteAsync("hello", Greedy with { Speculation = fails.Alone }), Throws.InstanceOf<FormatException>());
        Assert.That((await engine.CompleteAsync("hello", Greedy)).Ids, Has.Count.EqualTo(40));
        Assert.That(engine.Snapshot().IsFaulted, Is.False);
        Assert.That(logger.Calls, Is.Positive);
    }

    private static void InterlockedMax(ref int most, int value)
    {
        for (var seen = Volatile.Read(ref most); value > seen;)
        {
            var before = Interlocked.CompareExchange(ref most, value, seen);
            seen = before == seen ? value : before;
        }
    }

    private static SpeculationOptions Held(ManualResetEventSlim gate, ManualResetEventSlim inRound) => new CallbackDrafter
    {
        OnPropose = () =>
        {
            inRound.Set();
            gate.Wait();
        },
    }.Alone;

    private sealed class BrokenLogger(bool isEnabled) : ILogger
    {
        public int Calls { get; private set; }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => throw new NotSupportedException();

        public bool IsEnabled(LogLevel logLevel)
        {
            Calls++;
            return isEnabled ? true : throw new NotSupportedException("no level is known");
        }

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Calls++;
            throw new NotSupportedException("the disk is full");
        }
    }
}
