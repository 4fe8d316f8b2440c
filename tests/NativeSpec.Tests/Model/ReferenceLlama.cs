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
    private readonly double[] _frequencies = RopeFrequencies.Of(config, 256);
    private readonly double _magnitude = config.RopeScaling?.Magnitude ?? 1;

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
        double[] x = [.. Row(tensors.Embedding, token).Select(value => value * config.EmbeddingMultiplier)];
        var scale = config.AttentionMultiplier ?? 1 / Math.Sqrt(d);
        for (var i = 0; i < config.NumHiddenLayers; i++)
        {
            var layer = tensors.Layers[i];
            var h = Norm(x, layer.InputNorm);
            var q = Turn(i, NormHeads(Linear(layer.QProj, layer.QBias, h), layer.QNorm), position);
            _keys[i].Add(Turn(i, NormHeads(Linear(layer.KProj, layer.KBias, h), layer.KNorm), position));
            _values[i].Add(Linear(layer.VProj, layer.VBias, h));
            var first = config.SlidingWindow is { } window && config.WindowedLayers?[i] != false ? Math.Max(0, position + 1 - window) : 0;
            var attended = new double[q.Length];
            for (var head = 0; head < config.NumAttentionHeads; head++)
            {
                var kvHead = head / (config.NumAttentionHeads / config.NumKeyValueHeads);
                var scores = _keys[i].Skip(first).Select(k => Enumerable.Range(0, d).Sum(j => q[(head * d) + j] * k[(kvHead * d) + j]) * scale).ToArray();
                var weights = scores.Select(s => Math.Exp(s - scores.Max())).ToArray();
                for (var j = 0; j < d; j++)
                {
                    attended[(head * d) + j] = _values[i].Skip(first).Select((v, p) => weights[p] * v[(kvHead * d) + j]).Sum() / weights.Sum();
                }
            }

            x = AddBranch(x, Linear(layer.OProj, layer.OBias, attended));
            h = Norm(x, layer.PostAttentionNorm);
            double[] gate = Linear(layer.GateProj, layer.GateBias, h), up = Linear(layer.UpProj, layer.UpBias, h);
            x = AddBranch(x, Linear(layer.DownProj, layer.DownBias, [.. gate.Zip(up, (g, u) => g / (1 + Math.Exp(-g)) * u)]));
        }

        return [.. Linear(tensors.LmHead, null, Norm(x, tensors.FinalNorm)).Select(logit => logit / config.LogitsScaling)];
    }

    private double[] NormHeads(double[] heads, TensorView? gain)
        => gain is null ? heads : [.. heads.Chunk(config.HeadDim).SelectMany(head => Norm(head, gain))];

    private double[] Turn(int layer, double[] vector, int position)
    {
        var (half, turned) = ((int)(config.HeadDim * config.PartialRotaryFactor) / 2, (double[])vector.Clone());
        for (var i = config.RotatedLayers?[layer] == false ? vector.Length : 0; i < vector.Length; i += config.HeadDim)
        {
            for (var j = 0; j < half; j++)
            {
                var (sin, cos) = Math.SinCos(position * _frequencies[j]);
                (sin, cos) = (sin * _magnitude, cos * _magnitude);
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

    private double[] AddBranch(double[] x, double[] branch) => [.. x.Zip(branch, (u, v) => u + (v * config.ResidualMultiplier))];

    private static double[] Row(TensorView table, int row)
        => [.. Enumerable.Range(0, (int)table.Shape[1]).Select(i => At(table, (row * table.Shape[1]) + i))];

    private static unsafe double At(TensorView tensor, long i) => tensor.DType switch
    {
        DType.BF16 => BitConverter.UInt32BitsToSingle((uint)((ushort*)tensor.Data)[i] << 16),
        DType.F16 => (double)((Half*)tensor.Data)[i],
        _ => ((float*)tensor.Data)[i],
    };
}
