using System.Text;
using System.Text.Unicode;

namespace NativeSpec.Loading;

/// <summary>Tells by its first bytes what lies in the place of a model's file, so that the error says it, and what to do.</summary>
internal static class FileKind
{
    /// <summary>So many bytes of a file's start are enough.</summary>
    public const int Bytes = 256;

    /// <summary>What the file is and what to do, as the end of a sentence that begins with its name; null where it is none of the known
    /// kinds. Safetensors and JSON are not among them.</summary>
    /// <param name="start">The file's first bytes, <see cref="Bytes"/> of them where it has so many.</param>
    public static string? Find(ReadOnlySpan<byte> start)
    {
        var text = WithoutMark(start).TrimStart(" \t\r\n"u8);
        return start switch
        {
            _ when text.StartsWith("version https://git-lfs"u8) =>
                "is a Git LFS pointer, three lines that stand for a file that was not fetched: run 'git lfs pull' in its folder, or download the file itself",
            _ when IsMarkup(text) => "is an HTML or XML page, as servers send in place of a file that they do not give: download the file itself",
            _ when start.StartsWith("GGUF"u8) || start.StartsWith("tjgg"u8) || start.StartsWith("fmgg"u8) || start.StartsWith("lmgg"u8) =>
                "is a GGUF or GGML file, which is not read: take the model's safetensors (the folder on the hub that the GGUF was made from)",
            _ when start.StartsWith("PK\u0003\u0004"u8) =>
                "is a zip archive, as torch.save writes it (.bin, .pt, .pth), which is not read here: save it as safetensors "
                + "(in transformers: save_pretrained(folder))",
            [0x80, >= 2 and <= 5, ..] =>
                "is a bare Python pickle, as old versions of torch.save write it (.bin, .pt, .pth), which is not read here: save it as safetensors "
                + "(in transformers: save_pretrained(folder))",
            [0x1F, 0x8B, ..] => "is compressed by gzip: unpack it",
            [0x28, 0xB5, 0x2F, 0xFD, ..] => "is compressed by zstd: unpack it",
            [0x89, (byte)'H', (byte)'D', (byte)'F', ..] =>
                "is an HDF5 file (TensorFlow, Keras), which is not read: save the model as safetensors",
            [0x93, (byte)'N', (byte)'U', (byte)'M', ..] => "is a NumPy array, which is not read: save the model as safetensors",
            [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..] => "is text in UTF-16, as some editors and shells write it: save it as UTF-8",
            _ => null,
        };
    }

    /// <summary>What a file is that begins like text, such as an error message that was saved in its place; null where it does not.</summary>
    public static string? FindText(ReadOnlySpan<byte> start)
    {
        var text = WithoutMark(start);
        // A character may be cut at the end.
        for (var cut = 0; cut < 3 && text.Length > 0 && start.Length >= Bytes && !Utf8.IsValid(text); cut++)
        {
            text = text[..^1];
        }

        return text.Length > 0 && Utf8.IsValid(text) && text.IndexOfAnyInRange((byte)0, (byte)8) < 0
            ? $"is a text that begins {MessageText.Quote(Encoding.UTF8.GetString(text).Trim().ReplaceLineEndings(" "))}"
            : null;
    }

    /// <summary>Whether this is a safetensors file: a length of 8 bytes, then an object.</summary>
    public static bool IsSafetensors(ReadOnlySpan<byte> start) => start is [_, _, _, _, _, 0, 0, 0, (byte)'{', ..];

    /// <summary>The text without the byte order mark that some editors put before UTF-8; RFC 8259 lets readers skip it.</summary>
    public static ReadOnlySpan<byte> WithoutMark(ReadOnlySpan<byte> text) => text.StartsWith("\uFEFF"u8) ? text[3..] : text;

    // Not a lone '<', with which a safetensors file may begin.
    private static bool IsMarkup(ReadOnlySpan<byte> text)
    {
        Span<char> start = stackalloc char[8];
        var length = Encoding.Latin1.GetChars(text[..Math.Min(text.Length, start.Length)], start);
        ReadOnlySpan<char> begin = start[..length];
        return begin is ['<', '!' or '?', ..] || begin.StartsWith("<html", StringComparison.OrdinalIgnoreCase)
            || begin.StartsWith("<head", StringComparison.OrdinalIgnoreCase) || begin.StartsWith("<body", StringComparison.OrdinalIgnoreCase)
            || begin.StartsWith("<Error", StringComparison.OrdinalIgnoreCase);
    }
}
