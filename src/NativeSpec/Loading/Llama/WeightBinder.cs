using System.Runtime.InteropServices;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Llama;

/// <summary>Takes tensors out of a checkpoint by name, checks each, and remembers what was taken and what was not there, so that a
/// checkpoint with foreign names is told in one message rather than tensor by tensor.</summary>
internal sealed class WeightBinder(Checkpoint checkpoint)
{
    private const int Shown = 4;
    private readonly IReadOnlyDictionary<string, TensorView> _tensors = checkpoint.Tensors;
    private readonly HashSet<string> _taken = [];
    private readonly List<string> _missing = [];
    private int _missingCount;

    /// <summary>Bytes of all tensors taken.</summary>
    public long Bytes { get; private set; }

    /// <summary>A matrix; its values are not looked at, because a large file must open in milliseconds.</summary>
    public TensorView Matrix(string name, long rows, long columns) => Take(name, [rows, columns]);

    /// <summary>A matrix that is multiplied with, which a file may hold packed.</summary>
    public TensorView Weight(string name, long rows, long columns) => IsPacked(name) ? TakePacked(name, rows, columns) : Matrix(name, rows, columns);

    /// <summary>Matrices that a file may hold stacked in one (Phi-3's <c>qkv_proj</c> and <c>gate_up_proj</c>): then views of its rows, which are all of
    /// the first, then all of the next.</summary>
    /// <param name="stacked">The name of the one.</param>
    /// <param name="columns">Columns of all.</param>
    /// <param name="parts">The names of the parts, which they also have where each stands for itself, and their rows.</param>
    public TensorView[] Stacked(string stacked, long columns, (string Name, long Rows)[] parts)
    {
        if (!_tensors.ContainsKey(stacked))
        {
            return Array.ConvertAll(parts, part => Weight(part.Name, part.Rows, columns));
        }

        var whole = Matrix(stacked, parts.Sum(part => part.Rows), columns);
        var (rowBytes, first) = (columns * whole.DType.Size(), 0L);
        return Array.ConvertAll(parts, part =>
        {
            var data = whole.Data + (nint)(first * rowBytes);
            first += part.Rows;
            return new TensorView(part.Name, whole.DType, [part.Rows, columns], data, part.Rows * rowBytes) { Memory = whole.Memory };
        });
    }

    /// <summary>Whether the checkpoint has a tensor of that name.</summary>
    public bool Has(string name) => _tensors.ContainsKey(name);

    /// <summary>Whether a tensor of the checkpoint has the type, shape and bytes of another.</summary>
    public bool IsCopy(string name, TensorView other)
    {
        var view = _tensors[name];
        return view.DType == other.DType && view.Shape.SequenceEqual(other.Shape) && (view.Data == other.Data || SameBytes(view, other));
    }

    /// <summary>Whether the checkpoint holds the matrix packed.</summary>
    public bool IsPacked(string name)
        => _tensors.TryGetValue(name, out var view) && view.DType == DType.U8 && PackedMetadata.FormatOf(checkpoint.HolderOf(name)!) != WeightFormat.AsStored;

    /// <summary>A norm weight or bias: small, so its values are checked to be finite.</summary>
    public TensorView Vector(string name, long length)
    {
        var view = Take(name, [length]);
        if (view is not null && FirstNotFinite(view) is var index and >= 0)
        {
            throw Error(view, $"element {index} is not finite (NaN or infinity): the checkpoint is damaged");
        }

        return view!;
    }

    /// <summary>A vector that is there only if the configuration says so.</summary>
    public TensorView? Vector(string name, long length, bool wanted) => wanted ? Vector(name, length) : null;

