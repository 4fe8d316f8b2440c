using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Planning;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Rounds;

/// <summary>What a round does in which order, and from which rounds is learnt.</summary>
public sealed class RoundTests
{
    private const int Vocab = 40;
    private const double One = 0.01;

    private static readonly ScriptedTarget Target = ScriptedTarget.Markov(Vocab, order: 2);

    private static readonly GenerationOptions Greedy = new() { Temperature = 0, MaxTokens = 60, Speculation = new() { Unplanned = true, MaxNodes = 8 } };

    [Test]
    public void Run_DraftersOfEveryKind_AreAskedInTheirOrderAndTogetherOnce()
    {
        List<string> calls = [];
        IDrafterSource[] drafters =
        [
            new Batched("samples", DraftKind.Sampled, calls), new Batched("computes", DraftKind.Computed, calls),
            new Logged("reads", calls), new Logged("reads-too", calls),
        ];
        using var rounds = new ScriptedRounds(Target.Logits, new SpeculationCore(drafters, Cost(), Vocab, 16), maxSequences: 3);
        for (var i = 0; i < 3; i++)
        {
            rounds.Start([i], Greedy with { Speculation = Greedy.Speculation with { SampleDrafts = true } });
        }

        rounds.Run();
        rounds.Run();

        Assert.That(calls, Is.EqualTo(new[] { "reads", "reads-too", "reads", "reads-too", "reads", "reads-too", "computes 3", "samples 3" }));
    }

    /// <summary>A draft's reading takes the rows of prompts, and candidates wait for its end; the text does not.</summary>
    [Test]
    public void Run_ADrafterThatOwesText_ReadsInPiecesWhileTheTextGoesOn()
    {
        var drafter = new Batched("computes", DraftKind.Computed, []) { Owes = 100 };
        using var rounds = new ScriptedRounds(Target.Logits, new SpeculationCore([drafter], Free(), Vocab, 16, new SimulatedClock()), maxSequences: 2, prefillChunk: 16);
        var sequence = rounds.Start([1, 2], Greedy);
        rounds.Run();
        var written = sequence.Output.Count;
        while (drafter.Owes > 0)
        {
            rounds.Run();
            Assert.That(sequence.Output, Has.Count.EqualTo(++written), "a token in every round");
        }

        Assert.That(drafter.Reads, Is.EqualTo(new[] { 16, 16, 16, 16, 16, 16, 4 }));
        drafter.Owes = 100;
        drafter.Reads.Clear();
        rounds.Start(new int[50], Greedy);
        var rows = 0;
        rounds.BeforeForward = (count, _) => rows = count;
        rounds.Run();
        Assert.That(drafter.Reads, Is.EqualTo(new[] { 8 }), "a prompt has its half");
        Assert.That(rows, Is.EqualTo(1 + 8));
    }

    /// <summary>Candidates that could not pay are no reason to read for; then prompts have all of their rows, and rounds teach as always.</summary>
    [Test]
    public void Run_ADrafterThatOwesTextAndDoesNotRead_TakesNothingFromOthers()
    {
        var drafter = new Batched("computes", DraftKind.Computed, []) { Owes = 100, Declines = true };
        var (clock, rows) = (new SimulatedClock(), 0);
        var core = new SpeculationCore([drafter], Free(), Vocab, 16, clock);
        using var rounds = new ScriptedRounds(Target.Logits, core, maxSequences: 2, prefillChunk: 16);
        rounds.BeforeForward = (count, _) =>
        {
            rows = count;
            clock.Pass(1e-3);
        };
        rounds.Start([1, 2], Greedy);
        rounds.Run();
        rounds.Run();
        Assert.That(core.TokensPerSecond, Is.Positive);
        rounds.Start(new int[50], Greedy);
        rounds.Run();
        Assert.That(rows, Is.EqualTo(16), "a chunk, the text's row among them");
    }

