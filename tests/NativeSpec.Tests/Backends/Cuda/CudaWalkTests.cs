using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>The walk on the device: where the host goes, and the cache afterwards as if the path had been computed as a chain.</summary>
public sealed class CudaWalkTests
{
    private const int Vocabulary = 300;

    private static readonly Chooser Chooser = new(Vocabulary);

    [SetUp]
    public void Require() => CudaEmulator.Require();

    [TearDown]
    public void NothingWentWrongUnseen()
    {
        if (CudaEmulator.IsEmulated)
        {
            CudaEmulator.Set("FAULTS", "0,0");
        }

        Assert.That(CudaEmulator.Problems(), Is.Empty);
    }

    /// <summary>Every third text is chosen and walked by the host, some end within the path, one round is computed twice.</summary>
    [Test]
    public void Forward_RandomForests_WalksWhereTheHostWalksAndMovesWhatItMoves([Values(1, 4, 8)] int texts, [Values(0f, 1f)] float temperature)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 2, TieWordEmbeddings = false }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var random = new Random(texts);
        var all = Enumerable.Range(0, texts).Select(i => new Text(run, Known.Write(run, temperature, i))).ToArray();
        var (forest, walked) = (new Forest(8), 0);
        for (var round = 0; round < 12; round++)
        {
            forest.Clear();
            Array.ForEach(all, text => text.AddTo(forest, random));
            var rows = run.Model.Forward(forest);
            if (round == 5)
            {
                rows = run.Model.Forward(forest); // as after a cancelled round: nothing was committed, what was moved lies behind the prefix
            }

            for (var i = 0; i < texts; i++)
            {
                walked += all[i].Finish(rows, forest.LogitRow(i, 0), random.Next(4) == 0);
            }
        }

        Assert.That(walked, Is.GreaterThan(texts * 3), "nodes that the device has moved");
    }

    [Test]
    public void Forward_AFullRound_IsOneUploadOneGraphOneDownloadOneWaitAndAllocatesNothing()
    {
        CudaEmulator.RequireEmulated();
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var trees = Enumerable.Range(0, 8).Select(i => ModelRun.RandomTree(new Random(i), 8, Vocabulary)).ToArray();
        var choices = Array.ConvertAll(trees, tree => new Choices(new SamplingRule(new SamplingOptions { Temperature = 0 }, 1, Vocabulary), tree, 0, null));
        var (sequences, forest) = (Array.ConvertAll(trees, _ => run.Open(100)), new Forest(8));
        Step();
        Step(); // the graph is recorded
        string[] names = ["uploads", "graph_launches", "downloads", "synchronizations", "launches", "allocations"];
        var before = Array.ConvertAll(names, CudaEmulator.Count);
        var (down, managed) = (CudaEmulator.Count("download_bytes"), GC.GetAllocatedBytesForCurrentThread());

        Step();

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - managed, Is.Zero);
        Assert.That(names.Zip(before, (name, count) => CudaEmulator.Count(name) - count), Is.EqualTo(new long[] { 1, 1, 1, 1, 0, 0 }));
        Assert.That(CudaEmulator.Count("download_bytes") - down, Is.EqualTo(64 * (16 + 4)), "an answer and a node of a path for each row");
        var kernels = ((CudaProgram)run.Model.Program).Measure(1).ToDictionary(kernel => kernel.Name, kernel => kernel.Launches);
        Assert.That((kernels["walk_trees"], kernels["move_kv_rows"]), Is.EqualTo((1, 2)), "moves that came up with the round, and those of its paths");

        void Step()
        {
            forest.Clear();
            for (var i = 0; i < trees.Length; i++)
            {
                forest.Add(sequences[i], trees[i], 0, choices: choices[i]);
            }

            run.Model.Forward(forest);
            foreach (var sequence in sequences)
            {
                sequence.Commit(sequence.Walked);
            }
        }
    }

    [Test]
    public void Forward_ATreeThatPassesCutInTwo_IsLeftToTheHost()
    {
        CudaEmulator.RequireEmulated();
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (forest, rule) = (new Forest(2), new SamplingRule(new SamplingOptions { Temperature = 0 }, 1, Vocabulary));
        var sequences = new[] { run.Open(100), run.Open(100) };
        for (var i = 0; i < 2; i++)
        {
            var tree = ModelRun.RandomTree(new Random(i), 50 - (10 * i), Vocabulary);
            forest.Add(sequences[i], tree, 0, choices: new Choices(rule, tree, 0, null));
        }

        var uploads = CudaEmulator.Count("uploads");
        run.Model.Forward(forest);

        Assert.That(CudaEmulator.Count("uploads") - uploads, Is.EqualTo(2), "64 rows, and 26");
        Assert.That((sequences[0].Walked.Length, sequences[1].Walked.Length), Is.EqualTo((1, 0)), "the root, and nothing");
    }

    [Test]
    public unsafe void Forward_ARowThatIsNoNumberOnThePath_EndsTheDevicesWalkBeforeItAndNobodyElses()
    {
        var config = TestConfigs.Tiny with { NumHiddenLayers = 1, TieWordEmbeddings = false };
        using var weights = new SyntheticModel(config, DType.BF16, 3);
        int first, second;
        using (var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors))
        {
            var sequence = run.Open();
            first = Likeliest(run.Append(sequence, [5])[0]);
            second = Likeliest(run.Append(sequence, [first])[0]);
        }

        var embedding = weights.Tensors.Embedding;
        ((ushort*)embedding.Data)[second * embedding.Shape[1]] = 0x7FC0; // BF16's not-a-number
        using var poisoned = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (forest, rule) = (new Forest(2), new SamplingRule(new SamplingOptions { Temperature = 0 }, 1, Vocabulary));
        var trees = new[] { ModelRun.Chain(5, first, second, 7), ModelRun.Chain(5, first) };
        var sequences = Array.ConvertAll(trees, _ => poisoned.Open(64));
        for (var i = 0; i < trees.Length; i++)
        {
            forest.Add(sequences[i], trees[i], 0, choices: new Choices(rule, trees[i], 0, null));
        }

        var rows = poisoned.Model.Forward(forest);

        Assert.That((first != second && second != 5, sequences[0].Walked.ToArray(), sequences[1].Walked.ToArray()), Is.EqualTo((true, new[] { 0, 1 }, new[] { 0, 1 })));
        Assert.That((rows.Choose(1), rows.Choose(5)), Is.EqualTo((second, second)));
        Assert.That(() => rows.Choose(2), Throws.TypeOf<NonFiniteLogitsException>());

        static int Likeliest(float[] logits) => Array.IndexOf(logits, logits.Max());
    }

    /// <summary>Whoever never chooses, as a draft model, has launches without the walk; so have rounds of roots alone.</summary>
    [Test]
    public void Forward_WithoutATreeToWalkAlong_HasNoKernelOfTheWalk()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (forest, rule, sequence) = (new Forest(1), new SamplingRule(new SamplingOptions { Temperature = 0 }, 1, Vocabulary), run.Open(100));
        Assert.That((Moves(ModelRun.Chain(1, 2), chooses: true), Moves(ModelRun.Chain(1, 2), chooses: false), Moves(ModelRun.Chain(1), chooses: true)), Is.EqualTo((2, 1, 1)));

        int Moves(TokenTree tree, bool chooses)
        {
            forest.Clear();
            forest.Add(sequence, tree, 0, choices: chooses ? new Choices(rule, tree, 0, null) : null);
            run.Model.Forward(forest);
            var kernels = ((CudaProgram)run.Model.Program).Measure(1).ToDictionary(kernel => kernel.Name, kernel => kernel.Launches);
            Assert.That((kernels["choose"], kernels.ContainsKey("walk_trees")), Is.EqualTo((1, kernels["move_kv_rows"] == 2)));
            return kernels["move_kv_rows"];
        }
    }

    /// <summary>What comes down is looked at: a path that is none ends the device, not the text.</summary>
    [TestCase(1, -1, -1, -1)]
    [TestCase(-1, -1, -1, -1)]
    [TestCase(0, 9, -1, -1)]
    [TestCase(0, 3, -1, -1)]
    [TestCase(0, 1, 3, -1)]
    [TestCase(0, 2, -1, -1)]
    [TestCase(0, int.MinValue, -1, -1)]
    public void Take_APathThatIsNone_LosesTheDevice(params int[] path)
    {
        using var backend = CudaEmulator.Create();
        var (walks, batch) = (new TreeWalks(8), new RowBatch(8, 8));
        new[] { 5, 7, 8, 9 }.CopyTo(batch.Tokens, 0);
        new[] { 0, 1, 2, 3 }.CopyTo(batch.LogitRows, 0);
        var answers = Array.ConvertAll(new[] { (7, 1f), (9, 1f), (1, 1f), (1, float.NaN) }, answer => new RowAnswer { Chosen = answer.Item1, Highest = answer.Item2 });
        walks.Add(0, [-1, 0, 0, 1]); // 5 → 7 → 9, which is no number, and 5 → 8
        walks.Take(backend.Context, [0, 1, -1, -1], new PassRows(0, 4, 8), batch, answers);
        Assert.That(walks.Path(0).ToArray(), Is.EqualTo(new[] { 0, 1 }));

        var lost = Assert.Throws<BackendFaultedException>(() => walks.Take(backend.Context, path, new PassRows(0, 4, 8), batch, answers))!;

        Assert.That((lost.Code, lost.Kernel), Is.EqualTo((0, "walk_trees")));
        Assert.That(lost.Message, Does.Contain("of a tree of 4 rows, where no chosen token leads, kernel walk_trees. Nothing more").And.Not.Contain("CUDA_SUCCESS"));
    }

    [Test]
    public void Add_ATreeThatIsNone_IsRefused()
    {
        var walks = new TreeWalks(8);
        walks.Add(1, [-1, 0, 0]);
        Assert.That(() => walks.Add(3, [-1, 0]), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("ends at row 4"));
        Assert.That(() => walks.Add(6, [-1, 0, 1]), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => walks.Add(4, [-1, 1]), Throws.ArgumentException.With.Message.Contains("node 1 has the parent 1"));
    }

    /// <summary>Any call may fail at any time: what is answered is right, and the cache with it.</summary>
    [Test]
    public void Forward_RandomFaults_NeverAWrongTextALeakOrAnotherException()
    {
        CudaEmulator.RequireEmulated();
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1, TieWordEmbeddings = false }, DType.BF16, 3);
        Known[] known;
        using (var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors))
        {
            known = [.. Enumerable.Range(0, 2).Select(i => Known.Write(run, 0, 2 * i))];
        }

        var (failed, first) = (0, CudaEmulator.Count("faults"));
        for (var seed = 1; CudaEmulator.Count("faults") - first < 100; seed++)
        {
            if (CudaBackend.TryCreate(new CudaOptions { Device = 0 }, out _) is not { } backend)
            {
                continue;
            }

            CudaEmulator.Set("FAULTS", "0,0");
            using var run = new ModelRun(backend, weights.Config, weights.Tensors);
            var (random, forest) = (new Random(seed), new Forest(8));
            var texts = Array.ConvertAll(known, text => new Text(run, text));
            CudaEmulator.Set("FAULTS", $"{seed},0.03");
            try
            {
                for (var round = 0; round < 8; round++)
                {
                    forest.Clear();
                    Array.ForEach(texts, text => text.AddTo(forest, random));
                    var rows = run.Model.Forward(forest);
                    for (var i = 0; i < texts.Length; i++)
                    {
                        texts[i].Finish(rows, forest.LogitRow(i, 0), stops: false);
                    }
                }
            }
            catch (BackendException)
            {
                failed++;
            }
        }

        Assert.That(failed, Is.GreaterThan(20));
    }

    /// <summary>A text and the logits after each of its tokens, computed token by token.</summary>
    private sealed record Known(SamplingRule Rule, bool WalksOnDevice, int[] Tokens, float[][] Logits)
    {
        public const int Length = 36;

        /// <summary>Every third text is chosen by the host.</summary>
        public static Known Write(ModelRun run, float temperature, int number)
        {
            var walksOnDevice = number % 3 != 1;
            var bias = walksOnDevice ? null : new Dictionary<int, float> { [7] = 0.5f };
            var rule = new SamplingRule(new SamplingOptions { Temperature = temperature, LogitBias = bias }, (ulong)number, Vocabulary);
            using var sequence = run.Open(Length + 1);
            List<int> tokens = [number];
            List<float[]> logits = [];
            for (var i = 0; i < Length; i++)
            {
                logits.Add(run.Append(sequence, [tokens[^1]])[0]);
                tokens.Add(Chooser.Choose(logits[^1], new RowChoice { Rule = rule, Position = tokens.Count }));
            }

            return new Known(rule, walksOnDevice, [.. tokens], [.. logits]);
        }
    }

    /// <summary>Writes a text that is known by way of random trees in which it is a path.</summary>
    private sealed class Text(ModelRun run, Known known)
    {
        private readonly KvSequence _sequence = run.Open(100);
        private TokenTree _tree = null!;
        private List<int> _path = null!;

        /// <summary>Adds a tree with the text's next tokens at random places of it.</summary>
        public void AddTo(Forest forest, Random random)
        {
            if (_sequence.Length > Known.Length / 2)
            {
                _sequence.Truncate(random.Next(Known.Length / 4));
            }

            var count = 2 + random.Next(11);
            (_tree, _path) = (new TokenTree(count), [0]);
            _tree.Add(-1, known.Tokens[_sequence.Length]);
            HashSet<int> probes = [];
            while (_tree.Count < count)
            {
                var (goesOn, isProbe) = (random.Next(2) == 0, random.Next(4) == 0);
                var parent = goesOn ? _path[^1] : random.Next(_tree.Count);
                var right = _path.IndexOf(parent) is >= 0 and var at ? known.Tokens[_sequence.Length + at + 1] : 0;
                var node = _tree.Add(parent, goesOn ? right : (right + 1 + random.Next(Vocabulary - 1)) % Vocabulary);
                if (isProbe)
                {
                    probes.Add(node); // only looked through
                }
                else if (goesOn)
                {
                    _path.Add(node);
                }
            }

            forest.Add(_sequence, _tree, 0, choices: new Choices(known.Rule, _tree, _sequence.Length + 1, probes));
        }

        /// <summary>Walks, compares and commits; returns how many nodes the device has moved.</summary>
        public int Finish(IForwardResult rows, int root, bool stops)
        {
            for (var i = 0; i < _path.Count; i++)
            {
                Assert.That(rows.Choose(root + _path[i]), Is.EqualTo(known.Tokens[_sequence.Length + i + 1]));
                Assert.That(rows.Logits(root + _path[i]).SequenceEqual(known.Logits[_sequence.Length + i]), $"bits after token {_sequence.Length + i}");
            }

            Assert.That(_sequence.Walked.ToArray(), Is.EqualTo(known.WalksOnDevice ? [.. _path] : Array.Empty<int>()));
            var (path, before) = (_path.GetRange(0, stops ? 1 + (_path.Count / 2) : _path.Count), ((CudaKv)run.Cache.Storage).MoveCount);
            _sequence.Commit([.. path]);
            var moves = path.Where((node, i) => node != i).Count();
            Assert.That(((CudaKv)run.Cache.Storage).MoveCount - before, Is.EqualTo(known.WalksOnDevice ? 0 : moves), "moves that go up with the next round");
            return known.WalksOnDevice ? moves : 0;
        }
    }

    internal sealed class Choices(SamplingRule rule, TokenTree tree, long before, HashSet<int>? probes) : IRowChoices
    {
        public RowChoice Describe(int node) => new() { Rule = rule, Position = before + tree.Depths[node] };

        public bool FollowsToken(int node) => probes?.Contains(node) != true;
    }
}
