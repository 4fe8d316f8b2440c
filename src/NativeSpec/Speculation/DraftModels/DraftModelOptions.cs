namespace NativeSpec.Speculation.DraftModels;

/// <summary>How a draft model drafts.</summary>
public sealed record DraftModelOptions
{
    /// <summary>The name under which statistics and options know it.</summary>
    public string Name { get; init; } = "draft";

    /// <summary>Longest path, 1 to 32.</summary>
    public int Depth { get; init; } = 6;

    /// <summary>Nodes kept per depth, the most probable paths first: 1 drafts a chain, more a tree. 1 to 16.</summary>
    public int Width { get; init; } = 1;

    /// <summary>A path less probable than this, by the draft's own reckoning, is not followed further. 0 to 1.</summary>
    public float StopBelow { get; init; } = 0.05f;

    internal void Validate()
    {
        OptionRange.Require(nameof(Depth), Depth, 1, 32);
        OptionRange.Require(nameof(Width), Width, 1, 16);
        if (!(StopBelow >= 0 && StopBelow <= 1))
        {
            throw new ArgumentException(FormattableString.Invariant($"{nameof(StopBelow)} is {StopBelow}; it must be between 0 and 1"));
        }
    }
}
