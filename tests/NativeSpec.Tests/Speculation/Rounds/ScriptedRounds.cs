using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Engine.Rounds;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Tests.Speculation.Rounds;

/// <summary>[vocab] the logits after a text.</summary>
internal delegate void LogitsAfter(ReadOnlySpan<int> text, Span<float> logits);

/// <summary>Production rounds — drafting, plan, forest, walk, commit, learning — over a target that is a function of the text. The cache is a
/// real one of the smallest shape, so that commits are real.</summary>
internal sealed class ScriptedRounds : IDisposable
{
    private const int MaxContext = 8192;

    private readonly IBackend _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
    private readonly KvCache _cache;
    private readonly Chooser _chooser;
    private readonly SpeculationCore _core;
    private readonly Round _round;
    private readonly ScriptedRows _rows;
    private readonly int _prefillChunk;

    public ScriptedRounds(LogitsAfter logits, SpeculationCore core, int maxSequences = 1, int prefillChunk = 64)
    {
        (_core, _prefillChunk) = (core, prefillChunk);
        var most = prefillChunk + core.MaxNodes;
        var rows = maxSequences * (MaxContext + core.MaxNodes + RowBatch.PageSize) / RowBatch.PageSize * RowBatch.PageSize;
        _cache = new KvCache(_backend, new KvShape(Layers: 1, rows, Heads: 1, KvHeads: 1, HeadDim: 2), most);
        _chooser = new Chooser(core.VocabSize);
        _rows = new ScriptedRows(this, logits);
        _round = new Round(new ForwardLimits(most, maxSequences + core.MaxNodes, maxSequences, MaxContext), Forward, core, prefillChunk);
    }

    /// <summary>Sequences that are served.</summary>
    public List<TestSequence> Active { get; } = [];

    /// <summary>Whether every row's token is chosen before anything is walked, and trees are walked along before anybody asks, as a device does it.</summary>
    public bool ChoosesAhead { get; init; }

    /// <summary>Nodes below the root that were walked to ahead.</summary>
    public int WalkedAhead { get; private set; }

    /// <summary>Is told the rows of each forward before it is computed, and how many trees there are.</summary>
    public Action<int, CancellationToken> BeforeForward { get; set; } = (_, _) => { };

    /// <summary>Begins a request, as the scheduler does.</summary>
    public TestSequence Start(int[] prompt, GenerationOptions options)
    {
        var sequence = new TestSequence(_core, _chooser, prompt, options, _prefillChunk);
        sequence.Sequence.Admit(_cache.TryOpen(Math.Min(sequence.Sequence.Capacity, MaxContext)) ?? throw new InvalidOperationException("the cache is full"));
        Active.Add(sequence);
        return sequence;
    }

    /// <summary>Runs a round and lets those leave that have finished.</summary>
    public void Run(CancellationToken cancellationToken = default)
    {
        _round.Run([.. Active.Select(sequence => sequence.Sequence)], cancellationToken);
        foreach (var sequence in Active.ToArray())
        {
            sequence.Deliver();
            if (sequence.Sequence.IsFinished)
            {
                Active.Remove(sequence);
            }
        }
    }

    /// <summary>Runs rounds until all texts have ended.</summary>
    public void RunToTheEnd()
    {
        while (Active.Count > 0)
        {
            Run();
        }
    }

    public void Dispose()
    {
        Active.ForEach(sequence => sequence.Dispose());
        _cache.Dispose();
        _backend.Dispose();
    }

    private ScriptedRows Forward(Forest forest, CancellationToken cancellationToken)
    {
        BeforeForward(forest.RowCount, cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        _rows.Begin(forest);
        return _rows;
    }

    /// <summary>Answers for the rows of the last forest, from the texts that their nodes end.</summary>
    private sealed class ScriptedRows(ScriptedRounds rounds, LogitsAfter logits) : IForwardResult
    {
        private readonly List<int[]> _texts = []; // [row]
        private readonly List<(IRowChoices Choices, int Node)> _choices = [];
        private readonly List<int> _chosen = [];
        private readonly float[] _logits = new float[rounds._core.VocabSize];

        public void Begin(Forest forest)
        {
            _texts.Clear();
            _choices.Clear();
            foreach (ref readonly var entry in forest.Entries)
            {
                var (kv, tree) = (entry.Sequence, entry.Tree);
                var text = rounds.Active.Single(sequence => sequence.Sequence.Kv == kv).Sequence.Drafting.Text[..kv.Length].ToArray();
                for (var node = entry.FirstLogitNode; node < tree.Count; node++)
                {
                    List<int> path = [];
                    for (var at = node; at >= 0; at = tree.Parents[at])
                    {
                        path.Insert(0, tree.Tokens[at]);
                    }

                    _texts.Add([.. text, .. path]);
                    _choices.Add((entry.Choices!, node));
                }
            }

            _chosen.Clear();
            for (var row = 0; row < _texts.Count && rounds.ChoosesAhead; row++)
            {
                _chosen.Add(Describe(row));
            }

            foreach (ref readonly var entry in forest.Entries)
            {
                if (rounds.ChoosesAhead && entry.FirstLogitNode == 0)
                {
                    Walk(entry);
                }
            }
        }

        private void Walk(in Forest.Entry entry)
        {
            List<int> path = [0];
            for (var node = 1; node < entry.Tree.Count; node++)
            {
                if (entry.Tree.Parents[node] == path[^1] && entry.Tree.Tokens[node] == _chosen[entry.FirstLogitRow + path[^1]] && entry.Choices!.FollowsToken(node))
                {
                    path.Add(node);
                }
            }

            entry.Sequence.NoteWalk([.. path]);
            rounds.WalkedAhead += path.Count - 1;
        }

        public int Choose(int row) => rounds.ChoosesAhead ? _chosen[row] : Describe(row);

        private int Describe(int row)
        {
            var (choices, node) = _choices[row];
            return rounds._chooser.Choose(Logits(row), choices.Describe(node));
        }

        public ReadOnlySpan<float> Logits(int row)
        {
            logits(_texts[row], _logits);
            return _logits;
        }

        public int Top(int row, Span<int> into)
        {
            TopTokens.Select(Logits(row), into);
            var count = into.IndexOf(-1);
            return count < 0 ? into.Length : count;
        }

        public int Top(int row, Span<TokenLogProb> into) => throw new NotSupportedException("no test asks for log-probabilities");

        public float LogProb(int row, int token) => throw new NotSupportedException("no test asks for log-probabilities");

        public HiddenRow Hidden(int row) => throw new NotSupportedException("a scripted target has no hidden states");
    }
}