    [Test]
    public void Run_CancelledWhileADrafterReads_CommitsNothingAndGoesOn()
    {
        using var cancellation = new CancellationTokenSource();
        var drafter = new Batched("computes", DraftKind.Computed, []) { Owes = 100, OnRead = cancellation.Cancel };
        using var rounds = new ScriptedRounds(Target.Logits, new SpeculationCore([drafter], Cost(), Vocab, 16));
        var sequence = rounds.Start([1, 2], Greedy);
        rounds.Run();
        var length = sequence.Sequence.Kv!.Length;
        Assert.That(() => rounds.Run(cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That((sequence.Sequence.Kv!.Length, sequence.Sequence.Error), Is.EqualTo((length, (Exception?)null)));
        rounds.RunToTheEnd();
        Assert.That(sequence.Output, Is.EqualTo(Plain([1, 2], 60)));
    }

    /// <summary>A device chooses the tokens of all nodes before it is known where the walk goes; what penalties look at there is the node's own
    /// path.</summary>
    [Test]
    public void Run_WhereTokensAreChosenAhead_WritesTheSameText([Values(0f, 1f)] float temperature)
    {
        var options = Greedy with { Temperature = temperature, RepetitionPenalty = 1.5f, PresencePenalty = 0.5f, FrequencyPenalty = 0.3f, MaxTokens = 80 };
        var texts = new[] { false, true }.Select(ahead =>
        {
            var core = new SpeculationCore([new MyDrafters.BigramDrafter(), new AlwaysWrongDrafter([], Vocab)], Cost(), Vocab, 16);
            using var rounds = new ScriptedRounds((text, logits) => Target.Logits(text, logits), core) { ChoosesAhead = ahead };
            var sequence = rounds.Start([3, 4], options);
            rounds.RunToTheEnd();
            Assert.That(sequence.Result!.Speculation.Accepted, Is.Positive);
            return sequence.Output;
        }).ToArray();
        Assert.That(texts[1], Is.EqualTo(texts[0]));
    }

    /// <summary>What a device walks to by itself is where the text goes: not to probes, nor where children were drawn or typical acceptance decides. A path that leaves what was walked is refused.</summary>
    [TestCase(0f, false, false)]
    [TestCase(1f, false, false)]
    [TestCase(1f, true, false)]
    [TestCase(0f, false, true)]
    [TestCase(1f, true, true)]
    public void Run_WhereTreesAreWalkedAhead_TheTextsGoThere(float temperature, bool draws, bool typical)
    {
        IDrafterSource[] drafters = [new MyDrafters.BigramDrafter(), new Prober("probes"), draws ? new UniformDraws(Vocab) : new GarbageDrafter(Vocab)];
        using var rounds = new ScriptedRounds(Target.Logits, new SpeculationCore(drafters, Cost(), Vocab, 24), maxSequences: 3) { ChoosesAhead = true };
        var sequences = Enumerable.Range(0, 3).Select(i => rounds.Start([i, 4], Greedy with
        {
            Temperature = temperature,
            Seed = (ulong)i,
            MaxTokens = 150,
            Speculation = new() { Unplanned = true, MaxNodes = 24, SampleDrafts = draws, LossyTypicalAcceptance = typical ? new() : null },
        })).ToArray();
        rounds.RunToTheEnd();

        Assert.That(sequences.Select(sequence => sequence.Sequence.Error), Is.All.Null);
        Assert.That(rounds.WalkedAhead, typical ? Is.Zero : Is.Positive);
    }

    /// <summary>Probes below candidates, from several drafters of several sequences: what is computed in any case stays within the round.</summary>
    [Test]
    public void Run_DraftersThatProbeBelowCandidates_StayWithinTheRound()
    {
        IDrafterSource[] drafters = [new Prober("a"), new Prober("b"), new GarbageDrafter(Vocab)];
        using var rounds = new ScriptedRounds(Target.Logits, new SpeculationCore(drafters, Cost(), Vocab, 10), maxSequences: 4, prefillChunk: 16);
        var most = 0;
        var sequences = Enumerable.Range(0, 4).Select(i => rounds.Start([i, 5], Greedy)).ToArray();
        while (sequences.Any(sequence => sequence.Output.Count == 0))
        {
            rounds.Run(); // prompts have rows of their own beside the nodes
        }

        rounds.BeforeForward = (rows, _) => most = Math.Max(most, rows);
        rounds.RunToTheEnd();
        for (var i = 0; i < 4; i++)
        {
            Assert.That(sequences[i].Output, Is.EqualTo(Plain([i, 5], 60)));
            Assert.That(sequences[i].Result!.Speculation.Probes, Is.Positive);
        }

        Assert.That(most, Is.LessThanOrEqualTo(10), "all sequences together");
    }

    /// <summary>Of two that propose the same the cheaper one is paid, whichever is asked first.</summary>
    [Test]
    public void Learn_ADrafterThatRepeatsACheaperOne_RestsThoughItIsAskedFirst([Values] bool costlyFirst)
    {
        var clock = new SimulatedClock();
        var (costly, cheap) = (new SimulatedDrafter(clock, 0.5 * One, 0.8f, "costly"), new SimulatedDrafter(clock, 0.01 * One, 0.8f, "cheap"));
        using var rounds = new SimulatedRounds(clock, costlyFirst ? [costly, cheap] : [cheap, costly], One, 0.05 * One);
        var text = rounds.Write(7, 1200).Text;
        (costly.Knows, cheap.Knows) = (text, text);
        rounds.Write(7, 1200); // until agreement says nothing new
        var (askedBefore, cheapBefore) = (costly.Asked, cheap.Asked);
        rounds.Write(7, 1200);
        Assert.That(cheap.Asked - cheapBefore, Is.GreaterThan(150), "about every round of five tokens");
        Assert.That(costly.Asked - askedBefore, Is.LessThan((cheap.Asked - cheapBefore) / 4));
    }

    /// <summary>The curve and the rate are those of rounds that decode: a prompt's rows, or a draft's reading, would spoil both.</summary>
    [Test]
    public void Run_ARoundThatHoldsAPrompt_TeachesNeitherCostNorRate([Values] bool reading)
    {
        var clock = new SimulatedClock();
        var drafter = new Batched("computes", DraftKind.Computed, []);
        var core = new SpeculationCore([drafter], new CostCurve([1, 2, 4], [One, One, One]), Vocab, 16, clock);
        using var rounds = new ScriptedRounds(Target.Logits, core, maxSequences: 2, prefillChunk: 8);
        rounds.BeforeForward = (_, _) => clock.Pass(One);
        rounds.Start([1], Greedy);
        rounds.Run();
        rounds.Run();
        var (cost, rate) = (core.Cost.At(1, 4), core.TokensPerSecond);
        Assert.That(rate, Is.EqualTo(1 / One).Within(1e-6));
        rounds.BeforeForward = (_, _) => clock.Pass(3 * One);
        if (reading)
        {
            drafter.Owes = 8;
        }
        else
        {
            rounds.Start(new int[7], Greedy);
        }

        rounds.Run();
        Assert.That((core.Cost.At(1, 4), core.TokensPerSecond), Is.EqualTo((cost, rate)));
        rounds.Run();
        Assert.That(core.Cost.At(1, 4), Is.GreaterThan(cost));
        Assert.That(core.TokensPerSecond, Is.Not.EqualTo(rate));
    }

    [Test]
    public void ObserveRound_ADisturbedOne_CountsAsASlowOne()
    {
        var core = new SpeculationCore([], Cost(), Vocab, 16);
        for (var i = 0; i < 50; i++)
        {
            core.ObserveRound(1, 10, One, One, tokens: 1);
        }

        core.ObserveRound(1, 10, 1000 * One, 1000 * One, tokens: 1);
        Assert.That(core.TokensPerSecond * One, Is.InRange(0.75, 0.95), "as if it had taken four times as long");
    }

    /// <summary>A round may end where it does because of what was drawn below that place; so the next one draws other numbers. Those of a
    /// position, the control, come again.</summary>
    [Test]
    public void Draft_TheSamePlaceInTwoRounds_DrawsOtherNumbers([Values] bool byPosition)
    {
        const int Many = 1000;
        var drafter = new UniformDraws(Many) { ByPosition = byPosition };
        using var rounds = new ScriptedRounds(Peaked, new SpeculationCore([drafter], Cost(), Many, 16));
        rounds.Start([1], new GenerationOptions { Temperature = 1, MaxTokens = 20, Speculation = new() { Unplanned = true, SampleDrafts = true } });
        rounds.RunToTheEnd();
        Assert.That(drafter.Drawn.Where(draw => drafter.Drawn.Count(other => other.Position == draw.Position) > 1), Is.Not.Empty, "places that were drafted for twice");
        var repeats = drafter.Drawn.GroupBy(draw => draw.Position).Any(draws => draws.DistinctBy(draw => draw.Token).Count() < draws.Count());
        Assert.That(repeats, Is.EqualTo(byPosition));
    }

    private static void Peaked(ReadOnlySpan<int> text, Span<float> logits)
    {
        logits.Clear();
        logits[0] = 20;
    }

    private static CostCurve Cost() => new([1], [1e-3]);

    /// <summary>Further rows cost nothing, so that no time bounds them.</summary>
    private static CostCurve Free() => new([1, 2], [1e-3, 1e-3]);

    private static List<int> Plain(int[] prompt, int count)
    {
        List<int> text = [.. prompt];
        while (text.Count < prompt.Length + count)
        {
            text.Add(Target.Next(text.ToArray()));
        }

        return text[prompt.Length..];
    }

    private sealed class Logged(string name, List<string> calls) : StatelessDrafter(name)
    {
        public override void Propose(DraftContext context, DraftTree tree) => calls.Add(Name);
    }

    /// <summary>Asked for all sequences at once; owes as many rows as it is told.</summary>
    private sealed class Batched(string name, DraftKind kind, List<string> calls) : BatchDrafterSource
    {
        public override string Name => name;

        public override DraftKind Kind => kind;

        public int Owes { get; set; }

        /// <summary>Whether it does not read what it owes.</summary>
        public bool Declines { get; init; }

        public List<int> Reads { get; } = [];

        public Action OnRead { get; init; } = () => { };

        public override IDrafter Start(ReadOnlyMemory<int> prompt) => new Nothing();

        public override void Propose(DraftBatch batch, CancellationToken cancellationToken)
        {
            Assert.That(Owes, Is.Zero);
            calls.Add($"{name} {batch.Count}");
        }

        public override int Owed(in DraftItem item) => Owes;

        public override void Read(DraftBatch batch, int rows, CancellationToken cancellationToken)
        {
            OnRead();
            cancellationToken.ThrowIfCancellationRequested();
            Reads.Add(rows);
            if (!Declines)
            {
                batch.CountRows(0, rows);
                Owes -= rows;
            }
        }

        private sealed class Nothing() : StatelessDrafter("nothing")
        {
            public override void Propose(DraftContext context, DraftTree tree) => Assert.Fail("it is asked together with others");
        }
    }

    private sealed class Prober(string name) : StatelessDrafter(name)
    {
        public override void Propose(DraftContext context, DraftTree tree)
        {
            for (var token = 0; token < Vocab; token++)
            {
                var node = tree.Add(0, token, 0, 0.01f);
                node = tree.Add(node, token, 0, 0.01f);
                tree.AddProbe(node, token);
            }
        }
    }

    /// <summary>Draws a chain of tokens that are all equally likely.</summary>
    private sealed class UniformDraws(int vocab) : StatelessDrafter("uniform"), IDrafterSource
    {
        private readonly TokenDistribution _even = Even(vocab);

        public bool ByPosition { get; init; }

        public DraftKind Kind => DraftKind.Sampled;

        public List<(int Position, int Token)> Drawn { get; } = [];

        public override void Propose(DraftContext context, DraftTree tree)
        {
            for (var (node, depth) = (0, 0); depth < Math.Min(4, context.MaxDepth); depth++)
            {
                if (ByPosition)
                {
                    context.DraftChance.MoveTo(context.Text.Length + depth);
                }

                if (tree.Sample(node, _even) is not { } children)
                {
                    return; // others have left no room
                }

                node = children.Draw(context.DraftChance);
                Drawn.Add((context.Text.Length + depth, tree.Token(node)));
            }
        }

        private static TokenDistribution Even(int vocab)
        {
            var even = new TokenDistribution(vocab);
            even.Weights.Fill(1);
            even.Normalise(vocab, isWholeVocabulary: true);
            return even;
        }
    }
}
