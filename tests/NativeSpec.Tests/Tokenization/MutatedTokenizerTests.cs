using System.Text;
using NativeSpec.Loading;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Files with random faults either load, and then encode and decode, or are refused: nothing else happens.</summary>
public sealed class MutatedTokenizerTests
{
    private static readonly (string Name, byte[] File)[] Files =
    [
        ("tokenizer.json", Encoding.UTF8.GetBytes(TestTokenizers.ByteLevel(300).ToJsonString())),
        ("tokenizer.json", Encoding.UTF8.GetBytes(TestTokenizers.Llama2().ToJsonString())),
        ("tokenizer.model", TestTokenizers.SentencePiece()),
        ("tokenizer.json", Encoding.UTF8.GetBytes("""
            {"added_tokens": [{"id": 1, "content": "</s>", "special": true}], "normalizer": {"type": "Sequence", "normalizers": [
               {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": true, "strip_right": true},
               {"type": "Replace", "pattern": {"Regex": " {2,}|\\s+(?!\\S)"}, "content": " "}]},
             "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Contiguous"},
               {"type": "UnicodeScripts"}, {"type": "Split", "pattern": {"Regex": "(?i:he|[l-o&&[^m]])+|\\p{N}{1,3}"}, "behavior": "MergedWithNext", "invert": false},
               {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}]},
             "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 2]},
             "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
             "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [["<unk>", 0], ["</s>", 0], ["<s>", 0], ["▁", -2], ["▁he", -3], ["l", -4], ["lo", -4.5]]}}
            """)),
        ("tokenizer.model", TestTokenizers.SentencePiece(modelType: 1)),
        ("tekken.json", Encoding.UTF8.GetBytes(
            """{"config": {"pattern": "\\p{L}+|\\s+(?!\\S)|.", "default_vocab_size": 276, "default_num_special_tokens": 20}, "vocab": ["""
            + string.Join(',', Enumerable.Range(0, 256).Select(b => $$"""{"rank": {{b}}, "token_bytes": "{{Convert.ToBase64String([(byte)b])}}"}""")) + "]}")),
    ];

    private static readonly byte[] Extremes = [0x00, 0x7F, 0x80, 0xFF, (byte)'"', (byte)'{', (byte)']', (byte)'-', (byte)'9', (byte)',', (byte)'\\'];

    [Test]
    public void Load_RandomFaults_LoadsOrRefuses([Range(0, 5)] int which)
    {
        var random = new Random(23 + which);
        var (name, file) = Files[which];
        var refused = 0;
        for (var round = 0; round < 1_500; round++)
        {
            try
            {
                var tokenizer = TestTokenizers.Load(Mutate(file, random), name);
                tokenizer.Decode(tokenizer.Encode("hello the <s> é 🦙 12", parseSpecial: true));
            }
            catch (ModelFormatException)
            {
                refused++;
            }
        }

        Assert.That(refused, Is.GreaterThan(100));
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        var file = original.ToList();
        for (var faults = random.Next(1, 4); faults > 0 && file.Count > 1; faults--)
        {
            // The parts that say how to read the rest lie at either end: faults there say more than in the vocabulary.
            var at = random.Next(3) switch { 0 => random.Next(Math.Min(2000, file.Count)), 1 => file.Count - 1 - random.Next(Math.Min(2000, file.Count)), _ => random.Next(file.Count) };
            var length = Math.Min(random.Next(1, 40), file.Count - at);
            switch (random.Next(5))
            {
                case 0:
                    file[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    file[at] = Extremes[random.Next(Extremes.Length)];
                    break;
                case 2:
                    file.RemoveRange(at, length);
                    break;
                case 3:
                    file.InsertRange(at, file.GetRange(random.Next(file.Count - length + 1), length));
                    break;
                default:
                    file.RemoveRange(at, file.Count - at);
                    break;
            }
        }

        return [.. file];
    }
}
