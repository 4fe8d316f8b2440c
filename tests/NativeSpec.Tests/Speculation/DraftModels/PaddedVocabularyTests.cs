using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;
using NativeSpec.Tests.Tokenization;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Speculation.DraftModels;

/// <summary>Rows and tokens are not as many: matrices are padded, or a tokenizer has got tokens that its model was never made for.</summary>
public sealed class PaddedVocabularyTests
{
    private static readonly GenerationOptions Plain = new()
    {
        MaxTokens = 60,
        Temperature = 0,
        IgnoreEndOfText = true,
        Speculation = SpeculationOptions.Off,
    };

    /// <summary>The target has 300 rows, of which some without a token win; the tokenizers have 280 tokens.</summary>
    [TestCase(280)]
    [TestCase(320)]
    public async Task CompleteAsync_ADraftOfOtherPadding_WritesThePlainText(int draftRows)
    {
        using var target = new TestFolder();
        using var draft = new TestFolder(seed: 12, shape: TestConfigs.Tiny with { VocabSize = Math.Max(draftRows, 300) });
        TestTokenizers.WriteByteLevel(target.Path, 280);
        TestTokenizers.WriteByteLevel(draft.Path, 280);
        using var engine = InferenceEngine.Load(target.Path, new EngineOptions { Drafters = [], DraftModels = [draft.Path], DraftOptions = new() { Depth = 4, StopBelow = 0 } });
        var options = Plain with { LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [290] = 4 } }; // a row without a token

        var plain = await engine.CompleteAsync([1, 2, 3], options);
        var fast = await engine.CompleteAsync([1, 2, 3], options with { Speculation = new() { Drafters = ["draft"], Unplanned = true } });

        Assert.That(fast.Ids, Is.EqualTo(plain.Ids));
        Assert.That(fast.Ids, Does.Contain(290), "or nothing was tried");
        Assert.That(fast.Speculation.Drafted, Is.GreaterThan(0));
    }

    [Test]
    public void Create_ATokenizerOfMoreTokensThanTheDraftHasRows_MapsThoseThatItHas()
    {
        using var folder = new TestFolder();
        var tokenizer = Tokenizer.Load(folder.Path);
        var map = VocabularyMap.Create(tokenizer, tokenizer, draftRows: 270, "draft");
        List<int> text = [];
        map.AppendToDraft(269, text);
        map.AppendToDraft(285, text); // a control token that the draft has no row for, spelt in those that it has
        Assert.That(text[0], Is.EqualTo(269));
        Assert.That(text, Has.All.LessThan(270));
        Assert.That(map.ToTarget(269), Is.EqualTo(269));
        Assert.That(map.ToTarget(285), Is.EqualTo(-1));
        Assert.That(map.ToDraft(285), Is.EqualTo(-1));
    }
}
