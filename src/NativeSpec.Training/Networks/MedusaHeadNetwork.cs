using System.Numerics.Tensors;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Networks;

/// <summary>A Medusa head that learns (Cai et al., 2024, section 2.1.1): logits = W (x + silu(A x + b)), x the model's hidden state after
/// the final norm. A and b begin as zeros and W as the model's output matrix, so an untrained head says what the model says.</summary>
internal sealed class MedusaHeadNetwork : IDisposable
{
    private readonly Workbench _bench;
    private readonly Linear _block;
    private readonly ResidualSilu _residual;
    private readonly Linear _vocab;
    private readonly Matrix _inner;   // [rows, hidden] A x + b
    private readonly Matrix _feature; // [rows, hidden] x + silu(A x + b)

    /// <summary>Makes head <paramref name="index"/> of a model.</summary>
    /// <param name="bench">Stays the caller's.</param>
    /// <param name="model">Its output matrix is copied.</param>
    /// <param name="index">0 for the head that predicts the token behind the next.</param>
    /// <param name="prefix">Before the names of its tensors: nothing in a file of heads, <c>medusa_head.</c> in a model's.</param>
    /// <param name="rows">Most rows of a batch.</param>
    public MedusaHeadNetwork(Workbench bench, LlamaNetwork model, int index, string prefix, int rows)
    {
        var (hidden, vocabulary) = (model.Config.HiddenSize, model.Config.VocabSize);
        var weight = new Parameter(bench, [new($"{prefix}{index}.0.linear.weight", hidden)], hidden, decays: true);
        var bias = new Parameter(bench, [new($"{prefix}{index}.0.linear.bias", 1)], hidden, decays: false);
        var vocab = new Parameter(bench, [new($"{prefix}{index}.1.weight", vocabulary)], hidden, decays: true);
        model.Output.Weight.Value.All.CopyTo(vocab.Value.All);
        Parameters = [weight, bias, vocab];
        _bench = bench;
        _block = new Linear(bench, weight, bias);
        _residual = new ResidualSilu(bench);
        _vocab = new Linear(bench, vocab);
        _inner = new Matrix(rows, hidden);
        _feature = new Matrix(rows, hidden);
    }

    /// <summary>A, b and W.</summary>
    public IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>The logits of hidden states, [rows, vocabulary].</summary>
    public void Forward(Matrix hidden, Matrix logits, int rows)
    {
        _block.Forward(hidden, _inner, rows);
        _residual.Forward(hidden, _inner, _feature, rows);
        _vocab.Forward(_feature, logits, rows);
    }

    /// <summary>Adds to the head's gradients and, where it is wanted, to that of the hidden states.</summary>
    public void Backward(Matrix hidden, Matrix dLogits, Matrix? dHidden, int rows)
    {
        var dFeature = _bench.Scratch("d feature", _feature.Rows, _feature.Columns);
        var dInner = _bench.Scratch("d inner", _inner.Rows, _inner.Columns);
        _vocab.Backward(_feature, dLogits, dFeature, rows);
        _residual.Backward(_inner, dFeature, dInner, rows);
        _block.Backward(hidden, dInner, dHidden, rows, accumulate: true);
        if (dHidden is not null)
        {
            TensorPrimitives.Add(dHidden.RowRange(0, rows), dFeature.RowRange(0, rows), dHidden.RowRange(0, rows));
        }
    }

    public void Dispose()
    {
        foreach (var parameter in Parameters)
        {
            parameter.Dispose();
        }

        _inner.Dispose();
        _feature.Dispose();
    }
}
