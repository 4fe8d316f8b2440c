using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Model;

/// <summary>Cosines and sines of the rotation angles: angle(position, i) = position · f_i with f_i = theta^(−2i / rotaryDim), scaled as the
/// checkpoint says. Computed in float64 when a position is first reached, then looked up.</summary>
/// <remarks>Kind <c>longrope</c> has two lists of factors. transformers takes one or the other by how long the text is now, and computes all keys anew
/// when it grows past the original context; here the list goes by the context that the model is run with, so that a position's angles
/// stay: the short list where no text can be longer than the original context, and else the long one for texts of every length.</remarks>
internal sealed unsafe class RopeTable : IDisposable
{
    private readonly double[] _frequencies;
    private readonly double _magnitude;
    private readonly NativeBuffer<float> _cos;
    private readonly NativeBuffer<float> _sin;
    private int _known;

    public RopeTable(LlamaConfig config, int maxContext)
    {
        _frequencies = Frequencies(config, maxContext);
        _magnitude = config.RopeScaling?.Magnitude ?? 1;
        _cos = new NativeBuffer<float>(checked((long)maxContext * _frequencies.Length));
        _sin = new NativeBuffer<float>(checked((long)maxContext * _frequencies.Length));
    }

    /// <summary>Copies the [rotaryDim/2] cosines and sines of a position.</summary>
    public void CopyTo(int position, Span<float> cos, Span<float> sin)
    {
        var half = _frequencies.Length;
        for (; _known <= position; _known++)
        {
            for (var i = 0; i < half; i++)
            {
                var (s, c) = Math.SinCos(_known * _frequencies[i]);
                _cos.Pointer[((long)_known * half) + i] = (float)(c * _magnitude);
                _sin.Pointer[((long)_known * half) + i] = (float)(s * _magnitude);
            }
        }

        _cos.Slice((long)position * half, half).CopyTo(cos);
        _sin.Slice((long)position * half, half).CopyTo(sin);
    }

    /// <summary>[rotaryDim/2] angle per position.</summary>
    /// <param name="config">The model.</param>
    /// <param name="maxContext">The longest text that it is run with.</param>
    /// <remarks>Kind <c>llama3</c>: wavelengths shorter than a part of the original context keep their frequency, long ones are slowed by
    /// the factor, and between the two the frequency moves linearly (Llama 3.1 model card; Hugging Face's modeling_rope_utils).</remarks>
    internal static double[] Frequencies(LlamaConfig config, int maxContext)
    {
        var frequencies = new double[config.RotaryDim / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var f = Math.Pow(config.RopeTheta, -2.0 * i / config.RotaryDim);
            frequencies[i] = config.RopeScaling switch
            {
                null => f,
                { Kind: RopeScalingKind.Linear } scaling => f / scaling.Factor,
                { Kind: RopeScalingKind.Llama3 } scaling => Llama3(f, scaling),
                { Kind: RopeScalingKind.Yarn } scaling => Yarn(f, i, config, scaling),
                { } scaling => f / (maxContext > scaling.OriginalMaxPositionEmbeddings ? scaling.LongFactors : scaling.ShortFactors)[i],
            };
        }

        return frequencies;
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }

    /// <summary>YaRN (Peng et al., 2023, section 3.2): between the dimensions that turn betaFast and betaSlow times in the original context the
    /// frequency moves linearly from kept to divided.</summary>
    private static double Yarn(double f, int i, LlamaConfig config, RopeScaling scaling)
    {
        var (low, high) = (DimensionOf(scaling.BetaFast), DimensionOf(scaling.BetaSlow));
        if (scaling.Truncate)
        {
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        }

        (low, high) = (Math.Max(low, 0), Math.Min(high, config.RotaryDim - 1));
        var divided = Math.Clamp((i - low) / (low == high ? 0.001 : high - low), 0, 1);
        return (divided * f / scaling.Factor) + ((1 - divided) * f);

        double DimensionOf(double turns)
            => config.RotaryDim * Math.Log(scaling.OriginalMaxPositionEmbeddings / (turns * 2 * Math.PI)) / (2 * Math.Log(config.RopeTheta));
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
