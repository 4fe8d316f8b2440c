using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Rounds;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Tests.Engine.Telemetry;

/// <summary>What the meter says is what has happened, to the token. A listener hears everything in the process, so no two of these run at once.</summary>
[NonParallelizable]
public sealed class EngineMetricsTests
{
    private static readonly GenerationOptions Greedy = new() { MaxTokens = 40, Temperature = 0, IgnoreEndOfText = true };

    private TestFolder _folder = null!;

    [SetUp]
    public void Make() => _folder = new TestFolder();

    [TearDown]
    public void Remove() => _folder.Dispose();

    /// <summary>The same requests, in two engines of one folder: those that finish, fail and are cancelled are all there, once, under their engine's name.</summary>
    [Test]
    public async Task Requests_ThatFinishFailAndAreCancelled_AreAccountedForExactly()
    {
        using var metered = new MeteredValues("one", "other");
        List<GenerationResult> finished = [];
        using (InferenceEngine one = Open("one"), other = Open("other"))
        {
            for (var i = 0; i < 5; i++)
            {
                finished.Add(await one.CompleteAsync(string.Concat(Enumerable.Repeat("the hello in ", 30)), Greedy));
            }

            Assert.That(async () => await one.CompleteAsync([1, TestFolder.PoisonedToken], Greedy), Throws.InstanceOf<NonFiniteLogitsException>());
            using var cancellation = new CancellationTokenSource();
            var asked = 0;
            var leaving = new CallbackDrafter { OnPropose = () => (++asked == 3 ? cancellation : null)?.Cancel() };
            Assert.That(
                async () => await one.CompleteAsync([1, 2, 3], Greedy with { Speculation = leaving.Alone }, cancellation.Token),
                Throws.InstanceOf<OperationCanceledException>(), "in its third round, whose forward is left; the prompt and two rounds have written a token each");
            SpinWait.SpinUntil(() => one.Snapshot().Active == 0);
            await other.CompleteAsync("abc", Greedy with { MaxTokens = 1 });
        }

        (string, object?) name = ("gen_ai.request.model", "one");
        Assert.That(metered.Of("gen_ai.server.request.duration", name, ("error.type", null)), Has.Length.EqualTo(5));
        Assert.That(metered.Of("gen_ai.server.request.duration", name, ("error.type", typeof(NonFiniteLogitsException).FullName)), Has.Length.EqualTo(1));
        Assert.That(metered.Of("gen_ai.server.request.duration", name, ("error.type", typeof(OperationCanceledException).FullName)), Has.Length.EqualTo(1));
        Assert.That(metered.Of("gen_ai.server.request.duration", name), Has.Length.EqualTo(7));
        Assert.That(metered.Of("gen_ai.server.time_to_first_token", name), Has.Length.EqualTo(6), "the one that failed wrote none");
        Assert.That(metered.Of("nativespec.request.queue_time", name), Has.Length.EqualTo(7));
        Assert.That(metered.Of("nativespec.prompt.tokens", name).Sum(), Is.EqualTo((5 * finished[0].PromptTokens) + 2 + 3));
        Assert.That(metered.Of("nativespec.prompt.tokens", name, ("source", "cached")).Sum(), Is.EqualTo(finished.Sum(result => result.CachedTokens)).And.Positive);
        Assert.That(metered.Of("nativespec.output.tokens", name).Sum(), Is.EqualTo((5 * 40) + 3));
        Assert.That(metered.Of("nativespec.rounds", name).Sum(), Is.GreaterThanOrEqualTo(finished.Sum(result => result.Timings.Rounds)));
        Assert.That(metered.Of("nativespec.round.time", name, ("part", "forward")).Sum(), Is.Positive);
        Assert.That(metered.Of("nativespec.round.time", name, ("part", "outside")), Is.All.Not.Negative);
        Assert.That(metered.Of("gen_ai.server.request.duration", ("gen_ai.request.model", "other")), Has.Length.EqualTo(1));
        Assert.That(metered.Of("nativespec.output.tokens", ("gen_ai.request.model", "other")), Is.EqualTo(new[] { 1d }));
        Assert.That(metered.Of("gen_ai.server.time_per_output_token", ("gen_ai.request.model", "other")), Is.Empty, "one token has no time between tokens");
    }

    /// <summary>A caller that has read of a failure goes, often before the engine has looked: the request has failed all the same, and was not cancelled.</summary>
    [Test]
    public void End_AfterAFailureWhoseCallerHasGone_NamesTheFailure()
    {
        var core = new SpeculationCore([], new CostCurve([1], [1]), vocabSize: 300, maxNodes: 4, TimeProvider.System);
        using var sequence = new TestSequence(core, new Chooser(300), [1], Greedy);
        sequence.Sequence.Fail(new NonFiniteLogitsException(0, float.NaN));
        sequence.Sequence.Fail(new OperationCanceledException());
        Assert.That(sequence.Sequence.End().Error, Is.TypeOf<NonFiniteLogitsException>());
    }

