namespace NativeSpec.Engine;

/// <summary>Which prompts the rows of a round go to, of those that are left when every sequence that decodes has its own.</summary>
/// <remarks>
/// <para>The rule: half of the rows go to the prompts in order of arrival, the other half to those with the fewest tokens left to compute
/// (shortest remaining processing time first); what either half cannot use, the other may. So a short prompt is done in about one round
/// whatever waits before it, and the oldest prompt is done after at most twice the rounds it would take alone, however many short ones
/// come after it. Prompts of one length are computed one after the other, not all at once, so that the first of them need not wait for
/// the last.</para>
/// <para>How many rows there are is the caller's affair: they bound how long a round keeps running texts waiting.</para>
/// </remarks>
internal static class PromptSharing
{
    /// <summary>Shares rows out.</summary>
    /// <param name="remaining">[prompts] tokens left to compute, in order of arrival.</param>
    /// <param name="rows">Rows of the round.</param>
    /// <param name="shares">[prompts] receives each prompt's rows, of which there are never more than it has tokens left.</param>
    public static void Share(ReadOnlySpan<int> remaining, int rows, Span<int> shares)
    {
        shares.Clear();
        rows = TakeInOrder(remaining, rows - (rows / 2), shares) + (rows / 2);
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
