using System.Text.Unicode;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>One tensor of a safetensors header. <paramref name="Begin"/> and <paramref name="End"/> count bytes from the end of the header.</summary>
internal sealed record SafetensorsEntry(string Name, DType DType, long[] Shape, long Begin, long End);

/// <summary>The checked header of a safetensors file.
/// <code>
/// u64 little-endian n | n bytes of JSON | data
/// { "__metadata__": { string: string },  name: { "dtype": "BF16", "shape": [32000, 2048], "data_offsets": [begin, end] } }
/// </code>
/// The rules are those of the reference implementation (huggingface/safetensors, tensor.rs, <c>validate</c>): the tensors, sorted by
/// offset, cover the data without hole, overlap or rest, and each has exactly the bytes of its shape.</summary>
internal sealed class SafetensorsHeader
{
    /// <summary>Bytes of the length field before the JSON.</summary>
    public const int LengthBytes = 8;

    private SafetensorsHeader(IReadOnlyList<SafetensorsEntry> entries, IReadOnlyDictionary<string, string> metadata) =>
        (Entries, Metadata) = (entries, metadata);

    /// <summary>The tensors in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary><c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Checks the length field of a file against the limit and the file, before anybody allocates by it.</summary>
    public static int CheckLength(string file, ulong headerBytes, long fileBytes, LoadLimits limits)
    {
        if (headerBytes < 2)
        {
            throw new ModelFormatException(file, $"header length is {headerBytes}; the smallest header, {{}}, has 2 bytes");
        }

        if (headerBytes > (ulong)limits.MaxHeaderBytes)
        {
            throw new ModelFormatException(file, $"header length is {headerBytes}; at most {limits.MaxHeaderBytes} are read: "
                + "this is not a safetensors file, or LoadLimits.MaxHeaderBytes is too low for it");
        }

        if (headerBytes > (ulong)(fileBytes - LengthBytes))
        {
            throw new ModelFormatException(file, $"header length is {headerBytes}, but only {fileBytes - LengthBytes} bytes follow: "
                + "the file is truncated or not a safetensors file");
        }

        return (int)headerBytes;
    }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="file">For messages.</param>
    /// <param name="json">The bytes between the length field and the data.</param>
    /// <param name="dataBytes">Bytes of the file after the header.</param>
    /// <param name="limits">What the header may ask for.</param>
    public static SafetensorsHeader Parse(string file, ReadOnlySpan<byte> json, long dataBytes, LoadLimits limits)
    {
        if (!Utf8.IsValid(json))
        {
            throw new ModelFormatException(file, "header is not valid UTF-8");
        }

        if (json[0] != (byte)'{')
        {
            throw new ModelFormatException(file, $"header begins with {MessageText.Quote(MessageText.Plain(json[..1]))}; expected '{{'");
        }

        var parser = new SafetensorsHeaderParser(file, json, limits);
        parser.Parse();
        foreach (var entry in parser.Entries)
        {
            CheckSize(file, entry, dataBytes);
        }

        parser.Entries.Sort((a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        CheckCoverage(file, parser.Entries, dataBytes);
        return new SafetensorsHeader(parser.Entries, parser.Metadata);
    }

    private static void CheckSize(string file, SafetensorsEntry entry, long dataBytes)
    {
        if (entry.Begin > entry.End)
        {
            throw Error($"data_offsets are [{entry.Begin}, {entry.End}]; the end lies before the begin");
        }

        if (entry.End > dataBytes)
        {
            throw Error($"data_offsets end at {entry.End}, but the file has {dataBytes} bytes of data: it is truncated or damaged; fetch it again");
        }

        try
        {
            long bytes = 1;
            foreach (var extent in entry.Shape)
            {
                bytes = checked(bytes * extent);
            }

            bytes = checked(bytes * entry.DType.Size());
            if (bytes != entry.End - entry.Begin)
            {
                throw Error($"{Shape()} needs {bytes} bytes, but data_offsets [{entry.Begin}, {entry.End}] hold {entry.End - entry.Begin}");
            }
        }
        catch (OverflowException e)
        {
            throw Error($"the size of {Shape()} overflows 64 bits", e);
        }

        string Shape() => $"{entry.DType} [{string.Join(", ", entry.Shape)}]";
        ModelFormatException Error(string problem, Exception? inner = null) => new(file, $"tensor {MessageText.Quote(entry.Name)}: {problem}", inner);
    }

    // A hole could hide another format's content and an overlap lets a small file claim endless data, so neither is allowed.
    private static void CheckCoverage(string file, List<SafetensorsEntry> sorted, long dataBytes)
    {
        long end = 0;
        foreach (var entry in sorted)
        {
            if (entry.Begin != end)
            {
                var fault = entry.Begin > end ? $"leaves a hole of {entry.Begin - end} bytes before it" : "overlaps the tensor before it";
                throw new ModelFormatException(file, $"tensor {MessageText.Quote(entry.Name)}: data begins at {entry.Begin}, expected {end}: it {fault}");
            }

            end = entry.End;
        }

        if (end != dataBytes)
        {
            throw new ModelFormatException(file, $"{dataBytes - end} trailing bytes after the last tensor, which ends at {end} of {dataBytes}");
        }
    }
}
