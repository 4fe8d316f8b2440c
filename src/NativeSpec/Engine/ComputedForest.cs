using NativeSpec.Model;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine;

/// <summary>The last forward of a model, as speculation sees it: logits and hidden states by tree and node.</summary>
internal sealed class ComputedForest(LlamaModel model, Forest forest) : IComputedTrees
{
    public ReadOnlySpan<float> Logits(int tree, int node) => model.Logits(forest.LogitRow(tree, node));

    public ReadOnlySpan<float> Hidden(int tree, int node) => model.Hidden(forest.LogitRow(tree, node)).Values;
}
