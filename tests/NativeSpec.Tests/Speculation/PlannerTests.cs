using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation;

public sealed class PlannerTests
{
    /// <summary>Random trees for several sequences and a random cost curve: no set of nodes that is closed under parents has a better
    /// rate than the planner's.</summary>
    [Test]
    public void Choose_RandomTrees_FindsTheBestClosedSet([Range(0, 30)] int seed)
    {
        var random = new Random(seed);
        var sequences = 1 + random.Next(3);
        List<(int Sequence, int Node, int Parent, double Path)> nodes = [];
        for (var i = 0; i < 9; i++)
        {
            var sequence = random.Next(sequences);
            var own = nodes.Where(n => n.Sequence == sequence).ToList();
            var parent = own.Count == 0 || random.Next(3) == 0 ? (0, 1.0) : own.Select(n => (n.Node, n.Path)).ElementAt(random.Next(own.Count));
            nodes.Add((sequence, i + 1, parent.Item1, parent.Item2 * random.NextDouble()));
        }

        var cost = RandomCurve(random);
        var planner = new Planner(64);
        foreach (var (sequence, node, _, path) in nodes)
        {
            planner.Add(sequence, node, path);
        }

        planner.Choose(sequences, sequences, 0, cost, 0);

        var best = Enumerable.Range(0, 1 << nodes.Count)
            .Select(mask => nodes.Where((_, i) => (mask >> i & 1) != 0).ToList())
            .Where(set => set.All(n => n.Parent == 0 || set.Any(p => p.Sequence == n.Sequence && p.Node == n.Parent)))
            .Max(set => (sequences + set.Sum(n => n.Path)) / cost.At(sequences + set.Count, 0));
        Assert.That(planner.ExpectedRate, Is.EqualTo(best).Within(1e-9 * best));
        var chosen = planner.Chosen.ToArray();
        foreach (var choice in chosen)
        {
            var parent = nodes.Single(n => n.Sequence == choice.Sequence && n.Node == choice.Node).Parent;
            Assert.That(parent == 0 || chosen.TakeWhile(c => c != choice).Any(c => c.Sequence == choice.Sequence && c.Node == parent), "parents come first");
        }
    }

    [Test]
    public void Choose_WhenNothingPays_ComputesTheRootsAlone()
    {
        var planner = new Planner(64);
        for (var node = 1; node < 20; node++)
        {
            planner.Add(0, node, 0.05);
        }

        planner.Choose(1, 1, 0, new CostCurve([1, 2, 4], [1, 2, 4]), 0);
        Assert.That(planner.Chosen.Length, Is.Zero);
    }

    [Test]
    public void Choose_NodesThatAreWanted_AreComputedWhateverTheyCost()
    {
        var planner = new Planner(4);
        for (var node = 1; node < 6; node++)
        {
            planner.Add(0, node, Planner.Wanted + (0.5 / node));
        }

        planner.Choose(1, 1, 0, new CostCurve([1, 2, 4], [1, 100, 10_000]), 0);
        Assert.That(planner.Chosen.ToArray().Select(choice => choice.Node), Is.EqualTo(new[] { 1, 2, 3 }));
    }

    [Test]
    public void Choose_AFlatCurve_TakesAllThereIsRoomFor()
    {
        var planner = new Planner(8);
        for (var node = 1; node < 20; node++)
        {
            planner.Add(0, node, 0.01);
        }

        planner.Choose(1, 1, 0, new CostCurve([1, 64], [1, 1]), 0);
        Assert.That(planner.Chosen.Length, Is.EqualTo(7));
    }

    private static CostCurve RandomCurve(Random random)
    {
        double[] seconds = [1, 0, 0, 0];
        for (var i = 1; i < 4; i++)
        {
            seconds[i] = seconds[i - 1] * (1 + (random.NextDouble() * random.NextDouble()));
        }

        return new CostCurve([1, 2, 5, 12], seconds);
    }
}
