using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Loading.Medusa;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Speculation.Medusa;

namespace NativeSpec.Tests.Model;

/// <summary>The arithmetic of the heads: x + SiLU(A x + b), block after block, then the vocabulary.</summary>
public sealed class HeadsModelTests
{
    private const int Hidden = 24;
    private const int Vocab = 50;
    private const int TopK = 7;

    private IBackend _backend = null!;
    private MemoryHeads _memory = null!;
    private Random _random = null!;
    private TensorView _lmHead = null!;
    private float[] _hidden = null!;

    [SetUp]
    public void Create()
    {
        _backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        _memory = new MemoryHeads();
        _random = new Random(23);
        _lmHead = View(Vocab, Hidden);
        _hidden = Random(Hidden);
    }

    [TearDown]
    public void Release()
    {
        _backend.Dispose();
        _memory.Dispose();
    }

    [Test]
    public void Run_Heads_AgreeWithFloat64([Values(0, 1, 2)] int blocks, [Values(true, false)] bool hasBias, [Values(true, false)] bool isShared)
    {
        var shared = isShared ? View(Vocab, Hidden) : null;
        var heads = Heads(3, h => new MedusaHead([.. Enumerable.Range(0, blocks).Select(_ => new MedusaBlock(View(Hidden, Hidden), hasBias ? View(Hidden) : null))], shared ?? View(Vocab, Hidden)));
        using var forward = new HeadsModel(heads, _lmHead, _backend, Vocab, TopK);

        Run(forward, 3);

        for (var h = 0; h < 3; h++)
        {
            var expected = Reference(heads.Heads[h]).Take(TopK).ToArray();
            Assert.That(forward.Tokens(0, h).ToArray(), Is.EqualTo(expected.Select(e => e.Token)), $"head {h}");
            Assert.That(forward.Probabilities(0, h).ToArray(), Is.EqualTo(expected.Select(e => (float)e.Chance)).Within(1e-5f), $"head {h}");
        }
    }

    /// <summary>As they are before training: zero blocks change nothing, to the bit, so an untrained head is its vocabulary matrix.</summary>
    [Test]
    public void Run_UntrainedHeads_AreTheirVocabularyMatrix([Values(true, false)] bool ofTheModel)
    {
        var zero = new MedusaBlock(_memory.View("A", new float[Hidden * Hidden], Hidden, Hidden), _memory.View("b", new float[Hidden], Hidden));
        var vocab = ofTheModel ? null : View(Vocab, Hidden);
        using var untrained = new HeadsModel(Heads(2, _ => new MedusaHead([zero, zero], vocab)), _lmHead, _backend, Vocab, TopK);
        using var matrix = new HeadsModel(Heads(2, _ => new MedusaHead([], vocab ?? _lmHead)), _lmHead, _backend, Vocab, TopK);

        Run(untrained, 2);
        Run(matrix, 2);

        for (var h = 0; h < 2; h++)
        {
            Assert.That(untrained.Tokens(0, h).ToArray(), Is.EqualTo(matrix.Tokens(0, h).ToArray()));
            Assert.That(untrained.Probabilities(0, h).ToArray(), Is.EqualTo(matrix.Probabilities(0, h).ToArray()));
        }
    }

    [Test]
    public void Run_ASharedMatrix_GivesTheBitsOfSeparateOnes()
    {
        var block = new MedusaBlock(View(Hidden, Hidden), View(Hidden));
        var values = Random(Vocab * Hidden);
        var one = _memory.View("one", values, Vocab, Hidden);
        using var shared = new HeadsModel(Heads(3, _ => new MedusaHead([block], one)), _lmHead, _backend, Vocab, TopK);
        using var apart = new HeadsModel(Heads(3, h => new MedusaHead([block], _memory.View($"{h}", values, Vocab, Hidden))), _lmHead, _backend, Vocab, TopK);

        Run(shared, 3);
        Run(apart, 3);

        for (var h = 0; h < 3; h++)
        {
            Assert.That(shared.Probabilities(0, h).ToArray(), Is.EqualTo(apart.Probabilities(0, h).ToArray()));
        }
    }

    [Test]
    public void Run_MoreTopTokensThanRows_FindsAllRows()
    {
        using var forward = new HeadsModel(Heads(1, _ => new MedusaHead([], View(3, Hidden))), _lmHead, _backend, rows: 3, TopK);
        Run(forward, 1);
        Assert.That(forward.Tokens(0, 0).ToArray(), Is.EquivalentTo(new[] { 0, 1, 2 }));
        Assert.That(forward.Probabilities(0, 0).ToArray().Sum(), Is.EqualTo(1).Within(1e-5));
    }