    /// <summary>Refuses a checkpoint that lacks tensors, or has some that were not taken and are not harmless.</summary>
    public void Finish(Func<string, bool> harmless)
    {
        if (_missingCount > 0)
        {
            var example = _tensors.Keys.Where(name => !_taken.Contains(name)).Order(StringComparer.Ordinal).FirstOrDefault();
            throw new ModelFormatException(checkpoint.Path, $"{_missingCount} tensors are missing: {List(_missing, _missingCount)}"
                + (example is null ? "" : $"; the checkpoint has {MessageText.Quote(example)} instead")
                + (_missing is ["lm_head.weight"] ? "; if the embedding is also the output matrix, config.json must say \"tie_word_embeddings\": true" : "")
                + string.Concat(checkpoint.Notes.Select(note => $"; {note}")));
        }

        string[] extra = [.. _tensors.Keys.Where(name => !_taken.Contains(name) && !harmless(name)).Order(StringComparer.Ordinal)];
        if (extra.Length > 0)
        {
            throw new ModelFormatException(checkpoint.FileOf(extra[0]), $"{extra.Length} tensors are not part of the model that config.json describes "
                + $"and would be left out of the computation: {List(extra, extra.Length)}");
        }
    }

    /// <summary>Index of the first NaN or infinity, or -1.</summary>
    internal static int FirstNotFinite(TensorView view)
    {
        // All bits of the exponent are set in NaN and infinity, and only in them.
        if (view.DType == DType.F32)
        {
            return FirstWithAll(MemoryMarshal.Cast<byte, uint>(view.Bytes), 0x7F80_0000u);
        }

        return FirstWithAll(MemoryMarshal.Cast<byte, ushort>(view.Bytes), view.DType == DType.F16 ? (ushort)0x7C00 : (ushort)0x7F80);
    }

    // A span holds at most 2 GiB, a tensor more. What differs mostly does so soon, and what is the same is not read again when it is used.
    private static unsafe bool SameBytes(TensorView a, TensorView b)
    {
        const int Piece = 1 << 24;
        var same = a.ByteLength == b.ByteLength;
        for (long done = 0; same && done < a.ByteLength; done += Piece)
        {
            var length = (int)Math.Min(Piece, a.ByteLength - done);
            same = new ReadOnlySpan<byte>((byte*)a.Data + done, length).SequenceEqual(new ReadOnlySpan<byte>((byte*)b.Data + done, length));
        }

        return same;
    }

    private static int FirstWithAll<T>(ReadOnlySpan<T> values, T bits)
        where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        for (var i = 0; i < values.Length; i++)
        {
            if ((values[i] & bits) == bits)
            {
                return i;
            }
        }

        return -1;
    }

    private static string List(IReadOnlyCollection<string> names, int count) =>
        string.Join(", ", names.Take(Shown).Select(MessageText.Quote)) + (count > Shown ? $" and {count - Shown} more" : "");

    // A missing tensor is reported by Finish, before anybody sees the null.
    private TensorView Take(string name, ReadOnlySpan<long> shape)
    {
        if (!_tensors.TryGetValue(name, out var view))
        {
            _missingCount++;
            if (_missing.Count < Shown)
            {
                _missing.Add(name);
            }

            return null!;
        }

        if (view.DType is not (DType.F32 or DType.F16 or DType.BF16))
        {
            throw Error(view, $"is {view}; weights must be F32, F16 or BF16: convert the checkpoint");
        }

        if (!view.Shape.SequenceEqual(shape))
        {
            throw Error(view, $"is {view}; config.json asks for [{string.Join(", ", shape.ToArray())}]");
        }

        _taken.Add(name);
        Bytes = checked(Bytes + view.ByteLength);
        return view;
    }

    private TensorView TakePacked(string name, long rows, long columns)
    {
        var view = _tensors[name];
        var format = PackedMetadata.FormatOf(checkpoint.HolderOf(name)!);
        long[] expected = [PackedWeights.Panels(rows), PackedWeights.PanelBytes(columns, format)];
        if (!view.Shape.SequenceEqual(expected))
        {
            throw Error(view, $"is {view}; {format} panels of the [{rows}, {columns}] that config.json asks for are U8 [{expected[0]}, {expected[1]}]");
        }

        if (view.Data % PackedWeights.Alignment != 0)
        {
            throw Error(view, $"does not begin on a cache line ({PackedWeights.Alignment} bytes): pack the weights again with nativespec quantize");
        }

        _taken.Add(name);
        Bytes = checked(Bytes + view.ByteLength);
        return new TensorView(name, format, rows, columns, view.Data, view.ByteLength) { Memory = view.Memory };
    }

    private ModelFormatException Error(TensorView view, string problem) =>
        new(checkpoint.FileOf(view.Name), $"tensor {MessageText.Quote(view.Name)} {problem}");
}
