using System.IO.Compression;
using System.Text.Json;
using NativeSpec.Tests;

namespace NativeSpec.MLTokenizers.Tests;

/// <summary>Real tokenizer files and the texts of their vectors.</summary>
internal static class SharedVectors
{
    /// <summary>A file of a tokenizer's folder; a packed one is unpacked into memory.</summary>
    public static Stream Open(string name, string file)
    {
        var path = SharedFiles.Require("data", "tokenizers", name, file);
        if (!path.EndsWith(".gz", StringComparison.Ordinal))
        {
            return File.OpenRead(path);
        }

        var unpacked = new MemoryStream();
        using (var packed = new GZipStream(File.OpenRead(path), CompressionMode.Decompress))
        {
            packed.CopyTo(unpacked);
        }

        unpacked.Position = 0;
        return unpacked;
    }

    /// <summary>The texts of all vectors of a tokenizer, with the ids of the plain text.</summary>
    public static IReadOnlyList<(string Text, int[] Ids)> Of(string name)
    {
        using var vectors = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("data", "tokenizers", name, "vectors.json")));
        return [.. vectors.RootElement.GetProperty("cases").EnumerateArray().Select(item => (
            item.GetProperty("text").GetString()!,
            (item.TryGetProperty("ids_plain", out var plain) ? plain : item.GetProperty("ids")).EnumerateArray().Select(id => id.GetInt32()).ToArray()))];
    }
}
