using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

/// <summary>Base of drafters that need neither the prompt nor what became of a round.</summary>
internal abstract class StatelessDrafter(string name) : IDrafterSource, IDrafter
{
    public string Name => name;

    public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

    public abstract void Propose(DraftContext context, DraftTree tree);

    public void Observe(RoundOutcome outcome)
    {
    }

    public void Dispose()
    {
    }
}

/// <summary>Knows the whole text, prompt and output, and proposes just that.</summary>
internal sealed class AlwaysRightDrafter(int[] text) : StatelessDrafter("right")
{
    public override void Propose(DraftContext context, DraftTree tree)
    {
        var depth = Math.Min(context.Budget, context.MaxDepth);
        for (var (node, i) = (0, context.Text.Length); depth > 0 && node >= 0 && i < text.Length; i++, depth--)
        {
            node = tree.Add(node, text[i], rank: 0, confidence: 1);
        }
    }
}

/// <summary>Knows the whole text and is sure of anything else: a chain of wrong tokens with wrong siblings, to the end of its
/// budget.</summary>
internal sealed class AlwaysWrongDrafter(int[] text, int vocabSize) : StatelessDrafter("wrong")
{
    public override void Propose(DraftContext context, DraftTree tree)
    {
        if (context.MaxDepth == 0)
        {
            return;
        }

        var (node, depth) = (0, 0);
        for (var i = 0; i < context.Budget; i++)
        {
            var position = context.Text.Length + depth;
            var right = position < text.Length ? text[position] : 0;
            var wrong = (right + 1 + (i % Math.Max(1, vocabSize - 1))) % vocabSize;
            var added = tree.Add(node, wrong, rank: i, confidence: 1);
            if (added >= 0 && i % 2 == 0 && tree.Depth(added) < context.MaxDepth)
            {
                (node, depth) = (added, depth + 1);
            }
        }
    }
}

/// <summary>Proposes ids that do not exist, below nodes that do not exist, and far more than there is room for; among them real tokens
/// with absurd ranks and confidences, and candidates below its own probes.</summary>
internal sealed class GarbageDrafter(int vocabSize) : StatelessDrafter("garbage")
{
    private static readonly int[] Ids = [-1, int.MinValue, int.MaxValue];
    private static readonly float[] Confidences = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, -1, 2];

    public override void Propose(DraftContext context, DraftTree tree)
    {
        foreach (var id in Ids)
        {
            tree.Add(0, id);
            tree.AddProbe(0, id);
            tree.Add(id, 0);
            tree.AddProbe(id, 0);
        }

        tree.Add(0, vocabSize);
        tree.Add(tree.Count, 0);
        var probe = tree.AddProbe(0, 0);
        tree.Add(probe, 0);
        for (var i = 0; i < 4 * tree.Capacity; i++)
        {
            var rank = i % 2 == 0 ? int.MinValue : int.MaxValue;
            tree.Add(i % tree.Count, (i * 7) % vocabSize, rank, Confidences[i % Confidences.Length]);
        }
    }
}
