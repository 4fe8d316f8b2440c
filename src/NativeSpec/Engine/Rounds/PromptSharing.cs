namespace NativeSpec.Engine.Rounds;

/// <summary>How much of prompts a round computes beside the texts that are being written, and of which prompts.</summary>
/// <remarks>
/// <para><b>How long a round may be.</b> It is bounded by the pace of those whom it keeps waiting. Beside texts that are being written it has as many
/// rows of prompts as make these <see cref="Efficiency"/> times as fast as they would be alone, and no more, because from there on a longer round
/// delays the texts and gains nothing; and it takes no longer than <see cref="Stretch"/> rounds without prompts, or than nobody notices. So
/// where a forward's time is the reading of weights, prompts are computed in its shadow and texts hardly notice; where each row costs what it
/// costs, texts pay up to the bound. Among themselves prompts may make a round twice as long as the one with the fewest tokens left would take to
/// its end, so that a short prompt does not pay for a long one. A single prompt keeps waiting only who may yet come: it is computed in chunks of
/// <see cref="AloneStretch"/> forwards of one row, which costs it next to nothing, because then its rows and not the reading of weights are what
/// takes the time.</para>
/// <para><b>Whose rows.</b> They go to the prompts with the fewest tokens left (shortest remaining processing time first), and to the others what these
/// leave. So a short prompt takes a long one's place instead of sharing the round with it. A quarter of all rows is the oldest prompt's, and what it gives up
/// of that is written down: when it is owed a whole round, it has one (deficit round robin). While one of a higher priority stands before it, what it is owed waits. So it takes about four times the rounds that it would
/// take alone, at most, however many short ones come after it, and a few of these cost it no more than their own work. Prompts of one length
/// are computed one after the other, so that the first need not wait for the last.</para>
/// </remarks>
internal static class PromptSharing
{
    /// <summary>How many times as long as without prompts a round may be where texts are being written.</summary>
    public const double Stretch = 3;

    /// <summary>Seconds between two tokens that nobody notices who reads them: thirteen a second are about twice as many as people read. A text that is alone may fall
    /// to this from any pace while a prompt is computed: of a small model to a tenth of it (docs/serving.md).</summary>
    public const double Unnoticed = 0.075;

    /// <summary>The part of the speed that they would have alone with which prompts are computed beside texts, if the bound allows it.</summary>
    public const double Efficiency = 0.95;

    /// <summary>How many times as long as a forward of one row a round may be where a single prompt is computed.</summary>
    public const double AloneStretch = 10;

    /// <summary>Seconds that nobody notices who has yet to come.</summary>
    public const double UnnoticedBefore = 0.1;

    /// <summary>Seconds of a round of several prompts that are no use dividing.</summary>
    public const double Undivided = 0.005;

    /// <summary>The oldest prompt's part of the rows, in the long run.</summary>
    public const double OldestShare = 0.25;

    /// <summary>Seconds that a round beside texts that are being written may take at most.</summary>
    /// <param name="plain">Seconds that it would take without prompts.</param>
    public static double BesideTexts(double plain) => Math.Max(Stretch * plain, Unnoticed);

    /// <summary>Seconds that a round of prompts alone may take.</summary>
    /// <param name="prompts">How many there are.</param>
    /// <param name="oneRow">Seconds of a forward of one row.</param>
    /// <param name="shortest">Seconds of a forward of all that is left of the shortest.</param>
    public static double OfPrompts(int prompts, double oneRow, double shortest)
    {
        var alone = Math.Max(AloneStretch * oneRow, UnnoticedBefore);
        return prompts == 1 ? alone : Math.Min(alone, Math.Max(2 * shortest, Undivided));
    }

    /// <summary>Shares rows out.</summary>
    /// <param name="remaining">[prompts] tokens left to compute, in order of arrival.</param>
    /// <param name="rows">Rows of the round.</param>
    /// <param name="owed">Rows that the oldest has given up: with as many as the round has, it comes first.</param>
    /// <param name="shares">[prompts] receives each prompt's rows, of which there are never more than it has tokens left.</param>
    public static void Share(ReadOnlySpan<int> remaining, int rows, double owed, Span<int> shares)
    {
        shares.Clear();
        if (owed >= rows && remaining.Length > 0)
        {
            shares[0] = Math.Min(rows, remaining[0]);
            rows -= shares[0];
        }

        for (var next = Shortest(remaining, shares); rows > 0 && next >= 0; next = Shortest(remaining, shares))
        {
            var taken = Math.Min(rows, remaining[next] - shares[next]);
            shares[next] += taken;
            rows -= taken;
        }
    }

    /// <summary>What the oldest is owed after a round.</summary>
    /// <param name="owed">What it was owed before.</param>
    /// <param name="rows">Rows of the round.</param>
    /// <param name="taken">How many of them it had.</param>
    public static double OwedAfter(double owed, int rows, int taken) => Math.Max(owed + (OldestShare * rows) - taken, 0);

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
