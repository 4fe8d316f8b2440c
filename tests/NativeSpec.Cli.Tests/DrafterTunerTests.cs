using NativeSpec.Cli.Tuning;

namespace NativeSpec.Cli.Tests;

public sealed class DrafterTunerTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    /// <summary>A verdict against a drafter keeps it out for weeks, so both halves of the prompts have to agree on it; what is in doubt is left to the
    /// drafter's account.</summary>
    [TestCase(0.69, 0.90, false)]
    [TestCase(0.69, 1.08, true)]
    [TestCase(0.97, 0.98, true)]
    [TestCase(1.07, 1.08, true)]
    public void Decide_TwoHalvesOfThePrompts_AreBothHeard(double least, double most, bool pays)
    {
        var (_, tuning) = DrafterTuner.Decide([Found("lookup", null, (least + most) / 2, least, most)], Now).Single();
        Assert.That(tuning.Pays, Is.EqualTo(pays));
        Assert.That((tuning.SpeedUp, tuning.Rounds, tuning.Measured), Is.EqualTo(((least + most) / 2, 321, Now)), "with its evidence");
    }

    [Test]
    public void Decide_SeveralDraftModels_TakesTheBestAlone()
    {
        var decided = DrafterTuner.Decide([Found("draft", "/a", 1.2, 1.1, 1.3), Found("draft2", "/b", 1.5, 1.4, 1.6), Found("lookup", null, 1.1, 1, 1.2)], Now);
        Assert.That(decided.Where(drafter => drafter.Tuning.Pays).Select(drafter => drafter.Drafter.Name), Is.EqualTo(new[] { "draft2", "lookup" }));
        Assert.That(decided[0].Drafter.Explain(pays: false), Does.EndWith("another draft model gains more"));
    }

    private static TunedDrafter Found(string name, string? path, double speedUp, double least, double most)
        => new(name, path, speedUp, 2, 0.1, [1], path is null ? null : 4, path is null ? null : 1, 321, (least, most));
}
