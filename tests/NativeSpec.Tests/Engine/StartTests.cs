using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Speculation;

namespace NativeSpec.Tests.Engine;

/// <summary>Loading that is watched and ended, and warming up.</summary>
public sealed class StartTests
{
    private static readonly LoadStage[] Stages = [LoadStage.Opening, LoadStage.Weights, LoadStage.Drafters, LoadStage.Measuring, LoadStage.Done];
    private static readonly GenerationOptions Greedy = new() { MaxTokens = 24, Temperature = 0, IgnoreEndOfText = true };

    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder(poisoned: false);

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public async Task LoadAsync_AWatchedLoad_TellsEveryStageOnceInOrderAndAllOfTheWeights()
    {
        var seen = new Watcher();
        using var engine = await InferenceEngine.LoadAsync(_folder.Path, Options(), seen);
        Assert.That(seen.All.Select(step => step.Stage).Distinct(), Is.EqualTo(Stages));
        Assert.That(seen.All.Select(step => step.Stage), Is.Ordered);
        Assert.That(seen.All.Where(step => step.Stage == LoadStage.Weights).Select(step => step.Share), Is.Ordered);
        Assert.That(seen.All.Last(step => step.Stage == LoadStage.Weights).Share, Is.EqualTo(1));
    }

    /// <summary>The files are mapped while the model lives; the system says whether they still are.</summary>
    [Test]
    [Platform("Linux")]
    public async Task LoadAsync_CancelledAtAStage_LeavesNothingBehind([ValueSource(nameof(Stages))] LoadStage stage)
    {
        using var folder = new TestFolder();
        using var cancellation = new CancellationTokenSource();
        var watcher = new Watcher(step =>
        {
            if (step.Stage == stage && (stage != LoadStage.Weights || step.Share > 0.3))
            {
                cancellation.Cancel();
            }
        });
        var load = InferenceEngine.LoadAsync(folder.Path, Options(), watcher, cancellation.Token);
        if (stage == LoadStage.Done)
        {
            // It was whole when it was ended, and whole is what the caller gets.
            (await load).Dispose();
        }
        else
        {
            Assert.That(async () => await load, Throws.InstanceOf<OperationCanceledException>());
        }

        Assert.That(watcher.All[^1].Stage, Is.EqualTo(stage), "nothing was begun afterwards");
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain(folder.Path));
    }

    /// <summary>Two loads with the same drafters, as the engine itself does it where a device cannot be used: the first ends when they are there.</summary>
    [Test]
    public async Task LoadAsync_Ended_LeavesTheCallersDraftersToTheNext()
    {
        using var cancellation = new CancellationTokenSource();
        var drafter = new CallbackDrafter();
        var options = Options() with { Drafters = [drafter] };
        var watcher = new Watcher(step =>
        {
            if (step.Stage == LoadStage.Measuring)
            {
                cancellation.Cancel();
            }
        });
        Assert.That(async () => await InferenceEngine.LoadAsync(_folder.Path, options, watcher, cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(drafter.Disposals, Is.Zero);
        using (var engine = InferenceEngine.Load(_folder.Path, options))
        {
            await engine.CompleteAsync("Once upon", Greedy with { Speculation = SpeculationOptions.Off });
        }

        Assert.That(drafter.Disposals, Is.EqualTo(1));
    }

    [Test]
    public async Task LoadAsync_WhatIsNoModel_FailsAsLoadDoes()
    {
        var missing = Path.Combine(_folder.Path, "missing");
        var error = Assert.Catch(() => InferenceEngine.Load(missing))!;
        Assert.That(async () => await InferenceEngine.LoadAsync(missing), Throws.TypeOf(error.GetType()).With.Message.EqualTo(error.Message));
        await Task.CompletedTask;
    }

    /// <summary>A round has 24 rows, fewer than the context after which forwards are timed.</summary>
    [Test]
    public async Task Load_SmallRounds_MeasuresWithinThem()
    {
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { PrefillChunk = 16, MaxTreeNodes = 8, MaxSequences = 8 });
        Assert.That((await engine.CompleteAsync("Once upon", Greedy)).Ids, Has.Count.EqualTo(24));
    }

    /// <summary>The text of a request is that of an engine that was not warmed up, drafters that remember included, and what was learnt from
    /// made-up texts is no merit of anybody.</summary>
    [Test]
    public async Task WarmUpAsync_ThenARequest_WritesTheSameTextAndEveryDrafterWasAsked()
    {
        using var cold = InferenceEngine.Load(_folder.Path, Options());
        var expected = await cold.CompleteAsync("Once upon", Greedy);
        var asked = 0;
        var drafter = new CallbackDrafter { OnPropose = () => asked++ };
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { Drafters = [drafter] });

        await engine.WarmUpAsync();

        Assert.That(asked, Is.Positive);
        Assert.That((await engine.CompleteAsync("Once upon", Greedy)).Ids, Is.EqualTo(expected.Ids));
    }

    [Test]
    public async Task WarmUpAsync_Cancelled_EndsAndTheEngineServes()
    {
        using var cancellation = new CancellationTokenSource();
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { Drafters = [new CallbackDrafter { OnPropose = cancellation.Cancel }] });
        Assert.That(async () => await engine.WarmUpAsync(cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That((await engine.CompleteAsync("Once upon", Greedy)).Ids, Has.Count.EqualTo(24));
    }

    [Test]
    public async Task WarmUpAsync_ADrafterThatThrows_SaysSoAtTheStartRatherThanInARequest()
    {
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { Drafters = [new CallbackDrafter { OnPropose = () => throw new FormatException("mine") }] });
        Assert.That(async () => await engine.WarmUpAsync(), Throws.TypeOf<FormatException>());
        await Task.CompletedTask;
    }

    /// <summary>A text that the warm-up draws meets a token of which the weights are no numbers: no reason not to serve the others.</summary>
    [Test]
    public async Task WarmUpAsync_WeightsThatAreNoNumbers_AreLeftToTheRequestsThatMeetThem()
    {
        using var folder = new TestFolder();
        using var engine = InferenceEngine.Load(folder.Path, Options());
        Assert.That(async () => await engine.CompleteAsync(new[] { 1, TestFolder.PoisonedToken }, Greedy), Throws.TypeOf<NonFiniteLogitsException>());
        await engine.WarmUpAsync();
        Assert.That((await engine.CompleteAsync("Once upon", Greedy)).Ids, Has.Count.EqualTo(24));
    }

    [Test]
    public async Task WarmUpAsync_AContextOfAFewTokens_IsEnough()
    {
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { MaxContext = 6 });
        await engine.WarmUpAsync();
        Assert.That((await engine.CompleteAsync(new[] { 1, 2 }, Greedy)).Ids, Has.Count.EqualTo(4));
    }

    /// <summary>One text at a time and nobody who waits: the next may come as soon as the last piece of the one before is there.</summary>
    [Test]
    public async Task WarmUpAsync_WhereNobodyMayWait_WritesOneTextAfterAnother()
    {
        var asked = 0;
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { MaxSequences = 1, MaxWaiting = 0, Drafters = [new CallbackDrafter { OnPropose = () => asked++ }] });
        await engine.WarmUpAsync();
        Assert.That(asked, Is.Positive);
    }

    [Test]
    public async Task WarmUpAsync_OfAnEngineThatIsBusy_EndsAtOnce()
    {
        using var gate = new ManualResetEventSlim();
        using var inRound = new ManualResetEventSlim();
        using var engine = InferenceEngine.Load(_folder.Path, Options() with { MaxSequences = 1, MaxWaiting = 0 });
        var held = new CallbackDrafter
        {
            OnPropose = () =>
            {
                inRound.Set();
                gate.Wait();
            },
        };
        var served = engine.CompleteAsync("Once upon", Greedy with { Speculation = held.Alone });
        inRound.Wait();
        await engine.WarmUpAsync();
        gate.Set();
        Assert.That((await served).Ids, Has.Count.EqualTo(24));
    }

    private static EngineOptions Options() => new() { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }) };

    private sealed class Watcher(Action<LoadProgress>? also = null) : IProgress<LoadProgress>
    {
        public List<LoadProgress> All { get; } = [];

        public void Report(LoadProgress value)
        {
            All.Add(value);
            also?.Invoke(value);
        }
    }
}
