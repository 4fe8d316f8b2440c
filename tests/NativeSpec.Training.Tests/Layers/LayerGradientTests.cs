using NativeSpec.Loading.Llama;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Tests.Layers;

/// <summary>Every layer's backward against the slopes of its forward, with the native kernel and without.</summary>
[TestFixture(false)]
[TestFixture(true)]
public sealed class LayerGradientTests(bool managed)
{
    private const int Rows = 5;

    private readonly Workbench _bench = new(threads: 2, managed);

    [OneTimeTearDown]
    public void Dispose() => _bench.Dispose();

    [Test]
    public void Linear_GradientsOfInputWeightAndBias_AreSlopes()
    {
        var (x, w) = (Random(Rows, 7, 1), Random(Rows, 9, 2));
        using var weight = Parameter(9, 7, decays: true);
        using var bias = Parameter(1, 9, decays: false);
        var linear = new Linear(_bench, weight, bias);
        var (y, dx) = (new Matrix(Rows, 9), new Matrix(Rows, 7));
        double Loss()
        {
            linear.Forward(x, y, Rows);
            return GradientCheck.Weighted(y, w);
        }

        Loss();
        linear.Backward(x, w, dx, Rows);
        GradientCheck.Verify("x", x, dx, Loss);
        GradientCheck.Verify("weight", weight.Value, weight.Gradient, Loss);
        GradientCheck.Verify("bias", bias.Value, bias.Gradient, Loss);
    }

    [Test]
    public void Linear_Backward_AddsToWhatIsThere()
    {
        var (x, w) = (Random(Rows, 7, 1), Random(Rows, 9, 2));
        using var weight = Parameter(9, 7, decays: true);
        var linear = new Linear(_bench, weight);
        linear.Backward(x, w, null, Rows);
        var once = weight.Gradient.All.ToArray();
        linear.Backward(x, w, null, Rows);
        Assert.That(weight.Gradient.All.ToArray(), Is.EqualTo(once.Select(g => 2 * g)).Within(1e-5f));
    }

    [Test]
    public void RmsNorm_GradientsOfInputAndGain_AreSlopes()
    {
        var (x, w) = (Random(70, 6, 3), Random(70, 6, 4));
        using var gain = Parameter(1, 6, decays: false);
        var norm = new RmsNorm(_bench, gain, 1e-5f);
        var (y, dx) = (new Matrix(70, 6), new Matrix(70, 6));
        double Loss()
        {
            norm.Forward(x, y, 70);
            return GradientCheck.Weighted(y, w);
        }

        Loss();
        norm.Backward(x, w, dx, 70);
        GradientCheck.Verify("x", x, dx, Loss);
        GradientCheck.Verify("gain", gain.Value, gain.Gradient, Loss);
    }

    [Test]
    public void SwiGlu_Gradient_IsTheSlope()
    {
        var (gateUp, w) = (Random(Rows, 14, 5), Random(Rows, 7, 6));
        var layer = new SwiGlu(7);
        var (y, d) = (new Matrix(Rows, 7), new Matrix(Rows, 14));
        double Loss()
        {
            layer.Forward(gateUp, y, 0, Rows);
            return GradientCheck.Weighted(y, w);
        }

        layer.Backward(gateUp, w, d, 0, Rows);
        GradientCheck.Verify("gate and up", gateUp, d, Loss);
    }

    [Test]
    public void ResidualSilu_Gradient_IsTheSlope()
    {
        var (x, z, w) = (Random(Rows, 6, 7), Random(Rows, 6, 8), Random(Rows, 6, 9));
        var layer = new ResidualSilu(_bench);
        var (y, dz) = (new Matrix(Rows, 6), new Matrix(Rows, 6));
        double Loss()
        {
            layer.Forward(x, z, y, Rows);
            return GradientCheck.Weighted(y, w);
        }

        layer.Backward(z, w, dz, Rows);
        GradientCheck.Verify("z", z, dz, Loss);
        GradientCheck.Verify("x", x, w, Loss);
    }

    [Test]
    public void Embedding_Gradient_IsTheSlope()
    {
        var (batch, w) = (Batch(2, 4, 6), Random(8, 5, 10));
        using var table = Parameter(6, 5, decays: true);
        var layer = new Embedding(_bench, table);
        var x = new Matrix(8, 5);
        double Loss()
        {
            layer.Forward(batch, x);
            return GradientCheck.Weighted(x, w);
        }

        layer.Backward(batch, w);
        GradientCheck.Verify("table", table.Value, table.Gradient, Loss);
    }

