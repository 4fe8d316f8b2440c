namespace NativeSpec.Engine;

/// <summary>How much of prompts a round computes beside the texts that are being written, and of which prompts.</summary>
/// <remarks>
/// <para><b>The rule.</b> A round is bounded by the pace of those whom it keeps waiting. Beside texts that are being written, prompts may make it
/// <see cref="Stretch"/> times as long as it would be without them. Among themselves they may make it twice as long as the one with the
/// fewest tokens left would take to its end, so that a short prompt does not pay for a long one. A single prompt keeps waiting only who may
/// yet come: it is computed in chunks of <see cref="AloneStretch"/> forwards of one row, which costs it next to nothing, because then its
/// rows and not the reading of weights are what takes the time. Times that nobody notices count as none. Within these bounds and the engine's
/// chunk, a quarter of the rows go to the prompts in order of arrival, the others to those with the fewest tokens left (shortest
/// remaining processing time first); what either cannot use, the other may. So a short prompt passes a long one, whatever waits before it,
/// and the oldest takes at most four times the rounds it would take alone, however many short ones come after it. Prompts of one length are
/// computed one after the other, so that the first need not wait for the last.</para>
/// <para>The price is in the first bound: while a text is written, a forward's fixed part is paid once in so many rows fewer, so a prompt
/// gets 1 − 1 / <see cref="Stretch"/> of the machine at worst.</para>
/// </remarks>
internal static class PromptSharing
{
    /// <summary>How many times as long as without prompts a round may be where texts are being written.</summary>
    public const double Stretch = 2.5;

    /// <summary>How many times as long as a forward of one row a round may be where a single prompt is computed.</summary>
    public const double AloneStretch = 10;

    /// <summary>Seconds that no reader of a text notices.</summary>
    public const double Unnoticed = 0.005;

    /// <summary>Seconds that nobody notices who has yet to come.</summary>
    public const double UnnoticedBefore = 0.1;

    /// <summary>Seconds that a round beside texts that are being written may take.</summary>
    /// <param name="plain">Seconds that it would take without prompts.</param>
    public static double BesideTexts(double plain) => Math.Max(Stretch * plain, Unnoticed);

    /// <summary>Seconds that a round of prompts alone may take.</summary>
    /// <param name="prompts">How many there are.</param>
    /// <param name="oneRow">Seconds of a forward of one row.</param>
    /// <param name="shortest">Seconds of a forward of all that is left of the shortest.</param>
    public static double OfPrompts(int prompts, double oneRow, double shortest)
    {
        var alone = Math.Max(AloneStretch * oneRow, UnnoticedBefore);
        return prompts == 1 ? alone : Math.Min(alone, Math.Max(2 * shortest, Unnoticed));
    }

    /// <summary>Shares rows out.</summary>
    /// <param name="remaining">[prompts] tokens left to compute, in order of arrival.</param>
    /// <param name="rows">Rows of the round.</param>
    /// <param name="shares">[prompts] receives each prompt's rows, of which there are never more than it has tokens left.</param>
    public static void Share(ReadOnlySpan<int> remaining, int rows, Span<int> shares)
    {
        shares.Clear();
        var toShortest = rows * 3 / 4;
        rows = TakeInOrder(remaining, rows - toShortest, shares) + toShortest;
        for (var next = Shortest(remaining, shares); rows > 0 && next >= 0; next = Shortest(remaining, shares))
        {
            var taken = Math.Min(rows, remaining[next] - shares[next]);
            shares[next] += taken;
            rows -= taken;
        }
    }

    /// <summary>Gives the prompts all that they need, the first first; returns the rows that are left.</summary>
    private static int TakeInOrder(ReadOnlySpan<int> remaining, int rows, Span<int> shares)
    {
        for (var i = 0; i < remaining.Length && rows > 0; i++)
        {
            shares[i] = Math.Min(rows, remaining[i]);
            rows -= shares[i];
        }

        return rows;
    }

    /// <summary>The prompt that needs the fewest rows more, of equal ones the older; −1 when all have what they need.</summary>
    private static int Shortest(ReadOnlySpan<int> remaining, ReadOnlySpan<int> shares)
    {
        var shortest = -1;
        for (var i = 0; i < remaining.Length; i++)
        {
            var needs = remaining[i] - shares[i];
            if (needs > 0 && (shortest < 0 || needs < remaining[shortest] - shares[shortest]))
            {
                shortest = i;
            }
        }

        return shortest;
    }
}
