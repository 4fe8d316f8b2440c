using NativeSpec.Engine.Requests;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Engine.Rounds;

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
    private readonly int[] _computed = new int[maxSequences];  // [prompts] tokens that their rows see
    private readonly int[] _shares = new int[maxSequences];    // [prompts] rows of this round
    private int _prompts;
    private Sequence? _oldest;                                 // of them: the first in the order of service

    /// <summary>How long rows of prompts take.</summary>
    public PromptCost Cost { get; } = new(plainCost);

    /// <summary>Shares a round's rows out.</summary>
    /// <param name="active">The round's sequences.</param>
    /// <param name="most">The most rows that there are for prompts.</param>
    /// <param name="texts">What else the round computes.</param>
    /// <returns>[prompts] rows of each sequence that has a prompt to compute; until the next call.</returns>
    public ReadOnlySpan<int> Share(List<Sequence> active, int most, in TextRows texts)
    {
        most = (int)Math.Min(most, TakeIn(active));
        if (_prompts == 0 || most < 1)
        {
            Array.Clear(_shares);
            return _shares.AsSpan(0, _prompts);
        }

        var rows = RowsWithin(SecondsFor(texts), most, texts);
        if (texts.Nodes > 0)
        {
            rows = RowsThatPay(rows, most, texts);
        }

        ShareOut(rows);
        _oldest!.RowsOwed = PromptSharing.OwedAfter(_oldest.RowsOwed, rows, _shares[0]);
        return _shares.AsSpan(0, _prompts);
    }

    /// <summary>Notes the prompts; returns the tokens that are left to compute of all of them.</summary>
    private long TakeIn(List<Sequence> active)
    {
        _oldest = null;
        var total = 0L;
        _prompts = 0;
        foreach (var sequence in active)
        {
            if (sequence.PromptRemaining > 0)
            {
                _oldest ??= sequence;
                (_remaining[_prompts], _computed[_prompts]) = (sequence.PromptRemaining, sequence.Kv!.Length);
                total += _remaining[_prompts++];
            }
        }

        return total;
    }

    /// <summary>Seconds that the round's forward may take.</summary>
    private double SecondsFor(in TextRows texts)
    {
        if (texts.Nodes == 0)
        {
            var shortest = 0;
            for (var i = 1; i < _prompts; i++)
            {
                shortest = _remaining[i] < _remaining[shortest] ? i : shortest;
            }

            var context = _computed[shortest];
            return PromptSharing.OfPrompts(_prompts, plainCost.At(1, context) * Cost.Slowness, Cost.Seconds(_remaining[shortest], context));
        }

        // What drafting took belongs to the round with or without prompts; what drafters have read is a prompt's affair.
        var plain = plainCost.At(texts.Nodes, texts.Context) * Cost.Slowness;
        return PromptSharing.BesideTexts(texts.HasRead ? plain : plain + texts.Past) - texts.Past;
    }

    /// <summary>The most rows with which the forward takes no longer than it may; one in any case.</summary>
    private int RowsWithin(double seconds, int most, in TextRows texts)
    {
        var (fits, tooMany) = (1, most + 1);
        while (tooMany - fits > 1)
        {
            var rows = (fits + tooMany) / 2;
            (fits, tooMany) = Cost.Seconds(texts.Nodes + rows, ContextWith(rows, texts)) <= seconds ? (rows, tooMany) : (fits, rows);
        }

        return fits;
    }

    /// <summary>The fewest rows with which prompts are nearly as fast as alone, or as many as there may be. Only the curve is asked, whose errors at two
    /// numbers of rows are alike and cancel out.</summary>
    /// <param name="rows">How many there may be.</param>
    /// <param name="most">How many there could be if the prompts were alone.</param>
    /// <param name="texts">What else the round computes.</param>
    private int RowsThatPay(int rows, int most, in TextRows texts)
    {
        var (tooFew, enough) = (0, rows);
        while (enough - tooFew > 1)
        {
            var some = (tooFew + enough) / 2;
            var context = ContextWith(some, texts);
            var alone = plainCost.At(most, context) / most * some;
            (tooFew, enough) = alone >= PromptSharing.Efficiency * plainCost.At(texts.Nodes + some, context) ? (tooFew, some) : (some, enough);
        }

        return enough;
    }

    /// <summary>Tokens that the forward's rows see, on average, if it has so many of prompts.</summary>
    private int ContextWith(int rows, in TextRows texts)
    {
        ShareOut(rows);
        var seen = (long)texts.Nodes * texts.Context;
        for (var i = 0; i < _prompts; i++)
        {
            seen += (long)_shares[i] * _computed[i];
        }

        return (int)(seen / (texts.Nodes + rows));
    }

    private void ShareOut(int rows) => PromptSharing.Share(_remaining.AsSpan(0, _prompts), rows, _oldest!.RowsOwed, _shares.AsSpan(0, _prompts));
}
