using System.Text.Json.Nodes;
using NativeSpec.Tokenization.Unigram;

namespace NativeSpec.Tests.Tokenization.Unigram;

public sealed class UnigramTests
{
    private static readonly UnigramPiece[] Pieces =
        [new("a", 1, -2), new("b", 2, -3), new("ab", 3, -4), new("abc", 4, -5), new("ba", 5, -3.5), new("😀", 6, -1), new("bab", 7, -9)];

    [TestCase("ab", new[] { 3 })]
    [TestCase("aba", new[] { 1, 5 })]
    [TestCase("abcx", new[] { 4, 0 })]
    [TestCase("xya", new[] { 0, 1 })] // neighbouring unknowns are one
    [TestCase("😀a", new[] { 6, 1 })]
    [TestCase("", new int[0])]
    public void Encode_TakesTheLikeliestSpelling(string text, int[] ids) => Assert.That(Encode(new(Pieces, 0, null, -9, single: false), text), Is.EqualTo(ids));

    [Test]
    public void Encode_RandomTexts_NoSpellingIsLikelier()
    {
        var random = new Random(2);
        var model = new UnigramModel(Pieces, 0, null, -9, single: false);
        for (var round = 0; round < 2_000; round++)
        {
            var text = new string([.. Enumerable.Range(0, random.Next(1, 9)).Select(_ => "abc"[random.Next(3)])]);
            var score = Encode(model, text).Sum(id => id == 0 ? -19 : Pieces.First(p => p.Id == id).Score);
            Assert.That(score, Is.GreaterThanOrEqualTo(Best(text) - 1e-9), text);
        }

        // By the definition; a run of unknowns counts once above, so this is the lower bound where there are some.
        static double Best(string text) => text.Length == 0 ? 0 : Pieces.Where(p => text.StartsWith(p.Text, StringComparison.Ordinal))
            .Select(p => p.Score + Best(text[p.Text.Length..])).Append(-19 + Best(text[1..])).Max();
    }

    [Test]
    public void Encode_WithByteFallback_SpellsUnknownsInBytes()
    {
        var bytes = Enumerable.Range(100, 256).ToArray();
        Assert.That(Encode(new(Pieces, 0, bytes, -9, single: false), "aé"), Is.EqualTo(new[] { 1, 100 + 0xC3, 100 + 0xA9 }));
        bytes[0xA9] = -1;
        Assert.That(Encode(new(Pieces, 0, bytes, -9, single: false), "aé"), Is.EqualTo(new[] { 1, 0 }));
    }

    [Test]
    public void Encode_LongText_IsOnePass() =>
        Assert.That(Encode(new(Pieces, 0, null, -9, single: false), new string('a', 1_000_000)), Has.Count.EqualTo(1_000_000));

    [Test]
    public void Load_Json_EncodesWithMetaspaceAndDecodes()
    {
        var json = TestTokenizers.Object("""
            {"added_tokens": [{"id": 1, "content": "</s>", "special": true}], "normalizer": {"type": "Sequence", "normalizers": [
               {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
             "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
             "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 2]},
             "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
             "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["</s>", 0], ["<s>", 0], ["▁", -2], ["▁he", -3], ["l", -4], ["lo", -4.5], ["o", -5]]}}
            """);
        var tokenizer = TestTokenizers.Load(json);
        Assert.That(tokenizer.Encode("hello  he"), Is.EqualTo(new[] { 2, 4, 5, 6, 4, 1 }));
        Assert.That(tokenizer.Decode(tokenizer.Encode("hello he")), Is.EqualTo("hello he"));
        Assert.That((tokenizer.Encode("x", addSpecial: false), tokenizer.Description), Is.EqualTo((new[] { 3, 0 }, "Unigram, 8 tokens, tokenizer.json")));
    }

    [TestCase("""[["a"]]""", "model.vocab[0]")]
    [TestCase("""[["a", 1e999]]""", "model.vocab[0]")]
    [TestCase("""[["a", 1], ["a", 2]]""", "twice")]
    public void Load_BadVocabulary_IsRefused(string vocab, string fact)
    {
        var json = new JsonObject { ["model"] = new JsonObject { ["type"] = "Unigram", ["vocab"] = JsonNode.Parse(vocab) } };
        Assert.That(() => TestTokenizers.Load(json), Throws.InstanceOf<NativeSpec.Loading.ModelFormatException>().With.Message.Contains(fact));
    }

    [Test]
    public void Load_SentencePiece_SkipsUnusedPieces()
    {
        (string, float, int)[] words = [("▁a", -1, 5), ("▁", -2, 1), ("a", -3, 1), ("b", -3, 1)];
        var model = TestTokenizers.SentencePiece(modelType: 1, pieces: TestTokenizers.Pieces().Take(259).Concat(words));
        var tokenizer = TestTokenizers.Load(model, "tokenizer.model");
        Assert.That(tokenizer.Encode("ab"), Is.EqualTo(new[] { 1, 260, 261, 262 }));
        Assert.That(tokenizer.Encode("é"), Is.EqualTo(new[] { 1, 260, 3 + 0xC3, 3 + 0xA9 }));
        Assert.That(tokenizer.Description, Is.EqualTo("sentencepiece Unigram, 263 tokens, tokenizer.model"));
    }

    private static List<int> Encode(UnigramModel model, string text)
    {
        var ids = new List<int>();
        model.CreateEncoder().Encode(text, ids);
        return ids;
    }
}
