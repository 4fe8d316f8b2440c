using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Model;

/// <summary>The model once more, as plainly as it can be said: float64, one token after the other, no cache pages, no tiles, no
/// threads. What <see cref="LlamaModel"/> is measured against.</summary>
internal sealed class ReferenceLlama(LlamaConfig config, LlamaTensors tensors)
{
    private readonly List<double[]>[] _keys = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new List<double[]>())];
    private readonly List<double[]>[] _values = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new List<double[]>())];
    private readonly double[] _frequencies = RopeTable.Frequencies(config);

    /// <summary>The logits after the tokens.</summary>
    public double[] Logits(IEnumerable<int> tokens)
    {
        double[] logits = [];
        foreach (var token in tokens)
        {
            logits = Step(token);
        }

        return logits;
    }

    private double[] Step(int token)
    {
        var (d, position) = (config.HeadDim, _keys[0].Count);
        var x = Row(tensors.Embedding, token);
        for (var i = 0; i < config.NumHiddenLayers; i++)
        {
            var layer = tensors.Layers[i];
            var h = Norm(x, layer.InputNorm);
            var q = Turn(Linear(layer.QProj, layer.QBias, h), position);
            _keys[i].Add(Turn(Linear(layer.KProj, layer.KBias, h), position));
            _values[i].Add(Linear(layer.VProj, layer.VBias, h));
            var attended = new double[q.Length];
            for (var head = 0; head < config.NumAttentionHeads; head++)
            {
                var kvHead = head / (config.NumAttentionHeads / config.NumKeyValueHeads);
                var scores = _keys[i].Select(k => Enumerable.Range(0, d).Sum(j => q[(head * d) + j] * k[(kvHead * d) + j]) / Math.Sqrt(d)).ToArray();
                var weights = scores.Select(s => Math.Exp(s - scores.Max())).ToArray();
                for (var j = 0; j < d; j++)
                {
                    attended[(head * d) + j] = _values[i].Select((v, p) => weights[p] * v[(kvHead * d) + j]).Sum() / weights.Sum();
                }
            }

            x = Add(x, Linear(layer.OProj, layer.OBias, attended));
            h = Norm(x, layer.PostAttentionNorm);
            double[] gate = Linear(layer.GateProj, layer.GateBias, h), up = Linear(layer.UpProj, layer.UpBias, h);
            x = Add(x, Linear(layer.DownProj, layer.DownBias, [.. gate.Zip(up, (g, u) => g / (1 + Math.Exp(-g)) * u)]));
        }

        return Linear(tensors.LmHead, null, Norm(x, tensors.FinalNorm));
    }

    private double[] Turn(double[] vector, int position)
    {
        var (half, turned) = (config.HeadDim / 2, (double[])vector.Clone());
        for (var i = 0; i < vector.Length; i += config.HeadDim)
        {
            for (var j = 0; j < half; j++)
            {
                var (sin, cos) = Math.SinCos(position * _frequencies[j]);
                turned[i + j] = (vector[i + j] * cos) - (vector[i + half + j] * sin);
                turned[i + half + j] = (vector[i + half + j] * cos) + (vector[i + j] * sin);
            }
        }

        return turned;
    }

    private double[] Norm(double[] x, TensorView gain)
    {
        var scale = 1 / Math.Sqrt(x.Average(v => v * v) + config.RmsNormEps);
        return [.. x.Select((v, i) => v * scale * At(gain, i))];
    }

    private static double[] Linear(TensorView weight, TensorView? bias, double[] x)
        => [.. Enumerable.Range(0, (int)weight.Shape[0]).Select(o => Enumerable.Range(0, x.Length).Sum(k => At(weight, ((long)o * x.Length) + k) * x[k]) + (bias is null ? 0 : At(bias, o)))];

    private static double[] Add(double[] a, double[] b) => [.. a.Zip(b, (u, v) => u + v)];

    private static double[] Row(TensorView table, int row)
        => [.. Enumerable.Range(0, (int)table.Shape[1]).Select(i => At(table, (row * table.Shape[1]) + i))];

    private static unsafe double At(TensorView tensor, long i) => tensor.DType switch
    {
        DType.BF16 => BitConverter.UInt32BitsToSingle((uint)((ushort*)tensor.Data)[i] << 16),
        DType.F16 => (double)((Half*)tensor.Data)[i],
        _ => ((float*)tensor.Data)[i],
    };
}
