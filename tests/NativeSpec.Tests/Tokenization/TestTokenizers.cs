using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using NativeSpec.Loading;
using NativeSpec.Tokenization;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tests.Tokenization;

/// <summary>Small tokenizers that tests make themselves, so that they need no files of others.</summary>
internal static class TestTokenizers
{
    private static readonly string[] Words = ["he", "ll", "hell", "hello", "Ġt", "Ġth", "Ġthe", "in", "on", "Ġa"];

    /// <summary>The merges that lead to <see cref="Words"/>.</summary>
    private static readonly string[] Merges = ["Ġ t", "Ġt h", "Ġth e", "h e", "l l", "he ll", "hell o", "i n", "o n", "Ġ a"];

    /// <summary>The smallest vocabulary of <see cref="WriteByteLevel"/>: 256 bytes, ten merges, two control tokens.</summary>
    public static int MinVocabSize => 256 + Words.Length + 2;

    /// <summary>Writes a byte-level tokenizer.json (ids 0 to 255 are the bytes, the last control tokens begin and end a text) and its
    /// tokenizer_config.json, with unused control tokens up to <paramref name="vocabSize"/>.</summary>
    public static void WriteByteLevel(string directory, int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabSize, MinVocabSize);
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), ByteLevel(vocabSize).ToJsonString());
        File.WriteAllText(
            Path.Combine(directory, "tokenizer_config.json"), """{"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}""");
    }

    /// <summary>The JSON that <see cref="WriteByteLevel"/> writes, for tests that change it.</summary>
    public static JsonObject ByteLevel(int vocabSize)
    {
        var vocab = new JsonObject();
        foreach (var token in Enumerable.Range(0, 256).Select(b => ByteAlphabet.Letter((byte)b).ToString()).Concat(Words))
        {
            vocab[token] = vocab.Count;
        }

        var names = new[] { "<|begin_of_text|>", "<|end_of_text|>" }
            .Concat(Enumerable.Range(0, vocabSize - MinVocabSize).Select(i => $"<|unused_{i}|>")).ToArray();
        return new()
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray([.. names.Select((name, i) => (JsonNode)Added(vocab.Count + i, name, special: true))]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = Sequence("pretokenizers", Split(SplitPatterns.Llama3), ByteLevelPart(useRegex: false)),
            ["post_processor"] = Template("<|begin_of_text|>", vocab.Count),
            ["decoder"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocab, ["merges"] = Strings(Merges) },
        };
    }

    /// <summary>A tokenizer.json of the Llama-2 kind: bytes, letters and a few words, with Prepend and Replace.</summary>
    public static JsonObject Llama2()
    {
        var vocab = new JsonObject();
        foreach (var token in Llama2Tokens())
        {
            vocab[token] = vocab.Count;
        }

        return new()
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Added(0, "<unk>", true), Added(1, "<s>", true), Added(2, "</s>", true)),
            ["normalizer"] = Object("""
                {"type": "Sequence", "normalizers": [
                    {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
                """),
            ["pre_tokenizer"] = null,
            ["post_processor"] = Template("<s>", 1),
            ["decoder"] = Object("""
                {"type": "Sequence", "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
                """),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocab,
                ["merges"] = Strings("▁ h", "l l", "e ll", "▁h ell", "▁hell o", "▁ ▁"),
            },
        };
    }

    /// <summary>The sentencepiece twin of <see cref="Llama2"/>, as the bytes of a tokenizer.model.</summary>
    public static byte[] SentencePiece(
        int modelType = 2, bool byteFallback = true, byte[]? charMap = null, bool removeExtra = false, IEnumerable<(string Text, float Score, int Type)>? pieces = null)
    {
        var message = new List<byte>();
        foreach (var (text, score, type) in pieces ?? Pieces())
        {
            var bits = new byte[4];
            BinaryPrimitives.WriteSingleLittleEndian(bits, score);
            List<byte> piece = [.. Bytes(1, Encoding.UTF8.GetBytes(text)), 0x15, .. bits, .. type == 1 ? [] : Integer(3, type)];
            message.AddRange(Bytes(1, [.. piece]));
        }

        message.AddRange(Bytes(2, [.. Integer(3, modelType), .. Integer(35, byteFallback ? 1 : 0), .. Integer(40, 0), .. Integer(41, 1), .. Integer(42, 2)]));
        message.AddRange(Bytes(3, [.. Bytes(1, "identity"u8.ToArray()), .. Bytes(2, charMap ?? []), .. Integer(3, 1), .. Integer(4, removeExtra ? 1 : 0)]));
        return [.. message];
    }

    /// <summary>The pieces of <see cref="SentencePiece"/>.</summary>
    public static IEnumerable<(string Text, float Score, int Type)> Pieces() => Llama2Tokens().Select((text, id) => (
        text, id < 3 + 256 ? 0f : -id, id == 0 ? 2 : id < 3 ? 3 : id < 3 + 256 ? 6 : 1));

    /// <summary>Tiktoken ranks: the bytes, all pairs of bytes, and triples up to the count.</summary>
    public static byte[] Tiktoken(int count)
    {
        var lines = new StringBuilder();
        for (var rank = 0; rank < count; rank++)
        {
            byte[] token = rank < 256 ? [(byte)rank]
                : rank < 256 + 65536 ? [(byte)((rank - 256) >> 8), (byte)(rank - 256)]
                : [(byte)((rank - 65792) >> 16), (byte)((rank - 65792) >> 8), (byte)(rank - 65792)];
            lines.Append(Convert.ToBase64String(token)).Append(' ').Append(rank).Append('\n');
        }

        return Encoding.ASCII.GetBytes(lines.ToString());
    }

    /// <summary>Loads a tokenizer from bytes under a file name.</summary>
    public static Tokenizer Load(byte[] file, string name = "tokenizer.json", string? config = null)
    {
        if (config is null)
        {
            return new(TokenizerFiles.Parse(name, file, new(), LoadLimits.Default), LoadLimits.Default);
        }

        var directory = Directory.CreateTempSubdirectory("tokenizer-test-");
        try
        {
            File.WriteAllBytes(Path.Combine(directory.FullName, name), file);
            File.WriteAllText(Path.Combine(directory.FullName, "tokenizer_config.json"), config);

            return Tokenizer.Load(directory.FullName);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>Loads a tokenizer.json.</summary>
    public static Tokenizer Load(JsonNode json, string? config = null) => Load(Encoding.UTF8.GetBytes(json.ToJsonString()), config: config);

    /// <summary>A JSON object from its text.</summary>
    public static JsonObject Object(string json) => JsonNode.Parse(json)!.AsObject();

    /// <summary>An entry of added_tokens.</summary>
    public static JsonObject Added(int id, string content, bool special)
    {
        var token = Object("""{"single_word": false, "lstrip": false, "rstrip": false, "normalized": false}""");
        token["id"] = id;
        token["content"] = content;
        token["special"] = special;
        return token;
    }

    /// <summary>A Split pre-tokenizer with a regular expression.</summary>
    public static JsonObject Split(string regex)
    {
        var split = Object("""{"type": "Split", "pattern": {}, "behavior": "Isolated", "invert": false}""");
        split["pattern"]!["Regex"] = regex;
        return split;
    }

    /// <summary>A ByteLevel pre-tokenizer.</summary>
    public static JsonObject ByteLevelPart(bool useRegex, bool addPrefixSpace = false)
    {
        var part = Object("""{"type": "ByteLevel", "trim_offsets": true}""");
        part["add_prefix_space"] = addPrefixSpace;
        part["use_regex"] = useRegex;
        return part;
    }

    /// <summary>A Sequence of parts.</summary>
    public static JsonObject Sequence(string name, params JsonObject[] parts) => new() { ["type"] = "Sequence", [name] = new JsonArray([.. parts]) };

    /// <summary>An array of strings.</summary>
    public static JsonArray Strings(params string[] values) => [.. values.Select(v => (JsonNode)v)];

    private static JsonObject Template(string bos, int id) => Object($$$$"""
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "{{{{bos}}}}", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "special_tokens": {"{{{{bos}}}}": {"id": "{{{{bos}}}}", "ids": [{{{{id}}}}], "tokens": ["{{{{bos}}}}"]}}}
        """);

    private static IEnumerable<string> Llama2Tokens() =>
        new[] { "<unk>", "<s>", "</s>" }.Concat(Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>"))
            .Concat(["▁h", "ll", "ell", "▁hell", "▁hello", "▁▁", "▁"]).Concat("abcdefghijklmnopqrstuvwxyz<>/".Select(c => c.ToString()));

    private static byte[] Bytes(int field, byte[] value) => [.. Varint(((uint)field << 3) | 2), .. Varint((uint)value.Length), .. value];

    private static byte[] Integer(int field, int value) => [.. Varint((uint)field << 3), .. Varint((uint)value)];

    private static IEnumerable<byte> Varint(uint value)
    {
        for (; value >= 0x80; value >>= 7)
        {
            yield return (byte)(value | 0x80);
        }

        yield return (byte)value;
    }
}
