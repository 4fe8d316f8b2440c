using System.Text;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Rounds;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation;

/// <summary>Drives a drafter by production rounds against a scripted target, with every candidate computed and greedy sampling, and
/// checks its manners: nothing outside the vocabulary, the budgets or the depth.</summary>
internal sealed record DrafterHarness
{
    private const int MostNodes = 256;

    public int Budget { get; init; } = 32;

    public int ProbeBudget { get; init; }

    public int MaxDepth { get; init; } = 64;

    public int Capacity { get; init; } = 256;

    /// <summary>True: the drafter is given a tree that takes whatever it adds, and what it added is checked. False: one that refuses, as in the
    /// engine.</summary>
    public bool ChecksManners { get; init; } = true;

    /// <summary>What the drafter is told was computed, by round and node; what was accepted always is.</summary>
    public Func<int, int, bool> Computes { get; init; } = (_, _) => true;

    /// <summary>Sees each round's tree after the drafter has added to it.</summary>
    public Action<DraftTree> Sees { get; init; } = _ => { };

    public Result Run(IDrafterSource source, ScriptedTarget target, int[] prompt, int newTokens)
    {
        var watch = new Watch(this, source, target.VocabSize);
        var core = new SpeculationCore([watch], new CostCurve([1], [1e-3]), target.VocabSize, MostNodes + 1);
        using var rounds = new ScriptedRounds(target.Logits, core);
        using var sequence = rounds.Start(prompt, new GenerationOptions
        {
            Temperature = 0,
            MaxTokens = newTokens,
            Speculation = new SpeculationOptions { MaxNodes = MostNodes, Unplanned = true },
        });
        rounds.RunToTheEnd();
        if (sequence.Sequence.Error is { } error)
        {
            throw error;
        }

        var stats = sequence.Sequence.Drafting.Stats.ToStats();
        return watch.Result with { Output = sequence.Output, Rounds = stats.Rounds, Accepted = stats.Accepted };
    }

    /// <summary>What a run did. Rounds leave out the prompt's.</summary>
    internal sealed record Result
    {
        public List<int> Output { get; init; } = [];

        public List<string> Trees { get; } = [];

        public List<long> AllocatedBytes { get; } = [];

        public int Rounds { get; init; }

        public int Drafted { get; set; }

        public int Probes { get; set; }

        public int Accepted { get; init; }

        public double TokensPerRound => 1 + ((double)Accepted / Rounds);
    }

    /// <summary>The drafter under test, between it and the engine: what it adds to a tree of the harness is added to the engine's.</summary>
    private sealed class Watch(DrafterHarness harness, IDrafterSource source, int vocabSize) : IDrafterSource
    {
        public string Name => "watched";

        public Result Result { get; } = new();

        public IDrafter Start(ReadOnlyMemory<int> prompt) => new Session(this, harness, source.Start(prompt), vocabSize);

        public void Dispose()
        {
        }
    }

    private sealed class Session(Watch watch, DrafterHarness harness, IDrafter drafter, int vocabSize) : IDrafter
    {
        private DraftTree? _tree;
        private int _round;

        public void Propose(DraftContext context, DraftTree tree)
        {
            var depth = Math.Min(harness.MaxDepth, context.MaxDepth);
            _tree = harness.ChecksManners
                ? new DraftTree(harness.Capacity, int.MaxValue, context.Text[^1], int.MaxValue)
                : new DraftTree(harness.Capacity, vocabSize, context.Text[^1], depth);
            var asked = new DraftContext(context.Text, harness.Budget, depth, harness.ProbeBudget);
            var before = GC.GetAllocatedBytesForCurrentThread();
            drafter.Propose(asked, _tree);
            watch.Result.AllocatedBytes.Add(GC.GetAllocatedBytesForCurrentThread() - before);
            CheckManners(depth);
            Record();
            for (var node = 1; node < _tree.Count; node++)
            {
                var added = Copy(tree, node);
                Assert.That(added, Is.EqualTo(node), "the engine's tree takes what a tree of the same rules took");
            }
        }

        public void Observe(RoundOutcome outcome)
        {
            var seen = new Seen(outcome, _tree ?? outcome.Tree, node => harness.Computes(_round - 1, node));
            var before = GC.GetAllocatedBytesForCurrentThread();
            drafter.Observe(seen);
            if (_tree is not null)
            {
                watch.Result.AllocatedBytes[^1] += GC.GetAllocatedBytesForCurrentThread() - before;
                harness.Sees(_tree);
            }
        }

        public void Dispose() => drafter.Dispose();

        private int Copy(DraftTree tree, int node)
        {
            if (_tree!.IsProbe(node))
            {
                return tree.AddProbe(_tree.Parent(node), _tree.Token(node));
            }

            ref readonly var proposal = ref _tree.ProposalAt(_tree.FirstProposal(node));
            return tree.Add(_tree.Parent(node), _tree.Token(node), proposal.Rank, proposal.Confidence);
        }

        private void CheckManners(int maxDepth)
        {
            var probes = 0;
            for (var node = 1; node < _tree!.Count; node++)
            {
                probes += _tree.IsProbe(node) ? 1 : 0;
                Assert.That(_tree.Token(node), Is.InRange(0, vocabSize - 1));
                Assert.That(_tree.Depth(node), Is.LessThanOrEqualTo(maxDepth));
            }

            if (harness.ChecksManners)
            {
                Assert.That(probes, Is.LessThanOrEqualTo(harness.ProbeBudget));
                Assert.That(_tree.Count - 1 - probes, Is.LessThanOrEqualTo(harness.Budget));
            }
        }

        private void Record()
        {
            var text = new StringBuilder();
            for (var node = 1; node < _tree!.Count; node++)
            {
                text.Append(_tree.Parent(node)).Append(_tree.IsProbe(node) ? '?' : '>').Append(_tree.Token(node)).Append(' ');
                watch.Result.Probes += _tree.IsProbe(node) ? 1 : 0;
                watch.Result.Drafted += _tree.IsProbe(node) ? 0 : 1;
            }

            watch.Result.Trees.Add(text.ToString());
            _round++;
        }
    }

    /// <summary>What became of a round, with some of its nodes left out.</summary>
    private sealed class Seen(RoundOutcome outcome, DraftTree tree, Func<int, bool> computes) : RoundOutcome
    {
        public override DraftTree Tree => tree;

        public override ReadOnlySpan<int> Emitted => outcome.Emitted;

        public override ReadOnlySpan<int> AcceptedPath => outcome.AcceptedPath;

        public override bool WasComputed(int node) => outcome.WasComputed(node) && (computes(node) || AcceptedPath.Contains(node));

        public override ReadOnlySpan<float> Logits(int node)
            => WasComputed(node) ? outcome.Logits(node) : throw new InvalidOperationException($"node {node} was not computed");

        public override ReadOnlySpan<float> Hidden(int node) => outcome.Hidden(node);
    }
}
