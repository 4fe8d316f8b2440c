using NativeSpec.Sampling;
using NativeSpec.Speculation;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>The law of the text, by exact enumeration of every random decision of drafting and walking, equals plain decoding's: for all
/// mixes of deterministic and drawn children. The same enumeration must see each known mistake.</summary>
public sealed class ExactLawTests
{
    /// <summary>float32 probabilities leave this much.</summary>
    private const double Rounding = 1e-6;

    private static readonly SamplingOptions[] Options =
    [
        new() { Temperature = 1 },
        new() { Temperature = 0.6f, TopK = 3 },
        new() { Temperature = 1.4f, TopP = 0.8f, MinP = 0.05f, RepetitionPenalty = 1.5f, PresencePenalty = 0.5f },
        new() { Temperature = 0 },
    ];

    private static IEnumerable<Mistake> Mistakes => Enum.GetValues<Mistake>().Except([Mistake.None]);

    private static IEnumerable<Shape> Shapes()
    {
        int[][] sets = [[], [0], [2], [0, 1], [1, 0], [3, 1], [0, 1, 2], [2, 1, 0]];
        foreach (var set in sets)
        {
            for (var sampled = 0; sampled <= 3; sampled++)
            {
                if (set.Length + sampled > 0)
                {
                    yield return new Shape(set, sampled);
                    yield return new Shape(set, sampled, new Shape([], 1));
                    yield return new Shape(set, sampled, new Shape([1], 2));
                    yield return new Shape(set, sampled, new Shape([0, 2], 0));
                }
            }
        }
    }

    [Test]
    public void Round_EveryMixOfChildren_KeepsTheTargetsLaw([ValueSource(nameof(Shapes))] Shape shape, [ValueSource(nameof(Options))] SamplingOptions options)
    {
        for (var seed = 0; seed < 4; seed++)
        {
            Assert.That(new TinyWorld(4, seed, options).Distance((world, chance) => world.Round(shape, chance)), Is.LessThan(Rounding), $"tables {seed}");
        }
    }

    /// <summary>Drafters of every kind, our own and a user's, in every order of their turns, with every choice of what is computed, also one
    /// that depends on what was sampled.</summary>
    [Test]
    public void Round_EveryOrderOfDrafters_KeepsTheTargetsLaw(
        [ValueSource(nameof(Drafters))] Turn[] drafters, [ValueSource(nameof(Planners))] Planner planner)
    {
        foreach (var turns in Orders(drafters))
        {
            for (var seed = 0; seed < 2; seed++)
            {
                var distance = new TinyWorld(4, seed, Options[0]).Distance((world, chance) => world.Round(turns, planner.Computes, chance));
                Assert.That(distance, Is.LessThan(Rounding), $"{string.Join(", ", turns.AsEnumerable())}; tables {seed}");
            }
        }
    }

    private static IEnumerable<Turn[]> Drafters()
    {
        Turn one = new(TurnKind.Certain, 1), two = new(TurnKind.Certain, 2), below = new(TurnKind.Certain, 1, AtNewest: true);
        Turn draft = new(TurnKind.Sample, 1), draftTwo = new(TurnKind.Sample, 2), deeper = new(TurnKind.Sample, 1, AtNewest: true);
        Turn other = new(TurnKind.SampleOtherwise, 1), probe = new(TurnKind.Probe, 0, AtNewest: true), atRoot = new(TurnKind.Probe, 2);
        yield return [one, draft];
        yield return [one, two, draft];
        yield return [draft, other];
        yield return [one, draftTwo, other];
        yield return [one, draft, other, below];
        yield return [one, draft, deeper, below];
        yield return [one, draft, deeper, probe, atRoot];
        yield return [one, two, draftTwo, deeper, below];
    }

    private static IEnumerable<Planner> Planners() =>
    [
        new("computes all", (_, _) => true),
        new("computes the root", (_, _) => false),
        new("computes half", (tree, node) => (tree.Token(node) + tree.Depth(node)) % 2 == 0),
        new("decides by what was sampled", (tree, node) => Enumerable.Range(1, tree.Count - 1).Sum(other => (3 * tree.Token(other)) + other + node) % 2 == 0),
        new("leaves out what was sampled", (tree, node) => tree.Sampled(tree.Parent(node))?.Contains(tree.Token(node)) != true),
    ];

    private static IEnumerable<Turn[]> Orders(Turn[] drafters)
        => drafters.Length == 0 ? [[]] : drafters.SelectMany((first, i) => Orders([.. drafters.Where((_, j) => j != i)]).Select(rest => (Turn[])[first, .. rest]));

    [TestCase(2)]
    [TestCase(5)]
    public void Round_OtherVocabularies_KeepTheTargetsLaw(int vocab)
    {
        foreach (var shape in new[] { new Shape([1], 1, new Shape([], 1)), new Shape([], 2), new Shape([0, 1], 2) })
        {
            Assert.That(new TinyWorld(vocab, 9, Options[0]).Distance((world, chance) => world.Round(shape, chance)), Is.LessThan(Rounding), $"{shape}");
        }
    }

    /// <summary>The reference walk with nothing wrong passes, so a mutant's failure is the mutation's.</summary>
    [Test]
    public void Mutants_WithoutTheMistake_KeepTheLaw()
    {
        for (var seed = 0; seed < 20; seed++)
        {
            Assert.That(Distance(new MutantRound(Mistake.None), seed), Is.LessThan(Rounding));
        }
    }

    [Test]
    public void Mutants_EachKnownMistake_IsSeen([ValueSource(nameof(Mistakes))] Mistake mistake)
    {
        var seen = Enumerable.Range(0, 20).Count(seed => Distance(new MutantRound(mistake), seed) > 1e-3);
        Assert.That(seen, Is.GreaterThanOrEqualTo(18), "of 20 random pairs of target and draft");
    }

    /// <summary>A missing bonus token loses progress, not the law; so tokens are counted, and the count must see it.</summary>
    [Test]
    public void Round_WhereEveryTokenIsAChild_AddsTheBonusToken([Values] bool bonusIsLost)
    {
        var world = new TinyWorld(4, 3, Options[0]);
        var shape = new Shape([0, 1, 2, 3], 0, new Shape([0, 1, 2, 3], 0));
        var complete = true;
        Branches.ForEach(chance =>
        {
            var text = world.Round(shape, chance);
            var written = text.Count - (bonusIsLost ? 1 : 0);
            complete &= written == (text[0] == 3 ? 3 : 2); // each accepted node, and one token more
        });
        Assert.That(complete, Is.EqualTo(!bonusIsLost));
    }

    public sealed record Planner(string Name, Func<DraftTree, int, bool> Computes)
    {
        public override string ToString() => Name;
    }

    private static double Distance(MutantRound round, int seed) => new TinyWorld(4, seed, Options[0]).Distance(round.Run);
}