    /// <summary>What results say of drafters, summed, is what the counters say.</summary>
    [Test]
    public async Task Speculation_IsCountedByDrafterAndPosition()
    {
        using var metered = new MeteredValues("drafting");
        List<SpeculationStats> stats = [];
        SpeculationStats predicted;
        using var lines = new MemoryStream();
        using (var engine = Open("drafting"))
        {
            using var trace = new SpeculationTrace(lines, engine.Tokenizer);
            var unplanned = Greedy with { Speculation = new() { Drafters = ["lookup", "recycle"], Unplanned = true, Trace = trace } };
            for (var i = 0; i < 3; i++)
            {
                stats.Add((await engine.CompleteAsync("abcabcabcabcabc", unplanned)).Speculation);
            }

            await engine.CompleteAsync("abc", Greedy with { Speculation = new CallbackDrafter().Alone });
            var ids = (await engine.CompleteAsync("abc", Greedy with { Speculation = SpeculationOptions.Off })).Ids;
            predicted = (await engine.CompleteAsync("abc", Greedy with { Speculation = new() { Drafters = [], Sources = [new PredictionDrafter([.. ids])], Unplanned = true } })).Speculation;
        }

        var computed = Computed(lines.ToArray());
        var drafters = stats.SelectMany(s => s.Drafters).ToArray();
        Assert.That(drafters.Sum(drafter => drafter.Accepted), Is.Positive, "nothing to count");
        foreach (var group in drafters.GroupBy(drafter => drafter.Name))
        {
            Assert.That(metered.Of("nativespec.speculation.drafted", ("drafter", group.Key)).Sum(), Is.EqualTo(group.Sum(drafter => drafter.Drafted)));
            for (var position = 1; position <= 8; position++)
            {
                var drafted = computed.Count(node => node == (group.Key, position));
                Assert.That(metered.Of("nativespec.speculation.drafted", ("drafter", group.Key), ("position", position)).Sum(), Is.EqualTo(drafted), $"{group.Key} {position}");
                var accepted = group.Sum(drafter => drafter.AcceptedPerPosition.Count >= position ? drafter.AcceptedPerPosition[position - 1] : 0);
                Assert.That(metered.Of("nativespec.speculation.accepted", ("drafter", group.Key), ("position", position)).Sum(), Is.EqualTo(accepted), $"{group.Key} {position}");
            }
        }

        Assert.That(metered.Of("nativespec.speculation.drafted", ("drafter", "prediction")), Is.Empty, "requests' own names could be any number");
        Assert.That(metered.Of("nativespec.speculation.drafted", ("drafter", "other")).Sum(), Is.EqualTo(predicted.Drafted).And.Positive);
        Assert.That(metered.Of("nativespec.spec_decode.num_drafts"), Has.Length.EqualTo(5).And.One.Zero, "who drafts nothing has no drafts");
        Assert.That(metered.Of("nativespec.spec_decode.num_drafts").Sum(), Is.LessThanOrEqualTo(stats.Sum(s => s.Rounds) + predicted.Rounds).And.Positive);

        static (string?, int)[] Computed(byte[] lines) =>
        [
            .. from line in Encoding.UTF8.GetString(lines).Split('\n', StringSplitOptions.RemoveEmptyEntries)
               from node in JsonDocument.Parse(line).RootElement.GetProperty("nodes").EnumerateArray().Skip(1)
               where node.GetProperty("computed").GetBoolean()
               from drafter in node.GetProperty("drafters").EnumerateArray()
               select (drafter.GetProperty("name").GetString(), node.GetProperty("depth").GetInt32()),
        ];
    }

    /// <summary>Who has read a text to its end finds nothing of it in the engine, although the drafters that it had are still being disposed.</summary>
    [Test]
    public async Task Snapshot_OnceATextHasBeenRead_HasNothingOfItAnyMore([Values] bool fails)
    {
        using ManualResetEventSlim looked = new();
        var drafter = new CallbackDrafter { OnDispose = () => looked.Wait(), OnPropose = fails ? () => throw new FormatException() : () => { } };
        using var engine = Open("told");
        EngineSnapshot now;
        try
        {
            await engine.CompleteAsync("abc", Greedy with { Speculation = drafter.Alone });
        }
        catch (FormatException) when (fails)
        {
        }
        finally
        {
            now = engine.Snapshot();
            looked.Set();
        }

        Assert.That((now.Active, now.Waiting, now.UsedPages), Is.EqualTo((0, 0, 0)));
    }

    [Test]
    public async Task Speculation_WhereOneOfItsCountersIsListenedTo_IsCountedThere()
    {
        string[] names = ["speculation.drafted", "speculation.accepted", "spec_decode.num_drafts", "spec_decode.num_draft_tokens", "spec_decode.num_accepted_tokens", "spec_decode.num_accepted_tokens_per_pos"];
        var unplanned = Greedy with { Speculation = new() { Drafters = ["lookup", "recycle"], Unplanned = true } };
        using var engine = Open("one counter");
        foreach (var name in names)
        {
            using var metered = new MeteredValues(instrument => instrument == $"nativespec.{name}", "one counter");
            await engine.CompleteAsync("abcabcabcabcabc", unplanned);
            Assert.That(SpinWait.SpinUntil(() => metered.Of($"nativespec.{name}").Sum() > 0, 60_000), name); // the reader is told before the counters
        }
    }

