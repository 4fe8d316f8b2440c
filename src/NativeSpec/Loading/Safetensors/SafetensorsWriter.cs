using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Safetensors;

/// <summary>Writes safetensors files. The same tensors give the same bytes: they are ordered by element size, largest first, then by name,
/// as the reference implementation does, so that each is aligned to its elements; the header is padded with spaces so that the data
/// begin at a multiple of 64 bytes. Packed matrices come before all others, in the order given, because what a matmul stacks should lie
/// side by side.</summary>
public static class SafetensorsWriter
{
    private const int DataAlignment = 64;

    /// <summary>Writes a file. It appears under its name only when it is whole and on disk; a reader that has the old file mapped keeps it.</summary>
    /// <param name="path">The file; one that exists is replaced.</param>
    /// <param name="tensors">The tensors, in any order.</param>
    /// <param name="metadata">Strings for the header's <c>__metadata__</c>.</param>
    /// <exception cref="ArgumentException">Two tensors have the same name.</exception>
    /// <exception cref="InvalidOperationException">A tensor's callback wrote more or fewer bytes than its shape has.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        SafetensorsTensor[] sorted = [.. tensors.OrderByDescending(t => t.IsPacked ? PackedWeights.Alignment : t.DType.Size()).ThenBy(t => t.IsPacked ? "" : t.Name, StringComparer.Ordinal)];
        var header = Header(sorted, metadata);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            foreach (var tensor in sorted)
            {
                WriteTensor(stream, tensor);
            }
        });
    }

    private static void WriteTensor(Stream stream, SafetensorsTensor tensor)
    {
        var begin = stream.Position;
        tensor.Write(stream);
        var written = stream.Position - begin;
        if (written != tensor.ByteLength)
        {
            var shape = string.Join(", ", tensor.Shape.ToArray());
            throw new InvalidOperationException($"tensor {MessageText.Quote(tensor.Name)}: {written} bytes were written; "
                + $"{tensor.DType} [{shape}] has {tensor.ByteLength}");
        }
    }

    private static byte[] Header(SafetensorsTensor[] sorted, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            WriteMetadata(json, metadata);
            WriteEntries(json, sorted);
            json.WriteEndObject();
        }

        var unpadded = SafetensorsHeader.LengthBytes + buffer.WrittenCount;
        var header = new byte[(unpadded + DataAlignment - 1) / DataAlignment * DataAlignment];
        header.AsSpan().Fill((byte)' ');
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - SafetensorsHeader.LengthBytes);
        buffer.WrittenSpan.CopyTo(header.AsSpan(SafetensorsHeader.LengthBytes));
        return header;
    }

    private static void WriteMetadata(Utf8JsonWriter json, IReadOnlyDictionary<string, string>? metadata)
    {
        if (metadata is null or { Count: 0 })
        {
            return;
        }

        json.WriteStartObject("__metadata__");
        foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            json.WriteString(key, value);
        }

        json.WriteEndObject();
    }

    private static void WriteEntries(Utf8JsonWriter json, SafetensorsTensor[] sorted)
    {
        var names = new HashSet<string>();
        long end = 0;
        foreach (var tensor in sorted)
        {
            if (!names.Add(tensor.Name))
            {
                throw new ArgumentException($"two tensors are named {MessageText.Quote(tensor.Name)}", nameof(sorted));
            }

            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", SafetensorsDTypes.Name(tensor.DType));
            json.WriteStartArray("shape");
            foreach (var extent in tensor.Shape)
            {
                json.WriteNumberValue(extent);
            }

            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(end);
            end = checked(end + tensor.ByteLength);
            json.WriteNumberValue(end);
            json.WriteEndArray();
            json.WriteEndObject();
        }
    }
}
