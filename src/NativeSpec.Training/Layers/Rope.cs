using System.Numerics;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;

namespace NativeSpec.Training.Layers;

/// <summary>Rotary position embedding (Su et al., 2021): turns the pairs (i, i + headDim/2) of each head of q and k by position · f_i. The
/// gradient is turned back by the same angle, because the transpose of a rotation is its inverse.</summary>
/// <remarks>qkv: [rows, (heads + 2·kvHeads)·headDim].</remarks>
internal sealed class Rope
{
    private readonly Workbench _bench;
    private readonly int _headDim;
    private readonly int _turnedHeads;
    private readonly float[] _cos; // [positions, headDim/2]
    private readonly float[] _sin;

    public Rope(Workbench bench, LlamaConfig config, int positions)
    {
        _bench = bench;
        _headDim = config.HeadDim;
        _turnedHeads = config.NumAttentionHeads + config.NumKeyValueHeads;
        var frequencies = RopeFrequencies.Of(config, positions);
        _cos = new float[positions * frequencies.Length];
        _sin = new float[positions * frequencies.Length];
        for (var i = 0; i < _cos.Length; i++)
        {
            var (sin, cos) = Math.SinCos(i / frequencies.Length * frequencies[i % frequencies.Length]);
            (_cos[i], _sin[i]) = ((float)cos, (float)sin);
        }
    }

    /// <summary>Turns q and k of rows [begin, end) in place.</summary>
    public void Forward(Matrix qkv, TokenBatch batch, int begin, int end) => Turn(qkv, batch, begin, end, 1);

    /// <summary>Turns their gradient back in place, of all rows.</summary>
    public void Backward(Matrix dqkv, TokenBatch batch) => _bench.ForRanges(batch.Rows, (begin, end) => Turn(dqkv, batch, begin, end, -1));

    private void Turn(Matrix qkv, TokenBatch batch, int begin, int end, float direction)
    {
        var half = _headDim / 2;
        for (var row = begin; row < end; row++)
        {
            var angles = row % batch.Length * half;
            var cos = _cos.AsSpan(angles, half);
            var sin = _sin.AsSpan(angles, half);
            for (var head = 0; head < _turnedHeads; head++)
            {
                var a = qkv.Row(row).Slice(head * _headDim, half);
                var b = qkv.Row(row).Slice((head * _headDim) + half, half);
                var i = 0;
                for (; i <= half - Vector<float>.Count; i += Vector<float>.Count)
                {
                    Vector<float> u = new(a[i..]), v = new(b[i..]), c = new(cos[i..]), s = new Vector<float>(sin[i..]) * direction;
                    ((u * c) - (v * s)).CopyTo(a[i..]);
                    ((v * c) + (u * s)).CopyTo(b[i..]);
                }

                for (; i < half; i++)
                {
                    (a[i], b[i]) = ((a[i] * cos[i]) - (b[i] * sin[i] * direction), (b[i] * cos[i]) + (a[i] * sin[i] * direction));
                }
            }
        }
    }
}
