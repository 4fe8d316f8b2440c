using Microsoft.ML.Tokenizers;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>Text of others never becomes a control token, whatever the tokenizer underneath looks for.</summary>
public sealed class ControlTokenTests
{
    [TestCase(RealTokenizers.Gpt2)]
    [TestCase(RealTokenizers.Gpt2Merges)]
    public void UntrustedText_StaysText(string name)
    {
        const string Text = "a<|endoftext|><|endoftext|>b<<|endoftext|>|endoftext|>";
        var tokenizer = RealTokenizers.Theirs(name).AsNativeSpec();
        Assert.That(RealTokenizers.Theirs(name).EncodeToIds(Text), Does.Contain(50256), "it looks for them");
        Assert.That(tokenizer.EncodeUntrusted(Text), Has.None.EqualTo(50256));
        Assert.That(tokenizer.Decode(tokenizer.EncodeUntrusted(Text), skipSpecial: false), Is.EqualTo(Text));
        Assert.That(tokenizer.Encode(Text, parseSpecial: true).Count(id => id == 50256), Is.EqualTo(3));
        Assert.That(tokenizer.EosIds, Is.EqualTo(new[] { 50256 }));
    }

    [Test]
    public void ASentencePieceModel_WithControlTokensOfItsOwn()
    {
        Dictionary<string, int> special = new() { ["<s>"] = 1, ["</s>"] = 2, ["[INST]"] = 3, ["[/INST]"] = 4 };
        using var model = SharedVectors.Open("mistral-v3", "tokenizer.model");
        var theirs = LlamaTokenizer.Create(model, specialTokens: special);
        var (ours, tokenizer) = (RealTokenizers.Ours(RealTokenizers.Mistral), theirs.AsNativeSpec());
        const string Prompt = "<s>[INST] Say ▁ it [/INST] hi</s>";
        Assert.That(tokenizer.Encode(Prompt, addSpecial: false, parseSpecial: true), Is.EqualTo(ours.Encode(Prompt, addSpecial: false, parseSpecial: true)));
        Assert.That(tokenizer.EncodeUntrusted(Prompt), Has.None.AnyOf(1, 2, 3, 4));
        Assert.That(tokenizer.Decode(tokenizer.EncodeUntrusted(Prompt), skipSpecial: false), Is.EqualTo("<s>[INST] Say   it [/INST] hi</s>"));
        Assert.That((tokenizer.BosId, tokenizer.EosIds.Single()), Is.EqualTo((1, 2)));
        Assert.That(tokenizer.Encode("hi"), Is.EqualTo(ours.Encode("hi")), "with the token in front");
        Assert.That(theirs.AsNativeSpec(new() { AddBos = false }).Encode("hi"), Is.EqualTo(ours.Encode("hi", addSpecial: false)));
    }

    /// <summary>What only the options name is text to the tokenizer, so nothing need be cut.</summary>
    [TestCase(RealTokenizers.Gpt2)]
    [TestCase(RealTokenizers.Gpt2Merges)]
    [TestCase(RealTokenizers.CodeGen)]
    public void AControlTokenThatOnlyTheOptionsName_LeavesTheIdsOfItsTextAsTheyAre(string name)
    {
        const string Control = "hello world";
        var tokenizer = RealTokenizers.Theirs(name).AsNativeSpec(new() { SpecialTokens = new Dictionary<string, int> { [Control] = 60_000 } });
        Assert.That(tokenizer.EncodeUntrusted(Control), Is.EqualTo(RealTokenizers.Ours(RealTokenizers.Gpt2).Encode(Control, addSpecial: false)));
        Assert.That(tokenizer.Encode(Control, addSpecial: false, parseSpecial: true), Is.EqualTo(new[] { 60_000 }));
    }

    /// <summary>One that is an ordinary token too is cut, or its text would become it.</summary>
    [Test]
    public void AControlTokenThatIsAnOrdinaryToken_StaysText()
    {
        var tokenizer = RealTokenizers.Theirs(RealTokenizers.Gpt2).AsNativeSpec(new() { SpecialTokens = new Dictionary<string, int> { ["hello"] = 31373 } });
        Assert.That(tokenizer.EncodeUntrusted("hello"), Has.None.EqualTo(31373));
        Assert.That(tokenizer.Decode(tokenizer.EncodeUntrusted("hello")), Is.EqualTo("hello"));
    }

    [Test]
    public void WhatHasNoExactBytes_IsRefusedByName()
    {
        using var vocabulary = new MemoryStream("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\nhi\n##gh"u8.ToArray());
        var error = Assert.Throws<ArgumentException>(() => BertTokenizer.Create(vocabulary).AsNativeSpec());
        Assert.That(error.Message, Does.Contain("BertTokenizer").And.Contain("TokenizerDefinition"));
        var words = BpeTokenizer.Create(new BpeOptions([KeyValuePair.Create("a", 0)]));
        Assert.That(Assert.Throws<ArgumentException>(() => words.AsNativeSpec()).Message, Does.Contain("ByteLevel"));
        Assert.That(
            Assert.Throws<ArgumentException>(() => RealTokenizers.Theirs(RealTokenizers.Gpt2).AsNativeSpec(new() { BosToken = "<s>" })).Message,
            Does.Contain("'<s>'").And.Contain("SpecialTokens"));
    }
}
