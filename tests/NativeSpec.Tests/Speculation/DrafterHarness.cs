using System.Runtime.InteropServices;
using System.Text;
using NativeSpec.Speculation;
using NativeSpec.Tests.Speculation.Verification;

namespace NativeSpec.Tests.Speculation;

/// <summary>Drives a drafter against a scripted target, as the engine would with every candidate computed and greedy sampling, and
/// checks its manners: nothing outside the vocabulary, the budgets or the depth.</summary>
internal sealed record DrafterHarness
{
    public int Budget { get; init; } = 32;

    public int ProbeBudget { get; init; }

    public int MaxDepth { get; init; } = 64;

    public int Capacity { get; init; } = 256;

    /// <summary>True: the tree takes whatever it is given and the harness checks it. False: the tree refuses, as in the engine.</summary>
    public bool ChecksManners { get; init; } = true;

    /// <summary>What is computed, by round and node; the root always is.</summary>
    public Func<int, int, bool> Computes { get; init; } = (_, _) => true;

    /// <summary>Sees each round's tree after the drafter has added to it.</summary>
    public Action<DraftTree> Sees { get; init; } = _ => { };

    public Result Run(IDrafterSource source, ScriptedTarget target, int[] prompt, int newTokens)
    {
        using var drafter = source.Start(prompt);
        var run = new State(this, target, prompt);
        run.Round(drafter, proposes: false, newTokens);
        while (run.Result.Output.Count < newTokens)
        {
            run.Round(drafter, proposes: true, newTokens);
        }

        return run.Result;
    }

    /// <summary>What a run did. Rounds leave out the prompt's.</summary>
    internal sealed class Result
    {
        public List<int> Output { get; } = [];

        public List<string> Trees { get; } = [];

        public List<long> AllocatedBytes { get; } = [];

        public int Rounds => Trees.Count;

        public int Drafted { get; set; }

        public int Probes { get; set; }

        public int Accepted { get; set; }

        public double TokensPerRound => 1 + ((double)Accepted / Rounds);
    }

    private sealed class State
    {
        private readonly DrafterHarness _harness;
        private readonly ScriptedTarget _target;
        private readonly DraftContext _context = new();
        private readonly DraftTree _tree;
        private readonly Outcome _outcome;

        public State(DrafterHarness harness, ScriptedTarget target, int[] prompt)
        {
            (_harness, _target) = (harness, target);
            _context.Append(prompt);
            _tree = new DraftTree(harness.Capacity, harness.ChecksManners ? int.MaxValue : target.VocabSize);
            _outcome = new Outcome(_tree, harness.Capacity, target.VocabSize);
        }

        public Result Result { get; } = new();

        public void Round(IDrafter drafter, bool proposes, int newTokens)
        {
            _context.MaxDepth = Math.Min(_harness.MaxDepth, newTokens - Result.Output.Count - 1);
            _context.Budget = _harness.Budget;
            _context.ProbeBudget = _harness.ProbeBudget;
            _tree.Reset(_context.Text[^1], _harness.ChecksManners ? int.MaxValue : _context.MaxDepth);
            var before = GC.GetAllocatedBytesForCurrentThread();
            if (proposes)
            {
                drafter.Propose(_context, _tree);
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            CheckManners();
            Compute();
            Walk();
            before = GC.GetAllocatedBytesForCurrentThread();
            drafter.Observe(_outcome);
            allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            if (proposes)
            {
                Record(allocated);
                _harness.Sees(_tree);
            }

            Result.Output.AddRange(_outcome.Emitted);
            _context.Append(_outcome.Emitted);
        }

        private void CheckManners()
        {
            var probes = 0;
            for (var node = 1; node < _tree.Count; node++)
            {
                probes += _tree.IsProbe(node) ? 1 : 0;
                Assert.That(_tree.Token(node), Is.InRange(0, _target.VocabSize - 1));
                Assert.That(_tree.Depth(node), Is.LessThanOrEqualTo(_context.MaxDepth));
            }

            if (_harness.ChecksManners)
            {
                Assert.That(probes, Is.LessThanOrEqualTo(_context.ProbeBudget));
                Assert.That(_tree.Count - 1 - probes, Is.LessThanOrEqualTo(_context.Budget));
            }
        }

        private void Compute()
        {
            for (var node = 0; node < _tree.Count; node++)
            {
                var isComputed = node == 0 || (_outcome.Computed[_tree.Parent(node)] && _harness.Computes(Result.Rounds, node));
                _outcome.Computed[node] = isComputed;
                _target.Logits(TextTo(node), _outcome.Rows[node]);
            }
        }

        private int[] TextTo(int node)
        {
            var path = new List<int>();
            for (; node > 0; node = _tree.Parent(node))
            {
                path.Insert(0, _tree.Token(node));
            }

            return [.. _context.Text, .. path];
        }

        private void Walk()
        {
            _outcome.Path.Clear();
            _outcome.Tokens.Clear();
            for (var node = 0; node >= 0 && _outcome.Computed[node];)
            {
                var next = _target.Next(TextTo(node));
                _outcome.Path.Add(node);
                _outcome.Tokens.Add(next);
                node = _tree.FindChild(node, next);
            }
        }

        private void Record(long allocated)
        {
            var text = new StringBuilder();
            for (var node = 1; node < _tree.Count; node++)
            {
                text.Append(_tree.Parent(node)).Append(_tree.IsProbe(node) ? '?' : '>').Append(_tree.Token(node)).Append(' ');
                Result.Probes += _tree.IsProbe(node) ? 1 : 0;
                Result.Drafted += _tree.IsProbe(node) ? 0 : 1;
            }

            Result.Trees.Add(text.ToString());
            Result.Accepted += _outcome.Path.Count - 1;
            Result.AllocatedBytes.Add(allocated);
        }
    }

    private sealed class Outcome(DraftTree tree, int capacity, int vocabSize) : RoundOutcome
    {
        public List<int> Path { get; } = [];

        public List<int> Tokens { get; } = [];

        public bool[] Computed { get; } = new bool[capacity];

        public float[][] Rows { get; } = [.. Enumerable.Range(0, capacity).Select(_ => new float[vocabSize])];

        public override DraftTree Tree => tree;

        public override ReadOnlySpan<int> Emitted => CollectionsMarshal.AsSpan(Tokens);

        public override ReadOnlySpan<int> AcceptedPath => CollectionsMarshal.AsSpan(Path);

        public override bool WasComputed(int node) => Computed[node];

        public override ReadOnlySpan<float> Logits(int node)
            => Computed[node] ? Rows[node] : throw new InvalidOperationException($"node {node} was not computed");

        public override ReadOnlySpan<float> Hidden(int node)
            => throw new InvalidOperationException("a scripted target has no hidden states");
    }
}