    [Test]
    public void Rope_Gradient_IsTheSlope()
    {
        var (batch, config) = (Batch(2, 4, 6), Heads(4, 2));
        var (qkv, w) = (Random(8, 32, 11), Random(8, 32, 12));
        var rope = new Rope(_bench, config, 4);
        var turned = new Matrix(8, 32);
        double Loss()
        {
            qkv.All.CopyTo(turned.All);
            rope.Forward(turned, batch, 0, 8);
            return GradientCheck.Weighted(turned, w);
        }

        var d = new Matrix(8, 32);
        w.All.CopyTo(d.All);
        rope.Backward(d, batch);
        GradientCheck.Verify("qkv", qkv, d, Loss);
    }

    /// <summary>Lengths below, at and above the blocks in which rows and columns are computed.</summary>
    [TestCase(1, 2, 2)]
    [TestCase(7, 4, 2)]
    [TestCase(48, 2, 1)]
    [TestCase(75, 6, 2)]
    public void CausalAttention_Gradient_IsTheSlope(int length, int heads, int kvHeads)
    {
        var (batch, config) = (Batch(2, length, 6), Heads(heads, kvHeads));
        var (rows, width) = (2 * length, heads * config.HeadDim);
        var (qkv, w) = (Random(rows, width + (2 * kvHeads * config.HeadDim), 13), Random(rows, width, 14));
        foreach (ref var value in qkv.All)
        {
            value *= 3; // attention that prefers some keys to others
        }

        var attention = new CausalAttention(_bench, config);
        Matrix l = new(2 * heads, length), o = new(rows, width), d = new(rows, qkv.Columns);
        d.All.Fill(float.NaN); // what an older batch left there must not matter
        double Loss()
        {
            attention.Forward(qkv, l, o, batch);
            return GradientCheck.Weighted(o, w);
        }

        Loss();
        attention.Backward(qkv, l, o, w, d, batch);
        GradientCheck.Verify("qkv", qkv, d, Loss);
    }

    [Test]
    public void CrossEntropy_Gradient_IsTheSlope()
    {
        var (batch, logits) = (Batch(2, 4, 6), Random(8, 6, 15));
        var loss = new CrossEntropy(_bench, 6);
        var d = new Matrix(8, 6);
        logits.All.CopyTo(d.All);
        loss.Forward(d, batch, shift: 1, 0.125);
        GradientCheck.Verify("logits", logits, d, () => loss.Forward(logits, batch, shift: 1, factor: null).Mean);
    }

    [TestCase(0f)]
    [TestCase(0.7f)]
    [TestCase(1f)]
    public void Distillation_Gradient_IsTheSlope(float share)
    {
        var (batch, logits, teacher) = (Batch(2, 4, 6), Random(8, 6, 16), Random(8, 6, 17));
        var loss = new CrossEntropy(_bench, 6);
        var (d, copy) = (new Matrix(8, 6), new Matrix(8, 6));
        double Loss(Matrix z, double? factor)
        {
            teacher.All.CopyTo(copy.All);
            return loss.Distill(z, copy, batch, share, factor).Mean;
        }

        logits.All.CopyTo(d.All);
        Loss(d, 0.125);
        GradientCheck.Verify("logits", logits, d, () => Loss(logits, null));
    }

    [Test]
    public void Distillation_FromOneself_LosesNothing()
    {
        var (batch, logits) = (Batch(2, 4, 6), Random(8, 6, 18));
        var same = new Matrix(8, 6);
        logits.All.CopyTo(same.All);
        var sum = new CrossEntropy(_bench, 6).Distill(logits, same, batch, share: 1, factor: null);
        Assert.That(sum.Nats, Is.EqualTo(0).Within(1e-5));
        Assert.That(sum.Accuracy, Is.EqualTo(1));
    }

    [Test]
    public void CrossEntropy_LogitsThatAreNoNumbers_LoseNoNumber()
    {
        var logits = Random(8, 6, 19);
        logits.All[3] = float.NaN;
        Assert.That(new CrossEntropy(_bench, 6).Forward(logits, Batch(2, 4, 6), shift: 1, 1).Nats, Is.NaN);
    }

    private static LlamaConfig Heads(int heads, int kvHeads) => new()
    {
        HiddenSize = heads * 4,
        IntermediateSize = 8,
        NumHiddenLayers = 1,
        NumAttentionHeads = heads,
        NumKeyValueHeads = kvHeads,
        HeadDim = 4,
        VocabSize = 6,
        MaxPositionEmbeddings = 128,
    };

    private static TokenBatch Batch(int sequences, int length, int vocabulary)
    {
        var random = new Random(99);
        return new TokenBatch([.. Enumerable.Range(0, sequences * (length + 1)).Select(_ => random.Next(vocabulary))], sequences, lookahead: 1);
    }

    private static Matrix Random(int rows, int columns, int seed) => GradientCheck.Random(rows, columns, seed);

    private Parameter Parameter(int rows, int columns, bool decays)
    {
        var parameter = new Parameter(_bench, [new("p", rows)], columns, decays);
        parameter.FillNormal(_bench, 0.5, seed: 1, stream: 1);
        return parameter;
    }
}
