using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Model;

/// <summary>Cosines and sines of the rotation angles: angle(position, i) = position · f_i with f_i = theta^(−2i / headDim), scaled as the
/// checkpoint says. Computed in float64 when a position is first reached, then looked up.</summary>
internal sealed unsafe class RopeTable : IDisposable
{
    private readonly double[] _frequencies;
    private readonly NativeBuffer<float> _cos;
    private readonly NativeBuffer<float> _sin;
    private int _known;

    public RopeTable(LlamaConfig config, int maxContext)
    {
        _frequencies = Frequencies(config);
        _cos = new NativeBuffer<float>(checked((long)maxContext * _frequencies.Length));
        _sin = new NativeBuffer<float>(checked((long)maxContext * _frequencies.Length));
    }

    /// <summary>Copies the [headDim/2] cosines and sines of a position.</summary>
    public void CopyTo(int position, Span<float> cos, Span<float> sin)
    {
        var half = _frequencies.Length;
        for (; _known <= position; _known++)
        {
            for (var i = 0; i < half; i++)
            {
                var (s, c) = Math.SinCos(_known * _frequencies[i]);
                _cos.Pointer[((long)_known * half) + i] = (float)c;
                _sin.Pointer[((long)_known * half) + i] = (float)s;
            }
        }

        _cos.Slice((long)position * half, half).CopyTo(cos);
        _sin.Slice((long)position * half, half).CopyTo(sin);
    }

    /// <summary>[headDim/2] angle per position.</summary>
    /// <remarks>Kind <c>llama3</c>: wavelengths shorter than a part of the original context keep their frequency, long ones are slowed by
    /// the factor, and between the two the frequency moves linearly (Llama 3.1 model card; Hugging Face's modeling_rope_utils).</remarks>
    internal static double[] Frequencies(LlamaConfig config)
    {
        var frequencies = new double[config.HeadDim / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var f = Math.Pow(config.RopeTheta, -2.0 * i / config.HeadDim);
            frequencies[i] = config.RopeScaling switch
            {
                null => f,
                { Kind: RopeScalingKind.Linear } scaling => f / scaling.Factor,
                { } scaling => Llama3(f, scaling),
            };
        }

        return frequencies;
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }

    private static double Llama3(double f, RopeScaling scaling)
    {
        var turns = scaling.OriginalMaxPositionEmbeddings * f / (2 * Math.PI); // full turns within the original context
        if (turns > scaling.HighFreqFactor)
        {
            return f;
        }

        if (turns < scaling.LowFreqFactor)
        {
            return f / scaling.Factor;
        }

        var kept = (turns - scaling.LowFreqFactor) / (scaling.HighFreqFactor - scaling.LowFreqFactor);
        return (kept * f) + ((1 - kept) * f / scaling.Factor);
    }
}
