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
    public const string Gpt2 = "gpt2 ranks", Gpt2Merges = "gpt2 vocabulary and merges", CodeGen = "gpt2 for CodeGen", Mistral = "mistral-v3 model";

    public const string Gpt2Pattern = @"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>The vectors of a tokenizer.</summary>
    public static IReadOnlyList<(string Text, int[] Ids)> Vectors(string name)
    {
        if (name == Mistral)
        {
            return SharedVectors.Of("mistral-v3");
        }

        // The reference's ids are phi-2's, which has runs of spaces as tokens; NativeSpec's own, proven against llama.cpp's, stand for plain GPT-2.
        var ours = Ours(name);
        return [.. SharedVectors.Of("gpt2").Select(one => (one.Text, ours.Encode(one.Text, addSpecial: false)))];
    }

    /// <summary>As NativeSpec reads it.</summary>
    public static Tokenizer Ours(string name) => name switch
    {
        Gpt2 or Gpt2Merges or CodeGen => Tokenizer.Load(SharedFiles.Require("data", "tokenizers", "gpt2", "gpt2.tiktoken")),
        Mistral => Tokenizer.Load(SharedFiles.Require("data", "tokenizers", "mistral-v3", "tokenizer.model")),
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
