using NativeSpec.Sampling;

namespace NativeSpec.Model;

/// <summary>How the rows of a tree are to be chosen from. Pulled: by a device for every row before it computes, by the processor when a walk
/// arrives at a row.</summary>
internal interface IRowChoices
{
    /// <summary>All that stands between a node's row and its token; its spans may be used again at the next call.</summary>
    /// <param name="node">A node of the tree whose logits are wanted.</param>
    RowChoice Describe(int node);

    /// <summary>Whether the text goes on to a node wherever the node's token is chosen after its parent. To such nodes a device may walk by itself.</summary>
    /// <param name="node">A node of the tree, not its root.</param>
    bool FollowsToken(int node);
}
