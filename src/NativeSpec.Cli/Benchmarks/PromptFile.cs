using System.IO.Compression;
using System.Text;
using System.Text.Json;
using NativeSpec.Loading;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>Prompts to measure with: the lines of a text file, or of a .jsonl file each line's <c>prompt</c> (HumanEval), <c>question</c>
/// (GSM8K) or first of <c>turns</c> (Spec-Bench); either may be compressed as .gz.</summary>
internal static class PromptFile
{
    private const long MaxBytes = 1L << 28;

    /// <summary>Reads the first prompts of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">Most prompts; null for all.</param>
    /// <exception cref="InvalidDataException">The file is too large, or a line is not what it should be.</exception>
    public static List<string> Read(string path, int? limit)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
        var isCompressed = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        using var stream = isCompressed ? (Stream)new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        var isJson = (isCompressed ? path[..^3] : path).EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);
        var prompts = new List<string>();
        var (number, read) = (0, 0L);
        while (prompts.Count < (limit ?? int.MaxValue) && ReadLine(reader, path, ref read) is { } line)
        {
            number++;
            if (line.Trim().Length > 0)
            {
                prompts.Add(isJson ? PromptOf(line, path, number) : line);
            }
        }

        return prompts.Count > 0 ? prompts : throw new InvalidDataException($"{path} has no prompts");
    }

    /// <summary>A line without its end; null at the end of the file. No more is read than a file may have, compressed or not.</summary>
    private static string? ReadLine(StreamReader reader, string path, ref long read)
    {
        var line = new StringBuilder();
        for (int c; (c = ReadChar(reader, path)) >= 0;)
        {
            if (++read > MaxBytes || line.Length >= LoadLimits.Default.MaxTextLength)
            {
                throw new InvalidDataException($"{path} is longer than {MaxBytes} characters, or a line of it than {LoadLimits.Default.MaxTextLength}");
            }

            if (c == '\n')
            {
                return line.ToString().TrimEnd('\r');
            }

            line.Append((char)c);
        }

        return line.Length > 0 ? line.ToString() : null;
    }

    private static int ReadChar(StreamReader reader, string path)
    {
        try
        {
            return reader.Read();
        }
        catch (DecoderFallbackException error)
        {
            throw new InvalidDataException($"{path} is not UTF-8 text; convert it first", error);
        }
    }

    private static string PromptOf(string line, string path, int number)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            foreach (var field in new[] { "prompt", "question" })
            {
                if (root.TryGetProperty(field, out var text))
                {
                    return text.GetString() ?? throw new InvalidOperationException($"{field} is null");
                }
            }

            return root.GetProperty("turns")[0].GetString() ?? throw new InvalidOperationException("the first of turns is null");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or IndexOutOfRangeException)
        {
            throw new InvalidDataException($"{path} line {number} is not a JSON object with a text in prompt, question or turns", e);
        }
    }
}
