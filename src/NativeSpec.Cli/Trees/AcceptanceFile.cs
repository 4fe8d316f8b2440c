using System.Text.Json;
using NativeSpec.Speculation;
using NativeSpec.Speculation.TreeLayouts;

namespace NativeSpec.Cli.Trees;

/// <summary>Measured acceptance by depth and rank, from what other commands write: the JSON of <c>bench speculation</c> or <c>generate</c>, a
/// trace, or a plain table [[first rank, second, …], …].</summary>
internal static class AcceptanceFile
{
    private const int MaxDepth = 16, MaxRanks = 16;

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="drafter">Whose acceptance; null where the file has only one drafter's.</param>
    /// <exception cref="InvalidDataException">The file is none of these.</exception>
    /// <exception cref="UsageException">It has several drafters, or not this one.</exception>
    public static AcceptanceTable Read(string path, string? drafter)
    {
        var begin = File.ReadLines(path).Select(line => line.Trim()).FirstOrDefault(line => line.Length > 0) ?? "";
        if (begin.StartsWith('['))
        {
            return AcceptanceTable.Read(path);
        }

        var counts = new Dictionary<string, RankCount[,]>();
        try
        {
            if (IsTrace(begin))
            {
                foreach (var line in File.ReadLines(path).Where(line => line.Length > 0))
                {
                    using var round = JsonDocument.Parse(line);
                    AddRound(counts, round.RootElement);
                }
            }
            else
            {
                using var stream = File.OpenRead(path);
                using var document = JsonDocument.Parse(stream);
                AddJudged(counts, document.RootElement);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or IndexOutOfRangeException)
        {
            throw new InvalidDataException($"{path} is neither a table of acceptances, nor the JSON of bench speculation or generate, nor a trace: {e.Message}", e);
        }

        return TableOf(Choose(counts, drafter, path), path);
    }

    private static bool IsTrace(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return document.RootElement.TryGetProperty("nodes", out _);
        }
        catch (JsonException)
        {
            return false; // the first line of an object of several lines
        }
    }

    /// <summary>Every candidate of a round whose parent became text is right or wrong.</summary>
    private static void AddRound(Dictionary<string, RankCount[,]> counts, JsonElement round)
    {
        int[] emitted = [.. round.GetProperty("emitted").EnumerateArray().Select(token => token.GetInt32())];
        var isText = new List<bool>();
        foreach (var node in round.GetProperty("nodes").EnumerateArray())
        {
            var (parent, depth) = (node.GetProperty("parent").GetInt32(), node.GetProperty("depth").GetInt32());
            if (parent < 0)
            {
                isText.Add(true);
                continue;
            }

            var isJudged = parent < isText.Count && isText[parent] && depth >= 1 && depth <= emitted.Length && !node.GetProperty("probe").GetBoolean();
            var isRight = isJudged && node.GetProperty("token").GetInt32() == emitted[depth - 1];
            isText.Add(isRight);
            foreach (var proposal in isJudged ? node.GetProperty("drafters").EnumerateArray() : default)
            {
                Add(counts, proposal.GetProperty("name").GetString()!, depth - 1, proposal.GetProperty("rank").GetInt32(), new RankCount(1, isRight ? 1 : 0));
            }
        }
    }

    /// <summary>Whatever object has a name and counts of right and judged candidates is a drafter.</summary>
    private static void AddJudged(Dictionary<string, RankCount[,]> counts, JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
            {
                AddJudged(counts, item);
            }
        }

        if (element.ValueKind != JsonValueKind.Object)
        {
            return;
        }

        foreach (var member in element.EnumerateObject())
        {
            AddJudged(counts, member.Value);
        }

        if (element.TryGetProperty("judged", out var judged) && element.TryGetProperty("name", out var name))
        {
            foreach (var (depth, ranks) in judged.EnumerateArray().Index())
            {
                foreach (var (rank, count) in ranks.EnumerateArray().Index())
                {
                    Add(counts, name.GetString()!, depth, rank, new RankCount(count[1].GetInt32(), count[0].GetInt32()));
                }
            }
        }
    }

    private static void Add(Dictionary<string, RankCount[,]> counts, string drafter, int depth, int rank, RankCount more)
    {
        if (depth < MaxDepth && rank is >= 0 and < MaxRanks)
        {
            counts.TryAdd(drafter, new RankCount[MaxDepth, MaxRanks]);
            ref var count = ref counts[drafter][depth, rank];
            count = new RankCount(count.Judged + more.Judged, count.Right + more.Right);
        }
    }

    private static RankCount[,] Choose(Dictionary<string, RankCount[,]> counts, string? drafter, string path)
    {
        var names = string.Join(", ", counts.Keys);
        return drafter is null
            ? counts.Count == 1 ? counts.Values.Single() : throw new UsageException(counts.Count == 0 ? $"{path} has no candidates of any drafter" : $"{path} has the drafters {names}: choose one with --drafter")
            : counts.GetValueOrDefault(drafter) ?? throw new UsageException($"{path} has no drafter '{drafter}'; it has {(names.Length == 0 ? "none" : names)}");
    }

    private static AcceptanceTable TableOf(RankCount[,] counts, string path)
        => TableOf([.. Enumerable.Range(0, MaxDepth).Select(depth => (RankCount[])[.. Enumerable.Range(0, MaxRanks).Select(rank => counts[depth, rank])])], path);

    /// <summary>The table of counts by depth and rank.</summary>
    /// <param name="counts">[depth][rank]; what lies past the most that is kept is left out.</param>
    /// <param name="source">Where they come from, for the message.</param>
    /// <exception cref="InvalidDataException">Nothing was ever right.</exception>
    public static AcceptanceTable TableOf(IReadOnlyList<IReadOnlyList<RankCount>> counts, string source)
    {
        List<double[]> table = [];
        foreach (var depth in counts.Take(MaxDepth))
        {
            double[] ranks = [.. depth.Take(MaxRanks).Select(count => count.Judged == 0 ? 0 : (double)count.Right / count.Judged)];
            if (ranks.Sum() == 0)
            {
                break;
            }

            // Ranks that were not proposed in the same rounds may add up to more than 1; in one round they cannot.
            var sum = Math.Max(ranks.Sum(), 1);
            table.Add([.. ranks.Select(p => p / sum)]);
        }

        return table.Count > 0 ? new AcceptanceTable(table) : throw new InvalidDataException($"{source}: no candidate of this drafter was ever right, so no tree is better than none");
    }
}
