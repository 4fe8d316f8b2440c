namespace NativeSpec.Engine.Profiles;

/// <summary>What a profile's file says.</summary>
/// <param name="Version">Of the format.</param>
/// <param name="Key">The machine and model.</param>
/// <param name="Acceptance">[drafter] its cells that are not empty: number, how often right, how often judged, as
/// <see cref="Speculation.Planning.AcceptanceEstimates.Export"/> counts them.</param>
/// <param name="Mixer">[drafter] <see cref="Speculation.Planning.LogisticMixer.Export"/>.</param>
/// <param name="Tuning">[drafter] what tuning found.</param>
internal sealed record ProfileContent(
    int Version, string Key, Dictionary<string, double[][]> Acceptance, Dictionary<string, double[]> Mixer, Dictionary<string, DrafterTuning> Tuning)
{
    /// <summary>When it was written.</summary>
    public DateTimeOffset Saved { get; init; }

    /// <summary>The cost curve; null where none was measured.</summary>
    public ProfileCost? Cost { get; init; }

    /// <summary>A profile that knows nothing yet.</summary>
    public static ProfileContent Empty(string key) => new(ProfileJson.Version, key, [], [], []);
}

/// <summary>A cost curve in a profile.</summary>
/// <param name="MaxNodes">How far it was asked to go; it may end before, where forwards are slow.</param>
/// <param name="MaxContext">The longest context that it was asked for; it may end before, where there is no room.</param>
/// <param name="Nodes">Numbers of nodes, ascending, the first 1.</param>
/// <param name="Contexts">Lengths of context, ascending.</param>
/// <param name="Seconds">[contexts, nodes] the times.</param>
/// <param name="Spread">[contexts, nodes] how far each may be off, as a part of it.</param>
/// <param name="Measured">When it was measured.</param>
/// <param name="Rounds">Rounds that have refined it since.</param>
internal sealed record ProfileCost(
    int MaxNodes, int MaxContext, int[] Nodes, int[] Contexts, double[] Seconds, double[] Spread, DateTimeOffset Measured, long Rounds);
