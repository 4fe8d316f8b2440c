namespace NativeSpec.Speculation;

/// <summary>How a request speculates: <see cref="Auto"/>, <see cref="Off"/>, or drafters of its own choice.</summary>
public sealed record SpeculationOptions
{
    /// <summary>The same as <c>new()</c>: all drafters that the engine has; every round computes the candidates that are expected to earn
    /// their cost on this machine, down to none. The text of a seed is that of plain decoding.</summary>
    public static SpeculationOptions Auto { get; } = new();

    /// <summary>Plain decoding, one token per forward.</summary>
    public static SpeculationOptions Off { get; } = new() { Drafters = [], Sources = [] };

    /// <summary>Names of the engine's drafters to use; null for all of them.</summary>
    public IReadOnlyList<string>? Drafters { get; init; }

    /// <summary>Further drafters, with parameters of this request's own. They stay the caller's, and must outlive the request.</summary>
    public IReadOnlyList<IDrafterSource> Sources { get; init; } = [];

    /// <summary>Compute every candidate up to <see cref="MaxNodes"/>, whatever it costs: for research and measurements. False, the default,
    /// computes only what is expected to earn its cost.</summary>
    public bool Unplanned { get; init; }

    /// <summary>Most candidates computed in a round, 1 to 256; the engine's own limit counts too.</summary>
    public int MaxNodes { get; init; } = 64;

    /// <summary>Let draft models sample their tokens, and verify these by the residual walk. The distribution of the text is the same, and more is
    /// accepted at high temperatures; but the text of a seed is not that of plain decoding.</summary>
    public bool SampleDrafts { get; init; }

    /// <summary>Accept by Medusa's typical acceptance instead of verifying. <b>Lossy</b>: the text does not follow the model's distribution.
    /// Null, the default, verifies.</summary>
    public LossyTypicalAcceptance? LossyTypicalAcceptance { get; init; }

    /// <summary>Where each round's tree and what became of it is written; null for nowhere. Stays the caller's.</summary>
    public SpeculationTrace? Trace { get; init; }

    /// <summary>Whether no drafter at all is asked.</summary>
    internal bool IsOff => Drafters is { Count: 0 } && Sources.Count == 0;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    internal void Validate(IReadOnlyCollection<string> known)
    {
        if (MaxNodes is < 1 or > 256)
        {
            throw new ArgumentException($"{nameof(MaxNodes)} is {MaxNodes}; it must be 1 to 256");
        }

        foreach (var name in Drafters ?? [])
        {
            if (!known.Contains(name))
            {
                throw Wrong(nameof(Drafters), $"there is no drafter '{name}'; this engine has {(known.Count == 0 ? "none" : string.Join(", ", known))}");
            }
        }

        LossyTypicalAcceptance?.Validate();
    }

    private static ArgumentException Wrong(string option, string message) => new(message, option);
}

/// <summary>Medusa's typical acceptance (Cai et al., 2024): a candidate is accepted when its probability exceeds min(ε, δ·exp(−H)), H being
/// the entropy at its parent. <b>Lossy</b>: unlikely tokens are cut off and likely candidates preferred.</summary>
/// <param name="Epsilon">ε: a probability above this is always accepted.</param>
/// <param name="Delta">δ: the factor of exp(−entropy).</param>
public sealed record LossyTypicalAcceptance(double Epsilon = 0.09, double Delta = 0.3)
{
    internal void Validate()
    {
        if (Epsilon is not (> 0 and <= 1) || Delta is not (> 0 and <= 1))
        {
            throw new ArgumentException(FormattableString.Invariant($"typical acceptance has epsilon {Epsilon} and delta {Delta}; both must be above 0 and at most 1"));
        }
    }
}