    /// <summary>While the engine stands in a drafter, gauges and snapshot show who is served and who waits; afterwards that nobody is.</summary>
    [Test]
    public async Task GaugesAndSnapshot_ShowWhoIsServedAndWhoWaits()
    {
        using var metered = new MeteredValues("full");
        using ManualResetEventSlim standing = new(), go = new();
        using var engine = Open("full", new EngineOptions { MaxSequences = 1, MaxWaiting = 2 });
        var options = Greedy with { Speculation = new CallbackDrafter { OnPropose = Stand }.Alone };
        var served = engine.CompleteAsync("abc", options);
        standing.Wait();
        Task[] waiting = [engine.CompleteAsync("abc", Greedy), engine.CompleteAsync("abc", Greedy)];
        Assert.That(() => engine.GenerateAsync("abc"), Throws.InstanceOf<EngineBusyException>());

        var now = engine.Snapshot();
        Assert.That((now.Active, now.Waiting, now.UsedPages), Is.EqualTo((1, 2, 2)));
        Assert.That(now.FreePages, Is.EqualTo(engine.Cache.TotalPages - 2));
        Assert.That(now.SinceLastRound, Is.GreaterThan(TimeSpan.Zero));
        Assert.That(metered.Now("nativespec.requests", ("state", "active")), Is.EqualTo(1));
        Assert.That(metered.Now("nativespec.requests", ("state", "waiting")), Is.EqualTo(2));
        Assert.That(metered.Now("nativespec.kv.pages", ("state", "used")), Is.EqualTo(2));
        Assert.That(metered.Of("nativespec.requests.refused", ("error.type", typeof(EngineBusyException).FullName)), Is.EqualTo(new[] { 1d }));

        go.Set();
        await served;
        await Task.WhenAll(waiting);
        now = engine.Snapshot();
        Assert.That((now.Active, now.Waiting, now.UsedPages, now.Rounds), Is.EqualTo((0, 0, 0, metered.Of("nativespec.rounds").Length)));
        engine.Dispose();
        Assert.That(metered.Now("nativespec.kv.pages"), Is.Zero, "an engine that is gone is shown no more");

        void Stand()
        {
            standing.Set();
            go.Wait();
        }
    }

    [Test]
    public void WhereNobodyListens_NothingIsAllocated()
    {
        using var telemetry = new EngineTelemetry("alone", ["lookup"], logger: null);
        telemetry.Show(() => default);
        var stats = new StatsCounter(["lookup"], ticksPerSecond: 1000);
        (stats.Of(0).Drafted[0], stats.Of(0).Accepted[0]) = (1, 1);
        var end = new RequestEnd(3, 2, 5, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(4), stats, null, new InvalidOperationException());
        var request = new SequenceRequest([1], Greedy, 1, 1, [], 1);

        Count();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Count();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        using var metered = new MeteredValues("alone");
        before = GC.GetAllocatedBytesForCurrentThread();
        Count();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Positive, "then there is something to see that this test looks for");

        void Count()
        {
            for (var i = 0; i < 100; i++)
            {
                telemetry.Round(new RoundTimes(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)));
                telemetry.End(end, telemetry.Begin(request));
            }
        }
    }

    /// <summary>A listener is somebody else's code, called by the thread that serves everybody.</summary>
    [Test]
    public async Task AListenerThatThrows_HarmsNoRequest()
    {
        using var engine = Open("listened");
        var expected = await engine.CompleteAsync("abc", Greedy);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == InferenceEngine.TelemetryName)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        var thrown = 0;
        listener.SetMeasurementEventCallback<long>((_, _, _, _) => throw new InvalidOperationException($"{++thrown}"));
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => throw new InvalidOperationException($"{++thrown}"));
        listener.Start();

        var texts = new[] { await engine.CompleteAsync("abc", Greedy), await engine.CompleteAsync("abc", Greedy) };
        Assert.That(texts.Select(text => text.Ids), Is.All.EqualTo(expected.Ids));
        Assert.That(thrown, Is.Positive);
    }

    [Test]
    public void EveryInstrument_HasItsLineInTheDocumentation()
    {
        using var telemetry = new EngineTelemetry("documented", [], logger: null);
        telemetry.Show(() => default);
        using var metered = new MeteredValues("documented");
        var page = File.ReadAllText(Repository.Find("docs/observability.md"));

        Assert.That(metered.Instruments, Has.Count.GreaterThan(10));
        Assert.That(metered.Instruments.Select(instrument => $"| `{instrument.Name}` | {instrument.Unit} |"), Is.All.Matches<string>(page.Contains));
    }

    private InferenceEngine Open(string name, EngineOptions? options = null)
        => InferenceEngine.Load(_folder.Path, (options ?? new EngineOptions { MaxSequences = 4 }) with { Name = name, CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }) });
}
