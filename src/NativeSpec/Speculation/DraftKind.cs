namespace NativeSpec.Speculation;

/// <summary>What a drafter proposes from. It decides the order in a round: <see cref="Text"/> first, <see cref="Sampled"/> last.</summary>
public enum DraftKind
{
    /// <summary>From tokens alone, at next to no cost.</summary>
    Text,

    /// <summary>From something that it computes, a model or heads: asked after those that read, because where these know the text there is
    /// little to compute for.</summary>
    Computed,

    /// <summary>Samples its candidates where the request asks for that, and computes otherwise. Asked last, because a node whose children were
    /// sampled takes no further ones.</summary>
    Sampled,
}
