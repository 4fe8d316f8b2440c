namespace NativeSpec.Loading.Llama;

/// <summary>How the rotary frequencies of a model are stretched beyond the context it was first trained for.</summary>
public enum RopeScalingKind
{
    /// <summary>Every frequency is divided by <see cref="RopeScaling.Factor"/> (position interpolation).</summary>
    Linear,

    /// <summary>Low frequencies are divided by <see cref="RopeScaling.Factor"/>, high ones kept, those between blended (Llama 3.1).</summary>
    Llama3,
}

/// <summary>The <c>rope_scaling</c> (since transformers 5: <c>rope_parameters</c>) of a configuration.</summary>
public sealed record RopeScaling
{
    /// <summary>The rule.</summary>
    public required RopeScalingKind Kind { get; init; }

    /// <summary>The stretch, 1 or more.</summary>
    public required double Factor { get; init; }

    /// <summary>Llama3: wavelengths longer than <see cref="OriginalMaxPositionEmbeddings"/> divided by this are divided by the factor.</summary>
    public double LowFreqFactor { get; init; } = 1;

    /// <summary>Llama3: wavelengths shorter than <see cref="OriginalMaxPositionEmbeddings"/> divided by this are kept.</summary>
    public double HighFreqFactor { get; init; } = 4;

    /// <summary>Llama3: the context, in tokens, of the first training.</summary>
    public int OriginalMaxPositionEmbeddings { get; init; } = 8192;

    /// <summary>What is wrong with the values, or null.</summary>
    internal string? FindProblem()
    {
        if (!(Factor >= 1 && double.IsFinite(Factor)))
        {
            return $"rope_scaling.factor is {Factor}; expected a finite number of 1 or more";
        }

        if (Kind == RopeScalingKind.Linear)
        {
            return null;
        }

        if (!(LowFreqFactor > 0 && double.IsFinite(LowFreqFactor)))
        {
            return $"rope_scaling.low_freq_factor is {LowFreqFactor}; expected a finite number above 0";
        }

        if (!(HighFreqFactor > LowFreqFactor && double.IsFinite(HighFreqFactor)))
        {
            return $"rope_scaling.high_freq_factor is {HighFreqFactor}; expected a finite number above low_freq_factor, which is {LowFreqFactor}";
        }

        return OriginalMaxPositionEmbeddings < 1
            ? $"rope_scaling.original_max_position_embeddings is {OriginalMaxPositionEmbeddings}; expected 1 or more"
            : null;
    }
}
