using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>Both libraries, and each dressed as the other, give the same ids for every vector.</summary>
public sealed class SameIdsTests
{
    [TestCase(RealTokenizers.Gpt2)]
    [TestCase(RealTokenizers.Gpt2Merges)]
    [TestCase(RealTokenizers.CodeGen)]
    [TestCase(RealTokenizers.Mistral)]
    [TestCase(RealTokenizers.Cl100k)]
    [TestCase(RealTokenizers.O200k)]
    public void TheirsAsOurs_EveryVector_HasTheSameIdsTextAndPieces(string name)
    {
        var ours = RealTokenizers.Ours(name);
        var theirs = RealTokenizers.Theirs(name).AsNativeSpec();
        Assert.Multiple(() =>
        {
            foreach (var (text, ids) in RealTokenizers.Vectors(name).Where(one => IsTheSame(name, one.Text)))
            {
                Assert.That(theirs.Encode(text, addSpecial: false), Is.EqualTo(ids), $"ids of '{text}'");
                Assert.That(theirs.Decode(ids, skipSpecial: false), Is.EqualTo(ours.Decode(ids, skipSpecial: false)), $"text of the ids of '{text}'");
                Assert.That(Streamed(theirs, ids), Is.EqualTo(Streamed(ours, ids)));
            }
        });
    }

    [TestCase(RealTokenizers.Gpt2)]
    [TestCase(RealTokenizers.Gpt2Merges)]
    [TestCase(RealTokenizers.Mistral)]
    public void TheirsAsOurs_EveryToken_HasTheSameBytes(string name)
    {
        var (ours, theirs) = (RealTokenizers.Ours(name), RealTokenizers.Theirs(name).AsNativeSpec());
        Assert.That(theirs.VocabSize, Is.EqualTo(ours.VocabSize));
        var different = Enumerable.Range(0, ours.VocabSize).Where(id => !ours.TokenBytes(id, includeSpecial: true).SequenceEqual(theirs.TokenBytes(id, includeSpecial: true)))
            .Where(id => ours.TokenBytes(id).ToArray() is not [0xC0 or 0xC1 or >= 0xF5]); // in no UTF-8, so that no text tells which
        Assert.That(different, Is.Empty);
    }

    [TestCase(RealTokenizers.Gpt2)]
    [TestCase(RealTokenizers.Mistral)]
    public void OursAsTheirs_EveryVector_HasTheSameIdsAndLimits(string name)
    {
        var ours = RealTokenizers.Ours(name).AsMLTokenizer(addSpecial: false);
        var theirs = RealTokenizers.Theirs(name);
        var before = theirs is LlamaTokenizer ? 1 : 0; // it adds a token in front
        Assert.Multiple(() =>
        {
            foreach (var (text, ids) in RealTokenizers.Vectors(name).Where(one => one.Text.Length > 0 && IsTheSame(name, one.Text) && !one.Text.Contains("<|endoftext|>", StringComparison.Ordinal)))
            {
                Assert.That(ours.EncodeToIds(text), Is.EqualTo(ids));
                Assert.That(theirs.EncodeToIds(text).Skip(before), Is.EqualTo(ids), $"their ids of '{text}'");
                Assert.That(ours.CountTokens(text), Is.EqualTo(ids.Length));
                var (mine, other) = (ours.EncodeToTokens(text, out var normalized), theirs.EncodeToTokens(text, out var theirNormalized).Skip(before).ToArray());
                Assert.That(normalized ?? text, Is.EqualTo(theirNormalized ?? text));
                // A character in several tokens is each one's here; there it is all of tiktoken's tokens' too, but of sentencepiece's bytes only the first one's.
                var comparable = Enumerable.Range(0, other.Length).Where(i => !other[i].Value.StartsWith("<0x", StringComparison.Ordinal)).ToArray();
                Assert.That(comparable.Select(i => mine[i].Offset), Is.EqualTo(comparable.Select(i => other[i].Offset)), $"offsets of '{text}'");
            }
        });
    }

    /// <summary>Where one character stands several times in a row, merges compete with equal scores. Sentencepiece takes the leftmost first; Microsoft.ML.Tokenizers 2.0.1
    /// does not always. If this fails, it does now: then the exception in docs/tokenizers.md and <see cref="IsTheSame"/> can go.</summary>
    [Test]
    public void ARunOfOneCharacter_HasSentencepiecesIdsInOursAlone()
    {
        var (text, ids) = RealTokenizers.Vectors(RealTokenizers.Mistral).Single(one => one.Text == "!!!!!!");
        Assert.That(RealTokenizers.Ours(RealTokenizers.Mistral).Encode(text, addSpecial: false), Is.EqualTo(ids));
        Assert.That(RealTokenizers.Theirs(RealTokenizers.Mistral).EncodeToIds(text).Skip(1), Is.Not.EqualTo(ids));
    }

    /// <summary>.NET's expressions see a letter or a digit beyond U+FFFF as two surrogates, which are neither. If this fails, they see it now: then the exception in
    /// docs/tokenizers.md and in <see cref="IsTheSame"/> can go.</summary>
    [Test]
    public void DigitsBeyondTheBasicPlane_AreDigitsToOursAlone()
    {
        const string Text = "a \U0001D7D9\U0001D7DA";
        Assert.That(RealTokenizers.Theirs(RealTokenizers.Cl100k).EncodeToIds(Text), Is.Not.EqualTo(RealTokenizers.Ours(RealTokenizers.Cl100k).Encode(Text, addSpecial: false)));
    }

    private static bool IsTheSame(string name, string text) => name switch
    {
        RealTokenizers.Mistral => !Enumerable.Range(2, Math.Max(0, text.Length - 2)).Any(i => text[i] == text[i - 1] && text[i] == text[i - 2]),
        RealTokenizers.Cl100k or RealTokenizers.O200k => !text.EnumerateRunes().Any(rune => !rune.IsBmp && (Rune.IsLetter(rune) || Rune.IsNumber(rune))),
        _ => true,
    };

    private static string Streamed(Tokenization.Tokenizer tokenizer, int[] ids)
    {
        var output = new ArrayBufferWriter<byte>();
        var detokenizer = tokenizer.CreateDetokenizer();
        foreach (var id in ids)
        {
            detokenizer.Append(id, output);
        }

        detokenizer.Flush(output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
