namespace NativeSpec.Tests.Sampling;

/// <summary>Pearson's test of goodness of fit with a false-fail rate of 1e-9.</summary>
internal static class ChiSquare
{
    /// <summary>Whether the counts cannot have come from the probabilities.</summary>
    public static bool Rejects(ReadOnlySpan<long> counts, ReadOnlySpan<double> probabilities)
    {
        var total = 0L;
        foreach (var count in counts)
        {
            total += count;
        }

        var (statistic, cells) = (0.0, 0);
        for (var i = 0; i < counts.Length; i++)
        {
            var expected = total * probabilities[i];
            if (probabilities[i] == 0)
            {
                if (counts[i] > 0)
                {
                    return true;
                }

                continue;
            }

            statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
            cells++;
        }

        return cells > 1 && statistic > Critical(cells - 1);
    }

    /// <summary>The upper 1e-9 quantile by Wilson and Hilferty (1931): (χ²/n)^⅓ is nearly normal. 5.998 is the normal's quantile.</summary>
    private static double Critical(int freedom)
    {
        var variance = 2.0 / (9 * freedom);
        return freedom * Math.Pow(1 - variance + (5.998 * Math.Sqrt(variance)), 3);
    }
}
