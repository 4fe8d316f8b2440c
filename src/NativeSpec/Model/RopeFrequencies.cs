using NativeSpec.Backends;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Model;

/// <summary>How fast the pairs of a head turn: angle(position, i) = position · f_i with f_i = theta^(−2i / rotaryDim), scaled as the checkpoint says.</summary>
/// <remarks>Kind <c>longrope</c> has two lists of factors. transformers takes one or the other by how long the text is now, and computes all keys anew
/// when it grows past the original context; here the list goes by the context that the model is run with, so that a position's angles
/// stay: the short list where no text can be longer than the original context, and else the long one for texts of every length.</remarks>
internal static class RopeFrequencies
{
    /// <summary>The angles of a model's positions.</summary>
    /// <param name="config">The model.</param>
    /// <param name="maxContext">The longest text that it is run with.</param>
    public static RotationAngles Angles(LlamaConfig config, int maxContext)
        => new(Of(config, maxContext), config.RopeScaling?.Magnitude ?? 1, maxContext);

    /// <summary>[rotaryDim/2] angle per position.</summary>
    /// <param name="config">The model.</param>
    /// <param name="maxContext">The longest text that it is run with.</param>
    /// <remarks>Kind <c>llama3</c>: wavelengths shorter than a part of the original context keep their frequency, long ones are slowed by
    /// the factor, and between the two the frequency moves linearly (Llama 3.1 model card; Hugging Face's modeling_rope_utils).</remarks>
    internal static double[] Of(LlamaConfig config, int maxContext)
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
