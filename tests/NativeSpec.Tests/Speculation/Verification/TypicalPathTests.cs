using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>The rule with the defaults of Medusa's generate: epsilon 0.09, delta 0.3, min(ε, δ·exp(−H)).</summary>
public sealed class TypicalPathTests
{
    [TestCase(0.10f, true)]
    [TestCase(0.08f, false)]
    public void Find_AConfidentTarget_CutsAtEpsilon(float probability, bool accepted)
        => Assert.That(Find([0.9f - (probability - 0.1f), probability, 0], [1]), accepted ? Is.EqualTo(new[] { 1 }) : Is.Empty);

    /// <summary>Sixteen equal tokens: H = ln 16, so the threshold is 0.3 / 16, below epsilon.</summary>
    [Test]
    public void Find_AnUndecidedTarget_CutsAtDeltaTimesExpOfMinusTheEntropy()
    {
        var even = Enumerable.Repeat(1 / 16f, 16).ToArray();
        Assert.That(Find(even, [3]), Is.EqualTo(new[] { 1 }));
        even[3] = 0.01f; // above nothing: 0.3·exp(−2.7) = 0.02
        even[4] += (1 / 16f) - 0.01f;
        Assert.That(Find(even, [3]), Is.Empty);
    }

    [Test]
    public void Find_SeveralChildren_TakesTheMostLikelyOfEquallyLongPaths()
        => Assert.That(Find([0.2f, 0.5f, 0.3f], [0, 1, 2]), Is.EqualTo(new[] { 2 }));

    [Test]
    public void LossyTypicalAcceptance_Defaults_ArePublished()
        => Assert.That(new LossyTypicalAcceptance(), Is.EqualTo(new LossyTypicalAcceptance(0.09, 0.3)));

    private static IReadOnlyList<int> Find(float[] probabilities, int[] children)
    {
        var vocab = probabilities.Length;
        var tree = new DraftTree(8, vocab);
        tree.Reset(0, 3);
        foreach (var child in children)
        {
            tree.Add(0, child);
        }

        var rule = new SamplingRule(new SamplingOptions { Temperature = 1 }, 1, vocab);
        var history = new TokenHistory(vocab, 8, tracksTokens: false);
        history.Start([0]);
        var planned = new PlannedTree(tree);
        planned.Begin(most: 8);
        for (var node = 1; node < tree.Count; node++)
        {
            planned.Choose(node);
        }

        planned.End();
        var result = new WalkResult(planned);
        float[] logits = [.. probabilities.Select(p => MathF.Log(Math.Max(p, 1e-30f)))];
        var sampling = new RequestSampling(new Chooser(vocab), rule, history);
        result.Begin(new TableRows(planned, _ => logits, sampling), firstRow: 0);
        return new TypicalPath(vocab, new LossyTypicalAcceptance()).Find(result, sampling);
    }
}
