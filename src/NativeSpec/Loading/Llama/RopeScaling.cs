namespace NativeSpec.Loading.Llama;

/// <summary>How the rotary frequencies of a model are stretched beyond the context it was first trained for.</summary>
public enum RopeScalingKind
{
    /// <summary>Every frequency is divided by <see cref="RopeScaling.Factor"/> (position interpolation).</summary>
    Linear,

    /// <summary>Low frequencies are divided by <see cref="RopeScaling.Factor"/>, high ones kept, those between blended (Llama 3.1).</summary>
    Llama3,

    /// <summary>The same by the number of turns in the original context, and q and k grow (YaRN; Peng et al., 2023).</summary>
    Yarn,

    /// <summary>Each frequency is divided by its own factor, of one list within the original context and of another beyond it, and q and k grow
    /// (LongRoPE; Ding et al., 2024).</summary>
    LongRope,
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

    /// <summary>Llama3, Yarn, LongRope: the context, in tokens, of the first training.</summary>
    public int OriginalMaxPositionEmbeddings { get; init; } = 8192;

    /// <summary>Yarn: frequencies that turn more often than this in the original context are kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>Yarn: frequencies that turn less often than this in the original context are divided by the factor.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>Yarn: whether the blending begins and ends at whole dimensions.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>Yarn: with <see cref="MscaleAllDim"/>, the growth of q and k is the quotient of the two's.</summary>
    public double? Mscale { get; init; }

    /// <summary>Yarn: see <see cref="Mscale"/>.</summary>
    public double? MscaleAllDim { get; init; }

    /// <summary>Yarn, LongRope: what cosines and sines are multiplied by; null for what follows from the factor.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>LongRope: [rotated / 2] divisors of the frequencies in contexts up to the original one.</summary>
    public IReadOnlyList<double> ShortFactors { get; init; } = [];

    /// <summary>LongRope: [rotated / 2] divisors of the frequencies in longer contexts.</summary>
    public IReadOnlyList<double> LongFactors { get; init; } = [];

    /// <summary>What cosines and sines are multiplied by.</summary>
    internal double Magnitude => Kind switch
    {
        RopeScalingKind.Yarn => AttentionFactor ?? (Mscale is { } one and not 0 && MscaleAllDim is { } all and not 0 ? YarnGrowth(one) / YarnGrowth(all) : YarnGrowth(1)),
        RopeScalingKind.LongRope => AttentionFactor ?? (Factor <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(Factor) / Math.Log(OriginalMaxPositionEmbeddings)))),
        _ => 1,
    };

    /// <summary>Equal where every value is, also those of the lists.</summary>
    public bool Equals(RopeScaling? other) => other is not null && Scalars() == other.Scalars()
        && ShortFactors.SequenceEqual(other.ShortFactors) && LongFactors.SequenceEqual(other.LongFactors);

    /// <inheritdoc/>
    public override int GetHashCode() => Scalars().GetHashCode();

    /// <summary>What is wrong with the values, or null.</summary>
    /// <param name="rotaryDim">Rotated elements of a head.</param>
    internal string? FindProblem(int rotaryDim)
    {
        if (!(Factor >= 1 && double.IsFinite(Factor)))
        {
            return $"rope_scaling.factor is {Factor}; expected a finite number of 1 or more";
        }

        return Kind == RopeScalingKind.Linear ? null
            : OriginalMaxPositionEmbeddings < 1 ? $"rope_scaling.original_max_position_embeddings is {OriginalMaxPositionEmbeddings}; expected 1 or more"
            : Kind switch
            {
                RopeScalingKind.Llama3 => Ordered("low_freq_factor", LowFreqFactor, "high_freq_factor", HighFreqFactor),
                RopeScalingKind.Yarn => Ordered("beta_slow", BetaSlow, "beta_fast", BetaFast) ?? MagnitudeProblem(),
                _ => FactorsProblem("short_factor", ShortFactors, rotaryDim / 2) ?? FactorsProblem("long_factor", LongFactors, rotaryDim / 2)
                    ?? (OriginalMaxPositionEmbeddings < 2 ? "rope_scaling.original_max_position_embeddings is 1; expected 2 or more" : MagnitudeProblem()),
            };
    }

    private static string? Ordered(string lowName, double low, string highName, double high)
    {
        if (!(low > 0 && double.IsFinite(low)))
        {
            return $"rope_scaling.{lowName} is {low}; expected a finite number above 0";
        }

        return high > low && double.IsFinite(high) ? null : $"rope_scaling.{highName} is {high}; expected a finite number above {lowName}, which is {low}";
    }

    private static string? FactorsProblem(string name, IReadOnlyList<double> factors, int count)
    {
        if (factors.Count != count)
        {
            return $"rope_scaling.{name} has {factors.Count} numbers; expected {count}, one for each rotated pair of a head";
        }

        foreach (var factor in factors)
        {
            if (!(factor > 0 && double.IsFinite(factor)))
            {
                return $"rope_scaling.{name} holds {factor}; expected finite numbers above 0";
            }
        }

        return null;
    }

    private string? MagnitudeProblem() => Magnitude > 0 && double.IsFinite(Magnitude) ? null
        : $"rope_scaling multiplies queries and keys by {Magnitude}; expected a finite number above 0 (attention_factor, mscale, mscale_all_dim)";

    private double YarnGrowth(double scale) => Factor <= 1 ? 1 : (0.1 * scale * Math.Log(Factor)) + 1;

    private (RopeScalingKind Kind, double Factor, double Low, double High, int Original, double Fast, double Slow, bool Truncate, double? Mscale, double? AllDim, double? Attention) Scalars()
        => (Kind, Factor, LowFreqFactor, HighFreqFactor, OriginalMaxPositionEmbeddings, BetaFast, BetaSlow, Truncate, Mscale, MscaleAllDim, AttentionFactor);
}
