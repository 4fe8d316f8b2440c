using NativeSpec.Engine;
using NativeSpec.Tests.Engine;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Tokenization;

/// <summary>A tokenizer from elsewhere is checked, and an engine runs with it.</summary>
public sealed class TokenizerDefinitionTests
{
    private static readonly TokenizerDefinition Letters = new()
    {
        Name = "letters",
        Tokens = [.. "abc".Select(letter => new ReadOnlyMemory<byte>([(byte)letter])), default],
        SpecialTokens = new Dictionary<string, int> { ["<end>"] = 3 },
        Encode = text => [.. text.Select(letter => letter - 'a')],
    };

    [Test]
    public void Create_MakesAWholeTokenizer()
    {
        var tokenizer = Tokenizer.Create(Letters);
        Assert.That(tokenizer.Encode("ab<end>c", parseSpecial: true), Is.EqualTo(new[] { 0, 1, 3, 2 }));
        Assert.That(tokenizer.Decode([0, 3, 2]), Is.EqualTo("ac"));
        Assert.That((tokenizer.VocabSize, tokenizer.IsSpecial(3), tokenizer.TokenText(3)), Is.EqualTo((4, true, "<end>")));
    }

    [Test]
    public void Create_ADefinitionThatContradictsItself_SaysInWhat()
    {
        Refuses(Letters with { Tokens = [] }, "0 tokens");
        Refuses(Letters with { SpecialTokens = new Dictionary<string, int> { ["<end>"] = 4 } }, "'<end>' has id 4: expected 0 to 3");
        Refuses(Letters with { SpecialTokens = new Dictionary<string, int> { [""] = 1 } }, "without text");
        Refuses(Letters with { Prefix = [9] }, "Prefix has id 9");
        Refuses(Letters with { EosIds = [-1] }, "EosIds has id -1");

        static void Refuses(TokenizerDefinition definition, string reason)
            => Assert.That(Assert.Throws<ArgumentException>(() => Tokenizer.Create(definition)).Message, Does.Contain(reason).And.Contain("letters"));
    }

    [Test]
    public void Encode_AFunctionThatGivesWhatItMustNot_IsRefused()
    {
        var beyond = Tokenizer.Create(Letters with { Encode = _ => [4] });
        Assert.That(Assert.Throws<InvalidOperationException>(() => beyond.Encode("a")).Message, Does.Contain("id 4").And.Contain("0 to 3"));
        var control = Tokenizer.Create(Letters with { Encode = _ => [3] });
        Assert.That(Assert.Throws<InvalidOperationException>(() => control.Encode("a")).Message, Does.Contain("control token 3"));
        Assert.That(Tokenizer.Create(Letters with { Encode = _ => [3], UnknownId = 3 }).Encode("?"), Is.EqualTo(new[] { 3 }));
    }

    [Test]
    public async Task AnEngine_TakesTheCallersTokenizer()
    {
        using var folder = new TestFolder();
        var own = Tokenizer.Load(folder.Path);
        var outside = Tokenizer.Create(new TokenizerDefinition
        {
            Name = "the same from outside",
            Tokens = [.. Enumerable.Range(0, own.VocabSize).Select(id => new ReadOnlyMemory<byte>(own.TokenBytes(id).ToArray()))],
            SpecialTokens = Enumerable.Range(0, own.VocabSize).Where(own.IsSpecial).ToDictionary(own.TokenText),
            Encode = text => own.Encode(text, addSpecial: false),
            Prefix = [own.BosId!.Value],
            BosId = own.BosId,
        });
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { Threads = 1 });
        var expected = await engine.CompleteAsync("hello the end", new GenerationOptions { MaxTokens = 8 });
        foreach (var file in Directory.GetFiles(folder.Path, "tokenizer*"))
        {
            File.Delete(file);
        }

        using var other = InferenceEngine.Load(folder.Path, new EngineOptions { Threads = 1, Tokenizer = outside });
        var result = await other.CompleteAsync("hello the end", new GenerationOptions { MaxTokens = 8 });
        Assert.That((result.Text, result.Ids), Is.EqualTo((expected.Text, expected.Ids)));
        Assert.That(other.Tokenizer, Is.SameAs(outside));
    }

    [Test]
    public void AnEngine_RefusesATokenizerWithTokensThatTheModelHasNoRowFor()
    {
        using var folder = new TestFolder();
        var large = Tokenizer.Create(Letters with { Tokens = [.. Letters.Tokens, .. Enumerable.Repeat(new ReadOnlyMemory<byte>([65]), 100_000)] });
        var error = Assert.Throws<ArgumentException>(() => InferenceEngine.Load(folder.Path, new EngineOptions { Tokenizer = large }));
        Assert.That(error.Message, Does.Contain("EngineOptions.Tokenizer").And.Contain("has no row"));
    }
}
