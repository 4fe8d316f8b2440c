using NativeSpec.Tokenization.Bpe;

namespace NativeSpec.Tests.Tokenization.Bpe;

public sealed class BpeMergerTests
{
    [Test]
    public void Merge_RandomTables_MergesAsTheDefinitionSays()
    {
        var random = new Random(11);
        for (var round = 0; round < 3_000; round++)
        {
            var merges = new Dictionary<(int, int), (int Rank, int Token)>();
            var table = new MergeTable(1);
            var tokens = 3 + random.Next(20);
            for (var token = 3; token < tokens; token++)
            {
                // Few ranks, so that several pairs share one and the leftmost must win.
                var (pair, rank) = ((random.Next(token), random.Next(token)), random.Next(6));
                merges[pair] = (rank, token);
                table.Set(pair.Item1, pair.Item2, rank, token);
            }

            var symbols = Enumerable.Range(0, random.Next(200)).Select(_ => random.Next(3)).ToList();
            var merger = new BpeMerger(table);
            symbols.ForEach(merger.Add);
            merger.Merge();
            Assert.That(merger.Symbols.ToArray(), Is.EqualTo(Naive(symbols, merges)));
        }
    }

    [Test]
    public void MergeTable_ManyPairs_FindsEachAndNoOther()
    {
        var table = new MergeTable(0);
        for (var i = 0; i < 10_000; i++)
        {
            table.Set(i % 100, ~(i / 100), i, i + 1);
        }

        for (var i = 0; i < 10_000; i++)
        {
            Assert.That((table.Find(i % 100, ~(i / 100), out var token), token), Is.EqualTo((i, i + 1)));
            Assert.That(table.Find(i % 100, i / 100, out _), Is.EqualTo(MergeTable.NoRank));
        }
    }

    private static List<int> Naive(List<int> symbols, Dictionary<(int, int), (int Rank, int Token)> merges)
    {
        var result = symbols.ToList();
        while (true)
        {
            var best = Enumerable.Range(0, Math.Max(0, result.Count - 1)).Where(i => merges.ContainsKey((result[i], result[i + 1])))
                .Select(i => (merges[(result[i], result[i + 1])].Rank, i)).DefaultIfEmpty((Rank: int.MaxValue, i: -1)).Min();
            if (best.i < 0)
            {
                return result;
            }

            result[best.i] = merges[(result[best.i], result[best.i + 1])].Token;
            result.RemoveAt(best.i + 1);
        }
    }
}
