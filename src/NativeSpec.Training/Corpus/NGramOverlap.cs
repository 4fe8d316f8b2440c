namespace NativeSpec.Training.Corpus;

/// <summary>How much of one text stands in another: the share of runs of n words that do.</summary>
public static class NGramOverlap
{
    /// <summary>The share of the runs of <paramref name="n"/> words in <paramref name="heldOut"/> that also occur in <paramref name="train"/>.
    /// Words are what stands between white space; a run does not leave its document.</summary>
    /// <returns>0 to 1; 0 where no document has <paramref name="n"/> words.</returns>
    public static double Share(IEnumerable<string> train, IEnumerable<string> heldOut, int n = 8)
    {
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(heldOut);
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var known = new HashSet<ulong>();
        foreach (var document in train)
        {
            known.UnionWith(Runs(document, n));
        }

        long seen = 0, all = 0;
        foreach (var run in heldOut.SelectMany(document => Runs(document, n)))
        {
            all++;
            seen += known.Contains(run) ? 1 : 0;
        }

        return all == 0 ? 0 : (double)seen / all;
    }

    // FNV-1a of 64 bits over the words and the borders between them: of two million runs, one collision is a matter of one in ten million.
    private static IEnumerable<ulong> Runs(string document, int n)
    {
        var words = document.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i + n <= words.Length; i++)
        {
            var hash = 14695981039346656037UL;
            foreach (var word in words.AsSpan(i, n))
            {
                foreach (var c in word)
                {
                    hash = (hash ^ c) * 1099511628211UL;
                }

                hash = (hash ^ ' ') * 1099511628211UL;
            }

            yield return hash;
        }
    }
}
