using NativeSpec.Loading;
using NativeSpec.Tokenization.Json;
using NativeSpec.Tokenization.SentencePiece;
using NativeSpec.Tokenization.Tiktoken;

namespace NativeSpec.Tokenization;

/// <summary>Finds the files of a tokenizer, reads them within the limits, and tells by their content what they are.</summary>
internal static class TokenizerFiles
{
    /// <summary>Reads the tokenizer of a folder or a file.</summary>
    public static TokenizerParts Read(string path, LoadLimits limits)
    {
        var file = Directory.Exists(path) ? FindIn(path) : path;
        var bytes = ReadBounded(file, limits.MaxTokenizerBytes, nameof(LoadLimits.MaxTokenizerBytes));
        return Parse(file, bytes, TokenizerConfig.Read(Path.GetDirectoryName(Path.GetFullPath(file))!, limits), limits);
    }

    /// <summary>Reads a tokenizer from the bytes of its file.</summary>
    public static TokenizerParts Parse(string file, byte[] bytes, TokenizerConfig config, LoadLimits limits)
    {
        if (bytes.Length == 0)
        {
            throw new ModelFormatException(file, "is empty: expected a tokenizer.json, a sentencepiece model or tiktoken ranks");
        }

        if (bytes.AsSpan().TrimStart(" \t\r\n"u8) is [(byte)'{', ..])
        {
            return TokenizerJson.Read(file, bytes, config, limits);
        }

        return TiktokenRanks.LooksLike(bytes)
            ? TiktokenRanks.Read(file, bytes, config, limits)
            : SentencePieceModel.Read(file, bytes, config, limits);
    }

    /// <summary>The bytes of a file, which must not be longer than allowed.</summary>
    public static byte[] ReadBounded(string file, int maxBytes, string limitName)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (!stream.CanSeek || stream.Length > maxBytes)
            {
                var found = stream.CanSeek ? $"has {stream.Length} bytes" : "is no plain file";
                throw new ModelFormatException(file, $"{found}: expected a file of at most {maxBytes} bytes (LoadLimits.{limitName})");
            }

            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new ModelFormatException(file, $"cannot be read: {error.Message}", error);
        }
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
