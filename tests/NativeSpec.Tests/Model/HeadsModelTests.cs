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
        using var forward = new HeadsModel(heads, _lmHead, _backend, TopK, maxStates: 3);

        forward.Run(_hidden, 3);

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
        using var untrained = new HeadsModel(Heads(2, _ => new MedusaHead([zero, zero], vocab)), _lmHead, _backend, TopK, maxStates: 3);
        using var matrix = new HeadsModel(Heads(2, _ => new MedusaHead([], vocab ?? _lmHead)), _lmHead, _backend, TopK, maxStates: 3);

        untrained.Run(_hidden, 2);
        matrix.Run(_hidden, 2);

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
        using var shared = new HeadsModel(Heads(3, _ => new MedusaHead([block], one)), _lmHead, _backend, TopK, maxStates: 3);
        using var apart = new HeadsModel(Heads(3, h => new MedusaHead([block], _memory.View($"{h}", values, Vocab, Hidden))), _lmHead, _backend, TopK, maxStates: 3);

        shared.Run(_hidden, 3);
        apart.Run(_hidden, 3);

        for (var h = 0; h < 3; h++)
        {
            Assert.That(shared.Probabilities(0, h).ToArray(), Is.EqualTo(apart.Probabilities(0, h).ToArray()));
        }
    }

    [Test]
    public void Run_MoreTopTokensThanRows_FindsAllRows()
    {
        using var forward = new HeadsModel(Heads(1, _ => new MedusaHead([], View(3, Hidden))), _lmHead, _backend, TopK, maxStates: 3);
        forward.Run(_hidden, 1);
        Assert.That(forward.Tokens(0, 0).ToArray(), Is.EquivalentTo(new[] { 0, 1, 2 }));
        Assert.That(forward.Probabilities(0, 0).ToArray().Sum(), Is.EqualTo(1).Within(1e-5));
    }

    [Test]
    public void Run_SeveralStates_HaveTheBitsThatEachHasAlone([Values] bool isShared)
    {
        var matrix = View(Vocab, Hidden);
        var heads = Heads(2, _ => new MedusaHead([new MedusaBlock(View(Hidden, Hidden), View(Hidden))], isShared ? matrix : View(Vocab, Hidden)));
        using var forward = new HeadsModel(heads, _lmHead, _backend, TopK, maxStates: 3);
        var states = Random(3 * Hidden);
        var alone = Enumerable.Range(0, 3).Select(state =>
        {
            forward.Run(states.AsSpan(state * Hidden, Hidden), 2);
            return Found(0);
        }).ToArray();

        forward.Run(states, 2);

        Assert.That(Enumerable.Range(0, 3).Select(Found), Is.EqualTo(alone));
        Assert.That(() => forward.Run(Random(4 * Hidden), 2), Throws.ArgumentException.With.Message.Contains("4 states"));

        string Found(int state) => string.Join(";", Enumerable.Range(0, 2).Select(h => string.Join(",", forward.Tokens(state, h).ToArray()) + ":" + string.Join(",", forward.Probabilities(state, h).ToArray())));
    }

    /// <summary>Handles of a model's rows give what their values give, and a row of an earlier forward is refused.</summary>
    [Test]
    public void Run_HiddenRowsOfAModel_AreReadWhereTheyLie()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 5);
        using var run = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 1 }), weights.Config, weights.Tensors);
        var hidden = weights.Config.HiddenSize;
        var heads = Heads(2, _ => new MedusaHead([new MedusaBlock(View(hidden, hidden), View(hidden))], null)) with { HiddenSize = hidden };
        using var forward = new HeadsModel(heads, weights.Tensors.LmHead, _backend, TopK, maxStates: 2);
        var forest = new Forest(1);
        forest.Add(run.Open(), ModelRun.Chain(1, 2, 3), 0);
        var rows = run.Model.Forward(forest);
        HiddenRow[] states = [rows.Hidden(2), rows.Hidden(0)];
        float[] values = [.. states[0].Values, .. states[1].Values];

        forward.Run(values, 2);
        var expected = forward.Tokens(1, 1).ToArray();
        forward.Run(values.AsSpan(0, hidden), 2);
        forward.Run(states, 2);

        Assert.That(forward.Tokens(1, 1).ToArray(), Is.EqualTo(expected));
        run.Model.Forward(forest);
        Assert.That(states[0].IsValid, Is.False);
        Assert.Throws<InvalidOperationException>(() => forward.Run(states, 2));
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
