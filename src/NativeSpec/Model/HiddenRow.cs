using NativeSpec.Backends;

namespace NativeSpec.Model;

/// <summary>A hidden state that a forward left on its backend: a handle, which lasts until that model's next forward.</summary>
internal readonly record struct HiddenRow
{
    private readonly LlamaModel? _model;
    private readonly long _forward;

    internal HiddenRow(LlamaModel model, long forward, int row)
    {
        _model = model;
        _forward = forward;
        Row = row;
    }

    /// <summary>Which row of the forward it is, as <see cref="Forest.LogitRow"/> counts them.</summary>
    public int Row { get; }

    /// <summary>The model's next forward has not come yet.</summary>
    public bool IsValid => _model is not null && _model.IsLast(_forward);

    /// <summary>[hidden] the values: free on the processor, a copy from a device.</summary>
    /// <exception cref="InvalidOperationException">The row is gone.</exception>
    public ReadOnlySpan<float> Values => Model.HiddenValues(Row);

    /// <summary>Puts the values into another program of the same backend, without a trip over the host.</summary>
    /// <exception cref="InvalidOperationException">The row is gone.</exception>
    public void CopyTo(IForwardProgram program, Rows input, int row) => Model.CopyHidden(Row, program, input, row);

    private LlamaModel Model => IsValid
        ? _model!
        : throw new InvalidOperationException("this hidden state is gone: the model has computed another forward since");
}

/// <summary>Knows where the hidden states of a round's nodes lie.</summary>
internal interface IHiddenRows
{
    /// <summary>The hidden state of a computed node.</summary>
    HiddenRow HiddenRow(int node);
}
