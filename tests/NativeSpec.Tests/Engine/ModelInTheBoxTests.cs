using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Tests.Engine;

/// <summary>The model that comes with the repository. Its files are always there, so these tests never skip.</summary>
public sealed class ModelInTheBoxTests
{
    private const long MostBytes = 24_000_000;
    private const string Signature = "namespace MyCompany.Collections;\nRingBuffer<T>.CopyTo(T[] array, int index)\n";

    private static readonly string Folder = Repository.Find("models", "doc-comments");

    [TestCase(0f)]
    [TestCase(0.7f)]
    [TestCase(1f)]
    public async Task ACommentBySpeculation_IsThePlainOne(float temperature)
    {
        using var engine = Load();
        var plain = new GenerationOptions { MaxTokens = 200, Temperature = temperature, Seed = 7, Speculation = SpeculationOptions.Off };
        var one = await engine.CompleteAsync(Signature, plain);
        var two = await engine.CompleteAsync(Signature, plain with { Speculation = SpeculationOptions.Auto with { Unplanned = true } });
        Assert.Multiple(() =>
        {
            Assert.That(two.Ids, Is.EqualTo(one.Ids));
            Assert.That(two.Text, Is.EqualTo(one.Text).And.StartsWith("/// <summary>"));
            Assert.That(two.Speculation.TokensPerRound, Is.GreaterThan(1.5));
        });
    }

    [Test]
    public async Task DraftAndHeads_BothHaveTokensAccepted()
    {
        using var engine = Load();
        var options = new GenerationOptions { MaxTokens = 200, Temperature = 0, Speculation = new() { Drafters = ["draft", "medusa"], Unplanned = true } };
        var result = await engine.CompleteAsync(Signature, options);
        Assert.That(result.Speculation.Drafters.Select(drafter => (drafter.Name, drafter.Accepted > 0)), Is.EquivalentTo(new[] { ("draft", true), ("medusa", true) }));
    }

    [Test]
    public void TheFiles_AreSmallEnoughForARepository()
        => Assert.That(Directory.EnumerateFiles(Folder, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length), Is.LessThan(MostBytes));

    private static InferenceEngine Load() => InferenceEngine.Load(Folder, new()
    {
        MaxSequences = 1,
        DraftModels = [Path.Combine(Folder, "draft")],
        Medusa = Path.Combine(Folder, "medusa"),
    });
}
