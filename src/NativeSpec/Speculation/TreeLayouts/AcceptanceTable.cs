using System.Text.Json;
using NativeSpec.Loading;

namespace NativeSpec.Speculation.TreeLayouts;

/// <summary>Measured acceptance: how often the choice of a rank for a place is the right token, where all before it were right. Each place
/// counts for itself, as Medusa assumes: a path is right with the product of its ranks' acceptances.</summary>
public sealed class AcceptanceTable
{
    private const int MaxRanks = 4096;
    private readonly double[][] _acceptance;

    /// <summary>Makes a table.</summary>
    /// <param name="acceptance">[depth][rank] probabilities. Ranks of one place exclude each other, so they add up to at most 1.</param>
    /// <exception cref="ArgumentException">The table is empty or too large, or a place has no or impossible probabilities.</exception>
    public AcceptanceTable(IReadOnlyList<IReadOnlyList<double>> acceptance)
    {
        ArgumentNullException.ThrowIfNull(acceptance);
        if (acceptance.Count is 0 or > TreeLayout.MaxDepth)
        {
            throw new ArgumentException($"a table of {acceptance.Count} depths; expected 1 to {TreeLayout.MaxDepth}", nameof(acceptance));
        }

        _acceptance = [.. acceptance.Select(ranks => ranks.ToArray())];
        for (var depth = 0; depth < _acceptance.Length; depth++)
        {
            var ranks = _acceptance[depth];
            if (ranks.Length is 0 or > MaxRanks || !ranks.All(p => p is >= 0 and <= 1) || ranks.Sum() > 1 + 1e-6)
            {
                throw new ArgumentException($"depth {depth + 1} has {ranks.Length} acceptances that add up to {ranks.Sum():g4}; "
                    + $"expected 1 to {MaxRanks} probabilities that add up to at most 1", nameof(acceptance));
            }
        }
    }

    /// <summary>Depths that were measured.</summary>
    public int Depths => _acceptance.Length;

    /// <summary>Ranks that were measured at a depth, counted from 1.</summary>
    public int Ranks(int depth) => _acceptance[depth - 1].Length;

    /// <summary>The acceptance of a rank at a depth, counted from 1; 0 where nothing was measured.</summary>
    public double this[int depth, int rank] => depth <= Depths && rank < Ranks(depth) ? _acceptance[depth - 1][rank] : 0;

    /// <summary>Reads a table from a JSON file: <c>[[0.56, 0.1], [0.32, 0.08]]</c>, one array of ranks for each depth.</summary>
    /// <exception cref="ModelFormatException">The file is not such a table.</exception>
    public static AcceptanceTable Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Parse(path, RegularFile.ReadAll(path, LoadLimits.Default.MaxConfigBytes, nameof(LoadLimits.MaxConfigBytes)));
    }

    /// <summary>The probability that a node's whole path is right; 1 for the root.</summary>
    public double PathAcceptance(TreeLayout layout, int node)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var product = 1.0;
        for (; node > 0; node = layout.Parents[node])
        {
            product *= this[layout.Depths[node], layout.Ranks[node]];
        }

        return product;
    }

    /// <summary>Tokens that a round with this tree yields on average: every accepted one, and the one that the model adds.</summary>
    public double ExpectedTokens(TreeLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var sum = 0.0;
        for (var node = 0; node < layout.Count; node++)
        {
            sum += PathAcceptance(layout, node);
        }

        return sum;
    }

    /// <summary>The ranks of a depth, the likeliest first: measured acceptance may rise from one rank to the next by chance.</summary>
    internal int[] RanksByWorth(int depth) => [.. Enumerable.Range(0, Ranks(depth)).OrderByDescending(rank => this[depth, rank])];

    internal static AcceptanceTable Parse(string file, byte[] json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return new AcceptanceTable([.. Items(document.RootElement).Select(row => Items(row).Select(p => p.GetDouble()).ToArray())]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new ModelFormatException(file, "is not a table of acceptances [[first rank, second, …], …], one for each depth: "
                + $"{e.Message.Split(" (Parameter")[0]}", e);
        }
    }

    private static JsonElement.ArrayEnumerator Items(JsonElement array) => array.EnumerateArray();
}
