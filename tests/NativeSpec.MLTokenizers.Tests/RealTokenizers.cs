using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;
using NativeSpec.Tests;
using MLTokenizer = Microsoft.ML.Tokenizers.Tokenizer;
using Tokenizer = NativeSpec.Tokenization.Tokenizer;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>The same real files, read by both libraries.</summary>
internal static class RealTokenizers
{
    public const string Gpt2 = "gpt2 ranks", Gpt2Merges = "gpt2 vocabulary and merges", CodeGen = "gpt2 for CodeGen", Mistral = "mistral-v3 model", Cl100k = "cl100k ranks", O200k = "o200k ranks";

    public const string Gpt2Pattern = @"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    // OpenAI's patterns of both, in the words of .NET's expressions.
    private const string Cl100kPattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string O200kPattern =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly ConcurrentDictionary<string, Tokenizer> Known = [];
    private static readonly ConcurrentDictionary<string, byte[]> KnownRanks = [];

    /// <summary>The vectors of a tokenizer.</summary>
    public static IReadOnlyList<(string Text, int[] Ids)> Vectors(string name)
    {
        if (name == Mistral)
        {
            return SharedVectors.Of("mistral-v3");
        }

        // The reference's ids have the added tokens of a model (phi-2's runs of spaces, OLMo's, gpt-oss'); NativeSpec's own, proven elsewhere against the references, stand for the plain ranks.
        var ours = Ours(name);
        return [.. SharedVectors.Of(name switch { Cl100k => "olmo2-dolma2", O200k => "gpt-oss", _ => "gpt2" }).Select(one => (one.Text, ours.Encode(one.Text, addSpecial: false)))];
    }

    /// <summary>As NativeSpec reads it.</summary>
    public static Tokenizer Ours(string name) => Known.GetOrAdd(name, Load);

    private static Tokenizer Load(string name) => name switch
    {
        Gpt2 or Gpt2Merges or CodeGen => Tokenizer.Load(SharedFiles.Require("data", "tokenizers", "gpt2", "gpt2.tiktoken")),
        Mistral => Tokenizer.Load(SharedFiles.Require("data", "tokenizers", "mistral-v3", "tokenizer.model")),
        Cl100k or O200k => FromFile("own.tiktoken", Ranks(name)),
        _ => throw new ArgumentException(name),
    };

    /// <summary>As Microsoft.ML.Tokenizers reads it.</summary>
    public static MLTokenizer Theirs(string name)
    {
        switch (name)
        {
            case Gpt2:
                Dictionary<string, int> special = new() { ["<|endoftext|>"] = 50256 };
                using (var ranks = SharedVectors.Open("gpt2", "gpt2.tiktoken"))
                {
                    return TiktokenTokenizer.Create(ranks, new RegexPreTokenizer(new Regex(Gpt2Pattern), special), null, special);
                }

            case Cl100k or O200k:
                return TiktokenTokenizer.Create(new MemoryStream(Ranks(name)), new RegexPreTokenizer(new Regex(name == Cl100k ? Cl100kPattern : O200kPattern), null), null);
            case Gpt2Merges:
                return BpeTokenizer.Create(Gpt2Options());
            case CodeGen:
                var options = Gpt2Options();
                using (var vocabulary = new MemoryStream(JsonSerializer.SerializeToUtf8Bytes(options.Vocabulary.ToDictionary())))
                using (var merges = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', options.Merges!.Prepend("#version: 0.2")))))
                {
                    return CodeGenTokenizer.Create(vocabulary, merges);
                }

            case Mistral:
                using (var model = SharedVectors.Open("mistral-v3", "tokenizer.model"))
                {
                    return LlamaTokenizer.Create(model);
                }

            default:
                throw new ArgumentException(name);
        }
    }

    // The file of ranks as OpenAI publishes it, written from a tokenizer.json that has its tokens: those are its first.
    private static byte[] Ranks(string name) => KnownRanks.GetOrAdd(name, WriteRanks);

    private static byte[] WriteRanks(string name)
    {
        var (folder, count) = name == Cl100k ? ("olmo2-dolma2", 100_256) : ("gpt-oss", 199_998);
        using var packed = SharedVectors.Open(folder, "tokenizer.json.gz");
        using var json = new MemoryStream();
        packed.CopyTo(json);
        var source = FromFile("tokenizer.json", json.ToArray());
        var lines = new StringBuilder();
        for (var id = 0; id < count; id++)
        {
            lines.Append(Convert.ToBase64String(source.TokenBytes(id))).Append(' ').Append(id).Append('\n');
        }

        return Encoding.ASCII.GetBytes(lines.ToString());
    }

    private static Tokenizer FromFile(string name, byte[] content)
    {
        var folder = Directory.CreateTempSubdirectory("tokenizer-test-");
        try
        {
            File.WriteAllBytes(Path.Combine(folder.FullName, name), content);
            return Tokenizer.Load(Path.Combine(folder.FullName, name));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    // The vocabulary and the merges of GPT-2 as its tokenizer.json has them, without what phi-2 added.
    private static BpeOptions Gpt2Options()
    {
        using var stream = SharedVectors.Open("gpt2", "tokenizer.json");
        using var json = JsonDocument.Parse(stream);
        var model = json.RootElement.GetProperty("model");
        Dictionary<string, int> special = new() { ["<|endoftext|>"] = 50256 };
        return new(model.GetProperty("vocab").EnumerateObject().Select(entry => KeyValuePair.Create(entry.Name, entry.Value.GetInt32())).Where(entry => entry.Value <= 50256).ToArray())
        {
            Merges = [.. model.GetProperty("merges").EnumerateArray().Select(merge => merge.GetString()!)],
            ByteLevel = true,
            SpecialTokens = special,
            PreTokenizer = new RegexPreTokenizer(new Regex(Gpt2Pattern), special),
        };
    }
}
