using NativeSpec.Speculation.Planning;

namespace NativeSpec.Tests.Speculation.Planning;

public sealed class PlannerTests
{
    /// <summary>Random trees for several sequences, a random cost curve and a rate, known or not: no set of nodes that is closed under parents
    /// leaves more over than the planner's.</summary>
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

        var plain = sequences / cost.HopefullyAt(sequences, 0);
        var known = seed % 3 == 0 ? 0 : plain * (0.5 + random.NextDouble());
        planner.Choose(sequences, sequences, 0, cost, 0, known);

        var best = Enumerable.Range(0, 1 << nodes.Count)
            .Select(mask => nodes.Where((_, i) => (mask >> i & 1) != 0).ToList())
            .Where(set => set.All(n => n.Parent == 0 || set.Any(p => p.Sequence == n.Sequence && p.Node == n.Parent)))
            .Max(set => Surplus(set.Sum(n => n.Path), set.Count));
        var chosen = planner.Chosen.ToArray();
        Assert.That(Surplus(chosen.Sum(choice => choice.PathProbability), chosen.Length), Is.EqualTo(best).Within(1e-9));
        foreach (var choice in chosen)
        {
            var parent = nodes.Single(n => n.Sequence == choice.Sequence && n.Node == choice.Node).Parent;
            Assert.That(parent == 0 || chosen.TakeWhile(c => c != choice).Any(c => c.Sequence == choice.Sequence && c.Node == parent), "parents come first");
        }

        double Surplus(double gain, int count) => sequences + gain - (Math.Max(known, plain) * cost.HopefullyAt(sequences + count, 0));
    }

    /// <summary>A poor round does not take what a good one would leave.</summary>
    [Test]
    public void Choose_ANodeThatEarnsLessThanItsTime_IsLeftOutAlsoOfAPoorRound()
    {
        var planner = new Planner(64);
        planner.Add(0, 1, 0.25);
        planner.Choose(1, 1, 0, new CostCurve([1, 2], [1, 1.4]), 0, tokensPerSecond: 1.5);
        Assert.That(planner.Chosen.Length, Is.Zero, "0.4 s, or hopefully 0.24, are worth 0.36 tokens");
    }

    [Test]
    public void Choose_WhenNothingPays_ComputesTheRootsAlone()
    {
        var planner = new Planner(64);
        for (var node = 1; node < 20; node++)
        {
            planner.Add(0, node, 0.05);
        }

        planner.Choose(1, 1, 0, new CostCurve([1, 2, 4], [1, 2, 4]), 0, 0);
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

        planner.Choose(1, 1, 0, new CostCurve([1, 2, 4], [1, 100, 10_000]), 0, 0);
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

        planner.Choose(1, 1, 0, new CostCurve([1, 64], [1, 1]), 0, 0);
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