    /// <summary>Several sequences' states at once: each has the bits that it has alone, whatever its neighbours are.</summary>
    [Test]
    public void Run_SeveralStates_GivesEachTheBitsOfItsOwn([Values] bool isShared, [Values(1, 3)] int count)
    {
        var shared = isShared ? View(Vocab, Hidden) : null;
        var heads = Heads(3, _ => new MedusaHead([new MedusaBlock(View(Hidden, Hidden), View(Hidden))], shared ?? View(Vocab, Hidden)));
        var states = Enumerable.Range(0, 5).Select(_ => Random(Hidden)).ToArray();
        using var forward = new HeadsModel(heads, _lmHead, _backend, Vocab, TopK);
        var alone = states.Select(state =>
        {
            forward.SetState(0, state);
            forward.Run(1, count);
            return Enumerable.Range(0, count).SelectMany(h => forward.Probabilities(0, h).ToArray().Concat(forward.Tokens(0, h).ToArray().Select(token => (float)token))).ToArray();
        }).ToArray();

        for (var state = 0; state < states.Length; state++)
        {
            forward.SetState(state, states[state]);
        }

        forward.Run(states.Length, count);
        for (var state = 0; state < states.Length; state++)
        {
            var together = Enumerable.Range(0, count).SelectMany(h => forward.Probabilities(state, h).ToArray().Concat(forward.Tokens(state, h).ToArray().Select(token => (float)token)));
            Assert.That(together, Is.EqualTo(alone[state]), $"state {state}");
        }
    }

    /// <summary>Rows past those that stand for tokens are padding, whatever they hold.</summary>
    [Test]
    public void Run_PaddedRows_AreLeftOut()
    {
        using var forward = new HeadsModel(Heads(1, _ => new MedusaHead([], View(Vocab, Hidden))), _lmHead, _backend, rows: 4, TopK);
        Run(forward, 1);
        Assert.That(forward.Tokens(0, 0).ToArray(), Is.EquivalentTo(new[] { 0, 1, 2, 3 }));
        Assert.That(forward.Probabilities(0, 0).ToArray().Sum(), Is.EqualTo(1).Within(1e-5));
    }

    /// <summary>Handles of a model's rows give what their values give, and a row of an earlier forward is refused.</summary>
    [Test]
    public void Run_HiddenRowsOfAModel_AreReadWhereTheyLie()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 1 }), weights.Config, weights.Tensors);
        var hidden = weights.Config.HiddenSize;
        var heads = Heads(2, _ => new MedusaHead([new MedusaBlock(View(hidden, hidden), View(hidden))], null)) with { HiddenSize = hidden };
        using var forward = new HeadsModel(heads, weights.Tensors.LmHead, _backend, weights.Config.VocabSize, TopK);
        var forest = new Forest(1);
        forest.Add(run.Open(), ModelRun.Chain(1, 2, 3), 0);
        var rows = run.Model.Forward(forest);
        foreach (var row in new[] { 0, 2 })
        {
            forward.SetState(0, rows.Hidden(row).Values);
            forward.SetState(1, rows.Hidden(row));
            forward.Run(2, 2);
            Assert.That(forward.Tokens(1, 1).ToArray(), Is.EqualTo(forward.Tokens(0, 1).ToArray()));
            Assert.That(forward.Probabilities(1, 1).ToArray(), Is.EqualTo(forward.Probabilities(0, 1).ToArray()));
        }

        var gone = rows.Hidden(2);
        run.Model.Forward(forest);
        Assert.That(gone.IsValid, Is.False);
        Assert.Throws<InvalidOperationException>(() => forward.SetState(0, gone));
    }

    private void Run(HeadsModel forward, int heads)
    {
        forward.SetState(0, _hidden);
        forward.Run(1, heads);
    }

    private static MedusaHeads Heads(int count, Func<int, MedusaHead> make) =>
        new() { Source = "test", HiddenSize = Hidden, Heads = [.. Enumerable.Range(0, count).Select(make)] };

    private List<(int Token, double Chance)> Reference(MedusaHead head)
    {
        var x = Array.ConvertAll(_hidden, v => (double)v);
        foreach (var block in head.Blocks)
        {
            var y = Multiply(block.Weight, x);
            x = [.. x.Select((v, i) =>
            {
                var z = y[i] + (block.Bias is null ? 0 : Values(block.Bias)[i]);
                return v + (z / (1 + Math.Exp(-z)));
            })];
        }

        var logits = Multiply(head.Vocab!, x);
        var sum = logits.Sum(Math.Exp);
        return [.. logits.Select((logit, token) => (token, Math.Exp(logit) / sum)).OrderByDescending(pair => pair.Item2)];
    }

    private static double[] Multiply(TensorView matrix, double[] x)
    {
        var values = Values(matrix);
        return [.. Enumerable.Range(0, values.Length / x.Length).Select(row => x.Select((v, i) => v * values[(row * x.Length) + i]).Sum())];
    }

    private static float[] Values(TensorView view) => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(view.Bytes).ToArray();

    private float[] Random(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(_random.NextDouble() - 0.5))];

    private TensorView View(params long[] shape) => _memory.View("t", Random((int)shape.Aggregate(1L, (a, b) => a * b)), shape);
}
