using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Tests.Speculation.PromptLookup;

/// <summary>Where in its text a prediction goes on, and that it changes nothing of what is written.</summary>
public sealed class PredictionSessionTests
{
    private const int PromptLength = 2;

    private static readonly int[] Expected = [.. Enumerable.Range(100, 60)]; // each token once

    [Test]
    public void AtTheBeginning_ThePredictionsBeginningIsProposed()
        => Assert.That(Proposed([]).First, Is.EqualTo(Expected[..32]), "four tokens for each of the eight agreements that trust is worth");

    [Test]
    public void AsLongAsTheOutputFollows_ItGoesOn()
        => Assert.That(Proposed(Expected[..10]).First, Is.EqualTo(Expected[10..60]));

    [Test]
    public void AReplacedToken_IsSteppedOver()
        => Assert.That(Proposed([.. Expected[..10], 7]).First, Is.EqualTo(Expected[11..19]), "before anything agrees again");

    [Test]
    public void AnAddedToken_IsTheOtherGuess()
        => Assert.That(Proposed([.. Expected[..10], 7]).Second, Is.EqualTo(Expected[10..18]));

    [TestCase(0, TestName = "AfterAReplacement_ThePlaceIsFoundAgain")]
    [TestCase(-1, TestName = "AfterAnAddition_ThePlaceIsFoundAgain")]
    [TestCase(5, TestName = "AfterALeftOutPart_ThePlaceIsFoundAgain")]
    public void AfterAnEdit_ThePlaceIsFoundAgain(int leftOut)
    {
        var place = 11 + leftOut;
        var proposed = Proposed([.. Expected[..10], 7, Expected[place], Expected[place + 1]]).First;
        Assert.That(proposed, Is.EqualTo(Expected[(place + 2)..(place + 10)]), "four tokens for each of two that agree");
    }

    [Test]
    public void AMovedPart_IsFoundByThreeTokens_AndNotByTwo()
    {
        int[] longer = [.. Enumerable.Range(100, 200)];
        Assert.That(Proposed([.. longer[..10], 7, .. longer[150..153]], longer).First, Is.EqualTo(longer[153..165]));
        Assert.That(Proposed([.. longer[..10], 7, .. longer[150..152]], longer).First, Is.Not.EqualTo(longer[152..160]));
    }

    [Test]
    public void AtTheEnd_NothingIsProposed() => Assert.That(Proposed(Expected).First, Is.Empty);

    [TestCase(0f)]
    [TestCase(1f)]
    public async Task ARequest_HasTheSameText_WhateverIsPredicted(float temperature)
    {
        using var folder = new TestFolder();
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { Threads = 1 });
        var options = new GenerationOptions { Temperature = temperature, Seed = 5, MaxTokens = 60 };
        var plain = await engine.CompleteAsync("hello in the", options with { Speculation = SpeculationOptions.Off });
        foreach (var prediction in new[] { plain.Text, plain.Text[(plain.Text.Length / 2)..], "something else", "" })
        {
            var predicted = await engine.CompleteAsync("hello in the", options with { Prediction = prediction, Speculation = new SpeculationOptions { Unplanned = true } });
            Assert.That(predicted.Ids, Is.EqualTo(plain.Ids), prediction);
        }

        var alone = await engine.CompleteAsync(
            "hello in the",
            options with { Speculation = new SpeculationOptions { Drafters = [], Sources = [new PredictionDrafter(plain.Ids)], Unplanned = true } });
        Assert.That(alone.Ids, Is.EqualTo(plain.Ids));
        Assert.That(alone.Speculation.TokensPerRound, Is.GreaterThan(10), "what is predicted rightly comes in few rounds");
        var off = await engine.CompleteAsync("hello in the", options with { Prediction = plain.Text, Speculation = SpeculationOptions.Off });
        Assert.That(off.Speculation.Drafted, Is.Zero);
    }

    [Test]
    public void APredictionBeyondTheContext_IsRefused()
    {
        using var folder = new TestFolder();
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { Threads = 1 });
        Assert.That(
            () => engine.GenerateAsync("hello", new GenerationOptions { Prediction = new string('x', 600) }),
            Throws.ArgumentException.With.Property("ParamName").EqualTo("Prediction").And.Message.Contains("600").And.Message.Contains("512"));
    }

    /// <summary>The first two paths that are proposed behind an output, in the order of their ranks.</summary>
    private static (int[] First, int[] Second) Proposed(int[] output, int[]? prediction = null)
    {
        using var drafter = new PredictionDrafter(prediction ?? Expected).Start(new int[PromptLength]);
        int[][] paths = [.. DraftRound.Paths(DraftRound.Propose(drafter, [.. new int[PromptLength], .. output])).Select(path => path.Split(' ').Select(int.Parse).ToArray())];
        return (paths.ElementAtOrDefault(0) ?? [], paths.ElementAtOrDefault(1) ?? []);
    }
}
