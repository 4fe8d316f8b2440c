using NativeSpec.Loading.Llama;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Networks;

/// <summary>A decoder layer, and what it keeps of a forward for the gradient:
/// <code>
/// m = x + O · attention(rope(QKV · norm(x)))        y = m + Down · swiglu(GateUp · norm(m))
/// </code></summary>
internal sealed class LlamaBlock : IDisposable
{
    private readonly RmsNorm _inputNorm;
    private readonly Linear _qkvProj;
    private readonly Rope _rope;
    private readonly CausalAttention _attention;
    private readonly Linear _oProj;
    private readonly RmsNorm _postAttentionNorm;
    private readonly Linear _gateUpProj;
    private readonly SwiGlu _swiGlu;
    private readonly Linear _downProj;
    private readonly Matrix _normed;          // [rows, hidden]
    private readonly Matrix _qkv;             // [rows, (heads + 2·kvHeads)·headDim], turned
    private readonly Matrix _logSums;         // [sequences·heads, length] of the attention
    private readonly Matrix _attended;        // [rows, heads·headDim]
    private readonly Matrix _middle;          // [rows, hidden] m
    private readonly Matrix _middleNormed;    // [rows, hidden]
    private readonly Matrix _gateUp;          // [rows, 2·intermediate]
    private readonly Matrix _activated;       // [rows, intermediate]

    /// <summary>Makes a layer of zeros, whose norms pass everything through.</summary>
    public LlamaBlock(Workbench bench, LlamaConfig config, int index, Rope rope, int sequences, int length)
    {
        var (at, hidden, rows) = ($"model.layers.{index}", config.HiddenSize, sequences * length);
        int query = config.NumAttentionHeads * config.HeadDim, key = config.NumKeyValueHeads * config.HeadDim, inner = config.IntermediateSize;
        Parameter Matrix(int columns, params ParameterPart[] parts) => Add(new Parameter(bench, parts, columns, decays: true));
        Parameter Norm(string name)
        {
            var gain = Add(new Parameter(bench, [new($"{at}.{name}.weight", 1)], hidden, decays: false));
            gain.Value.All.Fill(1);
            return gain;
        }

        _inputNorm = new RmsNorm(bench, Norm("input_layernorm"), config.RmsNormEps);
        _qkvProj = new Linear(bench, Matrix(
            hidden,
            new($"{at}.self_attn.q_proj.weight", query),
            new($"{at}.self_attn.k_proj.weight", key),
            new($"{at}.self_attn.v_proj.weight", key)));
        _rope = rope;
        _attention = new CausalAttention(bench, config);
        _oProj = new Linear(bench, Matrix(query, new ParameterPart($"{at}.self_attn.o_proj.weight", hidden)));
        _postAttentionNorm = new RmsNorm(bench, Norm("post_attention_layernorm"), config.RmsNormEps);
        _gateUpProj = new Linear(bench, Matrix(hidden, new($"{at}.mlp.gate_proj.weight", inner), new($"{at}.mlp.up_proj.weight", inner)));
        _swiGlu = new SwiGlu(inner);
        _downProj = new Linear(bench, Matrix(inner, new ParameterPart($"{at}.mlp.down_proj.weight", hidden)));

        _normed = new Matrix(rows, hidden);
        _qkv = new Matrix(rows, query + (2 * key));
        _logSums = new Matrix(sequences * config.NumAttentionHeads, length);
        _attended = new Matrix(rows, query);
        _middle = new Matrix(rows, hidden);
        _middleNormed = new Matrix(rows, hidden);
        _gateUp = new Matrix(rows, 2 * inner);
        _activated = new Matrix(rows, inner);
    }

    /// <summary>Everything that is learnt here.</summary>
    public List<Parameter> Parameters { get; } = [];

    /// <summary>The matrices whose result is added to the residual stream.</summary>
    public IEnumerable<Parameter> ResidualOutputs => [_oProj.Weight, _downProj.Weight];

    /// <summary>x [rows, hidden] to y [rows, hidden].</summary>
    public void Forward(Matrix x, Matrix y, TokenBatch batch)
    {
        var rows = batch.Rows;
        _inputNorm.Forward(x, _normed, rows);
        _qkvProj.Forward(_normed, _qkv, rows, then: (begin, end) => _rope.Forward(_qkv, batch, begin, end));
        _attention.Forward(_qkv, _logSums, _attended, batch);
        _oProj.Forward(_attended, _middle, rows, addend: x, then: (begin, end) => _postAttentionNorm.Forward(_middle, _middleNormed, begin, end));
        _gateUpProj.Forward(_middleNormed, _gateUp, rows, then: (begin, end) => _swiGlu.Forward(_gateUp, _activated, begin, end));
        _downProj.Forward(_activated, y, rows, addend: _middle);
    }

    /// <summary>Turns ∂loss/∂y in <paramref name="gradient"/> into ∂loss/∂x, and adds to the parameters' gradients.</summary>
    public void Backward(Workbench bench, Matrix x, Matrix gradient, TokenBatch batch)
    {
        var rows = batch.Rows;
        var dActivated = bench.Scratch("d activated", _activated.Rows, _activated.Columns);
        var dGateUp = bench.Scratch("d gate up", _gateUp.Rows, _gateUp.Columns);
        var dNormed = bench.Scratch("d normed", _normed.Rows, _normed.Columns);
        _downProj.Backward(_activated, gradient, dActivated, rows, then: (begin, end) => _swiGlu.Backward(_gateUp, dActivated, dGateUp, begin, end));
        _gateUpProj.Backward(_middleNormed, dGateUp, dNormed, rows);
        _postAttentionNorm.Backward(_middle, dNormed, gradient, rows);

        var dAttended = bench.Scratch("d attended", _attended.Rows, _attended.Columns);
        var dQkv = bench.Scratch("d qkv", _qkv.Rows, _qkv.Columns);
        _oProj.Backward(_attended, gradient, dAttended, rows);
        _attention.Backward(_qkv, _logSums, _attended, dAttended, dQkv, batch);
        _rope.Backward(dQkv, batch);
        _qkvProj.Backward(_normed, dQkv, dNormed, rows);
        _inputNorm.Backward(x, dNormed, gradient, rows);
    }

    public void Dispose()
    {
        Parameters.ForEach(parameter => parameter.Dispose());
        Matrix[] kept = [_normed, _qkv, _logSums, _attended, _middle, _middleNormed, _gateUp, _activated];
        Array.ForEach(kept, matrix => matrix.Dispose());
    }

    private Parameter Add(Parameter parameter)
    {
        Parameters.Add(parameter);
        return parameter;
    }
}
