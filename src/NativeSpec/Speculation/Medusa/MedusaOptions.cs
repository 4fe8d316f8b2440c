using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Speculation.Medusa;

/// <summary>How Medusa heads are turned into candidates.</summary>
public sealed record MedusaOptions
{
    /// <summary>The tree that is filled every round, of at most 64 tokens for a place; null for a tree that follows the heads' probabilities, which is the better one where
    /// the heads know what they know.</summary>
    public TreeLayout? Tree { get; init; }

    /// <summary>Tokens that are considered for each place of a dynamic tree, 1 to 64.</summary>
    public int TopK { get; init; } = 10;

    /// <summary>The name under which statistics and options know the heads.</summary>
    public string Name { get; init; } = "medusa";
}
