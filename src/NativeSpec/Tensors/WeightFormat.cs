namespace NativeSpec.Tensors;

/// <summary>How the weights of a matmul are held.</summary>
public enum WeightFormat
{
    /// <summary>In place, in the file's element type.</summary>
    AsStored = 0,
    /// <summary>4 bits in blocks of 32 with a scale each: 4.5 bits per weight.</summary>
    Q4 = 4,
    /// <summary>8 bits in blocks of 64 with a scale each: 8.25 bits per weight.</summary>
    Q8 = 8,
}

/// <summary>Extents of packed weights. kernels/cpu/quantized.h has the layout, which is the same for every instruction set: panels of 32
/// outputs, each a stream of super-blocks of 128 columns (scales, then whole numbers).</summary>
public static class PackedWeights
{
    /// <summary>Grows when the layout changes, so that files of another are refused.</summary>
    public const int LayoutVersion = 2;

    /// <summary>Packed matrices begin on a cache line, as their super-blocks do.</summary>
    public const int Alignment = 64;

    /// <summary>Outputs of a panel.</summary>
    public const int PanelOutputs = 32;

    /// <summary>Columns of a super-block.</summary>
    public const int SuperColumns = 128;

    private const int ScaleBytes = 2; // binary16

    /// <summary>Bytes of the scales that a super-block begins with: [block][output].</summary>
    public static int SuperScaleBytes(WeightFormat format) => SuperColumns / BlockColumns(format) * PanelOutputs * ScaleBytes;

    /// <summary>Columns that share a scale.</summary>
    public static int BlockColumns(WeightFormat format) => format switch
    {
        WeightFormat.Q8 => 64,
        WeightFormat.Q4 => 32,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "expected a packed format"),
    };

    /// <summary>Bytes of a super-block of a panel: a whole number of cache lines.</summary>
    public static int SuperBytes(WeightFormat format)
        => SuperScaleBytes(format) + (PanelOutputs * SuperColumns * (int)format / 8);

    /// <summary>Panels of a matrix.</summary>
    public static long Panels(long outFeatures) => (outFeatures + PanelOutputs - 1) / PanelOutputs;

    /// <summary>Bytes of a panel.</summary>
    public static long PanelBytes(long inFeatures, WeightFormat format) => checked((inFeatures + SuperColumns - 1) / SuperColumns * SuperBytes(format));

    /// <summary>Bytes of a packed matrix [<paramref name="outFeatures"/>, <paramref name="inFeatures"/>].</summary>
    public static long Bytes(long outFeatures, long inFeatures, WeightFormat format) => checked(Panels(outFeatures) * PanelBytes(inFeatures, format));
}
