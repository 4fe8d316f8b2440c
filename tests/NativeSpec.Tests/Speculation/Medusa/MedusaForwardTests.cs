using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Loading.Medusa;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>The arithmetic of the heads: x + SiLU(A x + b), block after block, then the vocabulary.</summary>
public sealed class MedusaForwardTests
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
        using var forward = new MedusaForward(heads, _lmHead, _backend, TopK);

        forward.Run(_hidden, 3);

        for (var h = 0; h < 3; h++)
        {
            var expected = Reference(heads.Heads[h]).Take(TopK).ToArray();
            Assert.That(forward.Tokens(h).ToArray(), Is.EqualTo(expected.Select(e => e.Token)), $"head {h}");
            Assert.That(forward.Probabilities(h).ToArray(), Is.EqualTo(expected.Select(e => (float)e.Chance)).Within(1e-5f), $"head {h}");
        }
    }

    /// <summary>As they are before training: zero blocks change nothing, to the bit, so an untrained head is its vocabulary matrix.</summary>
    [Test]
    public void Run_UntrainedHeads_AreTheirVocabularyMatrix([Values(true, false)] bool ofTheModel)
    {
        var zero = new MedusaBlock(_memory.View("A", new float[Hidden * Hidden], Hidden, Hidden), _memory.View("b", new float[Hidden], Hidden));
        var vocab = ofTheModel ? null : View(Vocab, Hidden);
        using var untrained = new MedusaForward(Heads(2, _ => new MedusaHead([zero, zero], vocab)), _lmHead, _backend, TopK);
        using var matrix = new MedusaForward(Heads(2, _ => new MedusaHead([], vocab ?? _lmHead)), _lmHead, _backend, TopK);

        untrained.Run(_hidden, 2);
        matrix.Run(_hidden, 2);

        for (var h = 0; h < 2; h++)
        {
            Assert.That(untrained.Tokens(h).ToArray(), Is.EqualTo(matrix.Tokens(h).ToArray()));
            Assert.That(untrained.Probabilities(h).ToArray(), Is.EqualTo(matrix.Probabilities(h).ToArray()));
        }
    }

    [Test]
    public void Run_ASharedMatrix_GivesTheBitsOfSeparateOnes()
    {
        var block = new MedusaBlock(View(Hidden, Hidden), View(Hidden));
        var values = Random(Vocab * Hidden);
        var one = _memory.View("one", values, Vocab, Hidden);
        using var shared = new MedusaForward(Heads(3, _ => new MedusaHead([block], one)), _lmHead, _backend, TopK);
        using var apart = new MedusaForward(Heads(3, h => new MedusaHead([block], _memory.View($"{h}", values, Vocab, Hidden))), _lmHead, _backend, TopK);

        shared.Run(_hidden, 3);
        apart.Run(_hidden, 3);

        for (var h = 0; h < 3; h++)
        {
            Assert.That(shared.Probabilities(h).ToArray(), Is.EqualTo(apart.Probabilities(h).ToArray()));
        }
    }

    [Test]
    public void Run_MoreTopTokensThanRows_FindsAllRows()
    {
        using var forward = new MedusaForward(Heads(1, _ => new MedusaHead([], View(3, Hidden))), _lmHead, _backend, TopK);
        forward.Run(_hidden, 1);
        Assert.That(forward.Tokens(0).ToArray(), Is.EquivalentTo(new[] { 0, 1, 2 }));
        Assert.That(forward.Probabilities(0).ToArray().Sum(), Is.EqualTo(1).Within(1e-5));
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
