using NativeSpec.Loading;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.SentencePiece;
using NativeSpec.Tokenization.Tiktoken;

namespace NativeSpec.Tokenization;

/// <summary>Finds the files of a tokenizer, reads them within the limits, and tells by their content what they are.</summary>
internal static class TokenizerFiles
{
    private static readonly string[] Names = ["tokenizer.json", "tokenizer.model", "tekken.json"];

    /// <summary>Reads the tokenizer of a folder or a file.</summary>
    public static TokenizerParts Read(string path, LoadLimits limits)
    {
        var file = Directory.Exists(path) ? FindIn(path) : path;
        var bytes = RegularFile.ReadAll(file, limits.MaxTokenizerBytes, nameof(LoadLimits.MaxTokenizerBytes));
        return Parse(file, bytes, TokenizerConfig.Read(Path.GetDirectoryName(Path.GetFullPath(file))!, limits), limits);
    }

    /// <summary>Reads a tokenizer from the bytes of its file.</summary>
    public static TokenizerParts Parse(string file, byte[] bytes, TokenizerConfig config, LoadLimits limits)
    {
        ReadOnlySpan<byte> start = bytes;
        start = (start.StartsWith("\uFEFF"u8) ? start[3..] : start).TrimStart(" \t\r\n"u8);
        if (start is [(byte)'{', ..])
        {
            var root = JsonPart.Parse(file, bytes);
            return Tekken.LooksLike(root) ? Tekken.Read(root, config, limits) : TokenizerJson.Read(root, config, limits);
        }

        if (MayBeSentencePiece(bytes))
        {
            return SentencePieceModel.Read(file, bytes, config, limits);
        }

        if (NameOther(start) is { } other)
        {
            throw new ModelFormatException(file, $"is no tokenizer but {other}: expected a tokenizer.json, tokenizer.model, tekken.json or *.tiktoken");
        }

        return TiktokenRanks.LooksLike(start)
            ? TiktokenRanks.Read(file, start, config, limits)
            : throw new ModelFormatException(file, "is no tokenizer: expected a tokenizer.json, tokenizer.model, tekken.json or *.tiktoken");
    }

    // What people find in the place of a tokenizer.
    private static string? NameOther(ReadOnlySpan<byte> start) => start switch
    {
        _ when start.IsEmpty => "empty",
        _ when start.StartsWith("version https://git-lfs"u8) =>
            "a Git LFS pointer, which stands for a file that has not been fetched (git lfs pull fetches it)",
        [(byte)'<', ..] => "an HTML or XML page (was an error page or the page about the file saved in its place?)",
        _ when start.StartsWith("GGUF"u8) => "a GGUF file, another engine's format",
        _ when start.StartsWith("PK\u0003\u0004"u8) => "a zip archive or a PyTorch checkpoint",
        [0x1F, 0x8B, ..] => "gzip-compressed (gunzip unpacks it)",
        [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..] => "text in UTF-16 (save it as UTF-8)",
        [(byte)'[', ..] or [(byte)'"', ..] => "some other JSON",
        _ when start.StartsWith("#version"u8) => "a list of merges (merges.txt), which needs its vocabulary: use tokenizer.json",
        _ => null,
    };

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
