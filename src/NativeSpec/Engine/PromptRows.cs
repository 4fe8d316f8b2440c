using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine;

/// <summary>What a round computes and has done besides prompts.</summary>
/// <param name="Nodes">Nodes of the texts that are being written; 0 for none.</param>
/// <param name="Context">Tokens that they see, on average.</param>
/// <param name="Past">Seconds since the round began.</param>
/// <param name="HasRead">Whether drafters have read text meanwhile.</param>
internal readonly record struct TextRows(int Nodes, int Context, double Past, bool HasRead);

/// <summary>How many rows of which prompts a round computes: what <see cref="PromptSharing"/> gives them time for, and one in any case.</summary>
internal sealed class PromptRows(CostCurve plainCost, int maxSequences)
{
    private readonly int[] _remaining = new int[maxSequences]; // [prompts] tokens left to compute
    private readonly int[] _shares = new int[maxSequences];    // [prompts] rows of this round

    /// <summary>How long rows of prompts take.</summary>
    public PromptCost Cost { get; } = new(plainCost);

    /// <summary>Shares a round's rows out.</summary>
    /// <param name="active">The round's sequences.</param>
    /// <param name="most">The most rows that there are for prompts.</param>
    /// <param name="texts">What else the round computes.</param>
    /// <returns>[prompts] rows of each sequence that has a prompt to compute; until the next call.</returns>
    public ReadOnlySpan<int> Share(List<Sequence> active, int most, in TextRows texts)
    {
        var prompts = 0;
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0)
            {
                _remaining[prompts++] = sequence.PromptRemaining;
            }
        }

        var remaining = _remaining.AsSpan(0, prompts);
        PromptSharing.Share(remaining, most, _shares);
        if (prompts > 0 && most > 1)
        {
            var context = ContextOfShares(active);
            var rows = Cost.RowsWithin(SecondsFor(remaining, context, texts), context, texts.Nodes + most) - texts.Nodes;
            PromptSharing.Share(remaining, Math.Max(rows, 1), _shares);
        }

        return _shares.AsSpan(0, prompts);
    }

    /// <summary>Seconds that the round's forward may take.</summary>
    private double SecondsFor(ReadOnlySpan<int> remaining, int context, in TextRows texts)
    {
        if (texts.Nodes == 0)
        {
            var shortest = remaining[0];
            foreach (var left in remaining)
            {
                shortest = Math.Min(shortest, left);
            }

            return PromptSharing.OfPrompts(remaining.Length, plainCost.At(1, context) * Cost.Slowness, Cost.Seconds(shortest, context));
        }

        // What drafting took belongs to the round with or without prompts; what drafters have read is a prompt's affair.
        var plain = plainCost.At(texts.Nodes, texts.Context) * Cost.Slowness;
        return PromptSharing.BesideTexts(texts.HasRead ? plain : plain + texts.Past) - texts.Past;
    }

    /// <summary>Tokens that the rows see, on average, that were shared out last.</summary>
    private int ContextOfShares(List<Sequence> active)
    {
        var (seen, rows, prompt) = (0L, 0, 0);
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0)
            {
                seen += (long)_shares[prompt] * sequence.Kv!.Length;
                rows += _shares[prompt++];
            }
        }

        return (int)(seen / Math.Max(rows, 1));
    }
}
