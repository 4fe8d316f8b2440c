using System.Text;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>Writes a checkpoint of the Llama architecture as GGUF, version 3: little-endian; a header, metadata, the tensors' names and extents, then their
/// data, each from a multiple of 32 bytes on. Matrices are packed, the embedding with them; norms are F32.</summary>
internal static class GgufFile
{
    private const int Alignment = 32;
    private const uint F32 = 0;

    /// <summary>Writes the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="checkpoint">The weights; BF16, without biases and norms of heads.</param>
    /// <param name="format">How matrices are packed.</param>
    public static void Write(string path, LlamaCheckpoint checkpoint, GgmlFormat format)
    {
        var (config, entries) = (checkpoint.Config, Entries(checkpoint));
        using var stream = File.Create(path);
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        using var metadata = new Metadata();
        Describe(metadata, config, format);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)entries.Count);
        writer.Write(metadata.Count);
        writer.Write(metadata.Bytes);
        var offset = 0L;
        foreach (var entry in entries)
        {
            var shape = entry.View.Shape;
            Metadata.WriteString(writer, entry.Name);
            writer.Write((uint)shape.Length);
            for (var i = shape.Length - 1; i >= 0; i--)
            {
                writer.Write(shape[i]); // the innermost first
            }

            writer.Write(shape.Length == 1 ? F32 : format.Type);
            writer.Write(offset);
            offset = Aligned(offset + BytesOf(entry.View, format));
        }

        foreach (var entry in entries)
        {
            writer.Write(new byte[Aligned(stream.Position) - stream.Position]);
            WriteData(writer, entry, format);
        }
    }

    private static void Describe(Metadata metadata, LlamaConfig config, GgmlFormat format)
    {
        metadata.Add("general.architecture", "llama");
        metadata.Add("general.file_type", format.FileType);
        metadata.Add("llama.context_length", (uint)config.MaxPositionEmbeddings);
        metadata.Add("llama.embedding_length", (uint)config.HiddenSize);
        metadata.Add("llama.block_count", (uint)config.NumHiddenLayers);
        metadata.Add("llama.feed_forward_length", (uint)config.IntermediateSize);
        metadata.Add("llama.attention.head_count", (uint)config.NumAttentionHeads);
        metadata.Add("llama.attention.head_count_kv", (uint)config.NumKeyValueHeads);
        metadata.Add("llama.attention.layer_norm_rms_epsilon", config.RmsNormEps);
        metadata.Add("llama.rope.dimension_count", (uint)config.HeadDim);
        metadata.Add("llama.rope.freq_base", (float)config.RopeTheta);
        metadata.Add("llama.vocab_size", (uint)config.VocabSize);
        metadata.AddVocabulary(config.VocabSize);
    }

    private static List<Entry> Entries(LlamaCheckpoint checkpoint)
    {
        var (config, tensors) = (checkpoint.Config, checkpoint.Tensors);
        List<Entry> entries = [new("token_embd.weight", tensors.Embedding), new("output_norm.weight", tensors.FinalNorm)];
        if (!ReferenceEquals(tensors.LmHead, tensors.Embedding))
        {
            entries.Add(new("output.weight", tensors.LmHead));
        }

        for (var i = 0; i < tensors.Layers.Count; i++)
        {
            var layer = tensors.Layers[i];
            entries.AddRange(
            [
                new($"blk.{i}.attn_norm.weight", layer.InputNorm),
                new($"blk.{i}.attn_q.weight", layer.QProj, config.HeadDim),
                new($"blk.{i}.attn_k.weight", layer.KProj, config.HeadDim),
                new($"blk.{i}.attn_v.weight", layer.VProj),
                new($"blk.{i}.attn_output.weight", layer.OProj),
                new($"blk.{i}.ffn_norm.weight", layer.PostAttentionNorm),
                new($"blk.{i}.ffn_gate.weight", layer.GateProj),
                new($"blk.{i}.ffn_up.weight", layer.UpProj),
                new($"blk.{i}.ffn_down.weight", layer.DownProj),
            ]);
        }

        return entries;
    }

    private static long Aligned(long position) => (position + Alignment - 1) / Alignment * Alignment;

    private static long BytesOf(TensorView view, GgmlFormat format)
        => view.Shape.Length == 1 ? view.ElementCount * sizeof(float) : view.ElementCount / GgmlFormat.BlockColumns * format.BlockBytes;

    private static void WriteData(BinaryWriter writer, Entry entry, GgmlFormat format)
    {
        var shape = entry.View.Shape;
        if (shape.Length == 1)
        {
            foreach (var value in Row(entry.View, 0))
            {
                writer.Write(value);
            }

            return;
        }

        var rows = (int)shape[0];
        var packed = new byte[BytesOf(entry.View, format)];
        var rowBytes = packed.Length / rows;
        Parallel.For(0, rows, row => format.Pack(Row(entry.View, entry.SourceOf(row)), packed.AsSpan(row * rowBytes, rowBytes)));
        writer.Write(packed);
    }

    private static unsafe float[] Row(TensorView view, int row)
    {
        var columns = (int)view.Shape[^1];
        var stored = new ReadOnlySpan<ushort>((ushort*)view.Data + ((long)row * columns), columns);
        var values = new float[columns];
        for (var i = 0; i < columns; i++)
        {
            values[i] = BitConverter.UInt32BitsToSingle((uint)stored[i] << 16); // BF16 is the upper half of F32
        }

        return values;
    }

    /// <summary>A tensor of the file.</summary>
    /// <param name="Name">Its name in GGUF.</param>
    /// <param name="View">The weights.</param>
    /// <param name="RotatedHead">Rows of a head of queries or keys. llama.cpp rotates neighbours, a checkpoint's halves are rotated with each other: so the
    /// rows of the two halves alternate. 0 for all other tensors.</param>
    private sealed record Entry(string Name, TensorView View, int RotatedHead = 0)
    {
        /// <summary>Which of the checkpoint's rows is a row of the file.</summary>
        public int SourceOf(int row)
        {
            if (RotatedHead == 0)
            {
                return row;
            }

            var (head, at) = (row / RotatedHead * RotatedHead, row % RotatedHead);
            return head + (at % 2 * (RotatedHead / 2)) + (at / 2);
        }
    }

    /// <summary>Keys with their values, as they stand in the file.</summary>
    private sealed class Metadata : IDisposable
    {
        private const uint UInt32 = 4, Int32 = 5, Float32 = 6, String = 8, Array = 9;
        private const int Unknown = 2, Control = 3, Byte = 6, Normal = 1;

        private readonly MemoryStream _stream = new();
        private readonly BinaryWriter _writer;

        public Metadata() => _writer = new BinaryWriter(_stream, Encoding.UTF8);

        public ulong Count { get; private set; }

        public ReadOnlySpan<byte> Bytes => _stream.GetBuffer().AsSpan(0, (int)_stream.Length);

        public void Dispose() => _writer.Dispose(); // and with it the stream

        public static void WriteString(BinaryWriter writer, string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            writer.Write((ulong)bytes.Length);
            writer.Write(bytes);
        }

        public void Add(string key, uint value)
        {
            Key(key, UInt32);
            _writer.Write(value);
        }

        public void Add(string key, float value)
        {
            Key(key, Float32);
            _writer.Write(value);
        }

        public void Add(string key, string value)
        {
            Key(key, String);
            WriteString(_writer, value);
        }

        /// <summary>A vocabulary of bytes and of names that nobody reads: tokens go in and out as numbers.</summary>
        public void AddVocabulary(int size)
        {
            const int Bytes = 256, First = 3;
            Add("tokenizer.ggml.model", "llama");
            Each("tokenizer.ggml.tokens", String, size, i => WriteString(_writer, i switch { 0 => "<unk>", 1 => "<s>", 2 => "</s>", < First + Bytes => $"<0x{i - First:X2}>", _ => $"token{i}" }));
            Each("tokenizer.ggml.scores", Float32, size, i => _writer.Write((float)-i));
            Each("tokenizer.ggml.token_type", Int32, size, i => _writer.Write(i switch { 0 => Unknown, < First => Control, < First + Bytes => Byte, _ => Normal }));
        }

        private void Each(string key, uint type, int count, Action<int> write)
        {
            Key(key, Array);
            _writer.Write(type);
            _writer.Write((ulong)count);
            for (var i = 0; i < count; i++)
            {
                write(i);
            }
        }

        private void Key(string key, uint type)
        {
            Count++;
            WriteString(_writer, key);
            _writer.Write(type);
        }
    }
}
