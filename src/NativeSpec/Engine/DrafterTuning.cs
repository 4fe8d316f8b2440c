namespace NativeSpec.Engine;

/// <summary>What measurements say about a drafter on this machine.</summary>
/// <param name="Name">The drafter, by the name that the engine gave it.</param>
/// <param name="Pays">Whether it makes text faster; one that does not is left out of <c>Auto</c>.</param>
/// <param name="Depth">For a draft model, the best length of its paths; null otherwise.</param>
/// <param name="Width">For a draft model, the best number of nodes per depth; null otherwise.</param>
public sealed record DrafterTuning(string Name, bool Pays, int? Depth = null, int? Width = null);
