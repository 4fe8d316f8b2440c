using System.Globalization;
using System.Text.Json;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Training;

/// <summary>How much text a file of a corpus holds.</summary>
/// <param name="Name">What it is for.</param>
/// <param name="Path">The file.</param>
/// <param name="Documents">Its documents.</param>
/// <param name="Bytes">Their UTF-8 bytes.</param>
/// <param name="TokenCount">Their tokens, each document with the token that begins it; null where no tokenizer is at hand.</param>
internal sealed record CorpusCounts(string Name, string Path, int Documents, long Bytes, long? TokenCount)
{
    /// <summary>The tokens of documents.</summary>
    public static long Tokens(Tokenizer tokenizer, IEnumerable<string> documents) => documents.Sum(document => (long)tokenizer.Encode(document).Length);

    /// <summary>One line for each file.</summary>
    public static void Print(Terminal terminal, IEnumerable<CorpusCounts> parts) => Tables.Print(
        terminal, ["file", "documents", "MB", "tokens", "bytes/token"], 1, parts.Select(part => new[]
        {
            part.Path, part.Documents.ToString(CultureInfo.InvariantCulture), (part.Bytes / 1e6).ToString("0.00", CultureInfo.InvariantCulture),
            part.TokenCount?.ToString(CultureInfo.InvariantCulture) ?? "", part.TokenCount is { } tokens ? ((double)part.Bytes / tokens).ToString("0.00", CultureInfo.InvariantCulture) : "",
        }));

    /// <summary>The numbers as a field.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject(Name);
        json.WriteString("file", Path);
        json.WriteNumber("documents", Documents);
        json.WriteNumber("bytes", Bytes);
        if (TokenCount is { } tokens)
        {
            json.WriteNumber("tokens", tokens);
        }

        json.WriteEndObject();
    }
}
