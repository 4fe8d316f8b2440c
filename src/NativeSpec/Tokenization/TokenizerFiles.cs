using NativeSpec.Loading;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.SentencePiece;
using NativeSpec.Tokenization.Tiktoken;

namespace NativeSpec.Tokenization;

/// <summary>Finds the files of a tokenizer, reads them within the limits, and tells by their content what they are.</summary>
internal static class TokenizerFiles
{
    private const string Expected = "expected a tokenizer.json, tokenizer.model, tekken.json or *.tiktoken";
    private static readonly string[] Names = ["tokenizer.json", "tokenizer.model", "tekken.json"];

    /// <summary>Reads the tokenizer of a folder or a file; beside a file of weights it is that of their folder.</summary>
    public static TokenizerParts Read(string path, LoadLimits limits)
    {
        var folder = Directory.Exists(path) ? path : ModelFolder.OfWeights(path);
        var file = folder is null ? path : FindIn(folder);
        var bytes = RegularFile.ReadAll(file, limits.MaxTokenizerBytes, nameof(LoadLimits.MaxTokenizerBytes));
        return Parse(file, bytes, TokenizerConfig.Read(Path.GetDirectoryName(Path.GetFullPath(file))!, limits), limits);
    }

    /// <summary>Reads a tokenizer from the bytes of its file.</summary>
    public static TokenizerParts Parse(string file, byte[] bytes, TokenizerConfig config, LoadLimits limits)
    {
        var text = FileKind.WithoutMark(bytes).TrimStart(" \t\r\n"u8);
        if (text is [(byte)'{', ..])
        {
            var root = JsonPart.Parse(file, bytes);
            return Tekken.LooksLike(root) ? Tekken.Read(root, config, limits) : TokenizerJson.Read(root, config, limits);
        }

        if (MayBeSentencePiece(bytes))
        {
            return SentencePieceModel.Read(file, bytes, config, limits);
        }

        return TiktokenRanks.LooksLike(text)
            ? TiktokenRanks.Read(file, text, config, limits)
            : throw new ModelFormatException(file, $"{NameOther(bytes, text)}: {Expected}");
    }

    // What people find in the place of a tokenizer.
    private static string NameOther(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> text)
    {
        var start = bytes[..Math.Min(bytes.Length, FileKind.Bytes)];
        return text switch
        {
            [] => "is empty",
            [(byte)'[', ..] or [(byte)'"', ..] => "is no tokenizer but some other JSON",
            _ when text.StartsWith("#version"u8) => "is a list of merges (merges.txt), which needs its vocabulary, and no tokenizer by itself",
            _ => FileKind.Find(start) ?? $"{FileKind.FindText(start) ?? "is something unknown"} and no tokenizer",
        };
    }

    // A sentencepiece model begins with its first piece: the tag of field 1, which is also a line feed, and soon bytes that no text has.
    private static bool MayBeSentencePiece(ReadOnlySpan<byte> bytes) => bytes is [0x0A, ..]
        && (bytes[..Math.Min(bytes.Length, 256)].IndexOfAnyInRange((byte)0, (byte)8) >= 0
            || bytes[..Math.Min(bytes.Length, 256)].IndexOfAnyInRange((byte)0x0E, (byte)0x1F) >= 0);

    private static string FindIn(string directory)
    {
        if (Names.Select(name => Path.Combine(directory, name)).FirstOrDefault(File.Exists) is { } file)
        {
            return file;
        }

        if (Directory.GetFiles(directory, "*.tiktoken") is [var ranks])
        {
            return ranks;
        }

        var old = File.Exists(Path.Combine(directory, "vocab.json"))
            ? " (a vocab.json is there: transformers writes the tokenizer.json with AutoTokenizer.from_pretrained(…).save_pretrained(…))"
            : "";
        throw new ModelFormatException(directory, $"holds no tokenizer: expected {string.Join(", ", Names)} or one *.tiktoken{old}");
    }
}
