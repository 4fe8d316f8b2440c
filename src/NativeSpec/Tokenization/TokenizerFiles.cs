using NativeSpec.Loading;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.SentencePiece;
using NativeSpec.Tokenization.Tiktoken;

namespace NativeSpec.Tokenization;

/// <summary>Finds the files of a tokenizer, reads them within the limits, and tells by their content what they are.</summary>
internal static class TokenizerFiles
{
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
        var start = bytes.AsSpan(0, Math.Min(bytes.Length, FileKind.Bytes));
        if (bytes.Length == 0 || FileKind.Find(start) is not null)
        {
            throw new ModelFormatException(file, FileKind.Find(start) ?? "is empty: expected a tokenizer.json, a sentencepiece model or tiktoken ranks");
        }

        if (FileKind.WithoutMark(bytes).TrimStart(" \t\r\n"u8) is [(byte)'{', ..])
        {
            return TokenizerJson.Read(file, bytes, config, limits);
        }

        if (!TiktokenRanks.LooksLike(bytes) && FileKind.FindText(start) is { } text)
        {
            throw new ModelFormatException(file, $"{text} and not a tokenizer: expected JSON (tokenizer.json), or the files of other kinds");
        }

        return TiktokenRanks.LooksLike(bytes)
            ? TiktokenRanks.Read(file, bytes, config, limits)
            : SentencePieceModel.Read(file, bytes, config, limits);
    }

    private static string FindIn(string directory)
    {
        foreach (var name in (string[])["tokenizer.json", "tokenizer.model"])
        {
            var file = Path.Combine(directory, name);
            if (File.Exists(file))
            {
                return file;
            }
        }

        return Directory.GetFiles(directory, "*.tiktoken") is [var ranks]
            ? ranks
            : throw new ModelFormatException(directory, "holds no tokenizer: expected tokenizer.json, tokenizer.model or one *.tiktoken");
    }
}
