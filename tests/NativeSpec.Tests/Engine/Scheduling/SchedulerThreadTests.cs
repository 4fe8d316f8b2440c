using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Lookahead;
using NativeSpec.Speculation.PromptLookup;

namespace NativeSpec.Tests.Engine.Scheduling;

/// <summary>What users' drafters find on the scheduler's thread, and what they may do there.</summary>
public sealed class SchedulerThreadTests : FolderFixture
{
    [Test]
    public async Task Dispose_FromADraftersCall_IsRefusedAndTheEngineServesOn()
    {
        using var engine = Open(new EngineOptions());
        var drafter = new CallbackDrafter { OnPropose = engine.Dispose };
        var error = Assert.ThrowsAsync<InvalidOperationException>(() => engine.CompleteAsync("hello", Sampled with { Speculation = drafter.Alone }));
        Assert.That(error.Message, Does.Contain("dispose it from another thread"));
        Assert.That((await engine.CompleteAsync("hello", Sampled)).Ids, Has.Count.EqualTo(40));
    }

    [Test]
    public async Task Load_InsideAnAsyncContext_DoesNotKeepItForTheRequests()
    {
        var ambient = new AsyncLocal<string> { Value = "the loader's" };
        using var engine = Open(new EngineOptions());
        string? seen = "not asked";
        var drafter = new CallbackDrafter { OnPropose = () => seen = ambient.Value };
        await engine.CompleteAsync("hello", Sampled with { Speculation = drafter.Alone });
        Assert.That(seen, Is.Null);
    }

    /// <summary>What drafters do on the scheduler's thread keeps the neighbours waiting: no call may read more than a round computes.</summary>
    [Test]
    public async Task Drafters_ALongPrompt_ReadItInPieces()
    {
        const int chunk = 32;
        using var lookup = new ReadingMeter(new PromptLookupDrafter(), drafter => ((PromptLookupSession)drafter).TokensRead);
        using var lookahead = new ReadingMeter(new LookaheadDrafter(), drafter => ((LookaheadSession)drafter).TokensRead);
        using var engine = Open(new EngineOptions { PrefillChunk = chunk, Drafters = [] });
        int[] prompt = [.. Enumerable.Range(0, 420).Select(i => i * i % 97)];
        await engine.CompleteAsync(prompt, Sampled with { Speculation = new() { Sources = [lookup, lookahead], Unplanned = true } });

        foreach (var meter in new[] { lookup, lookahead })
        {
            Assert.That(meter.ReadBeforeProposing, Is.EqualTo(prompt.Length));
            Assert.That(meter.MostInACall, Is.EqualTo(chunk));
        }
    }

    /// <summary>Counts what a drafter reads in each of its calls.</summary>
    private sealed class ReadingMeter(IDrafterSource inner, Func<IDrafter, int> tokensRead) : IDrafterSource, IDrafter
    {
        private IDrafter? _drafter;
        private int _read;

        public string Name => inner.Name;

        public int MostInACall { get; private set; }

        public int ReadBeforeProposing { get; private set; } = -1;

        public IDrafter Start(ReadOnlyMemory<int> prompt)
        {
            _drafter = inner.Start(prompt);
            Measure();
            return this;
        }

        public void ReadPrompt(ReadOnlySpan<int> prompt)
        {
            _drafter!.ReadPrompt(prompt);
            Measure();
        }

        public void Propose(DraftContext context, DraftTree tree)
        {
            ReadBeforeProposing = ReadBeforeProposing < 0 ? _read : ReadBeforeProposing;
            _drafter!.Propose(context, tree);
            Measure();
        }

        public void Observe(RoundOutcome outcome)
        {
            _drafter!.Observe(outcome);
            Measure();
        }

        public void Dispose() => inner.Dispose();

        private void Measure()
        {
            var read = tokensRead(_drafter!);
            MostInACall = Math.Max(MostInACall, read - _read);
            _read = read;
        }
    }
}
