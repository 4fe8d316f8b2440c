using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>A matrix [out, in] in device memory, in panels of <see cref="MatMul.Lanes"/> outputs whose threads read side by side: the three views are of the same bytes.</summary>
internal struct Matrix
{
    public ArrayView<Word4> Fours;
    public ArrayView<uint> Words;
    public ArrayView<ushort> Halves;

    /// <summary>Chunks of <see cref="MatMul.Columns"/> columns.</summary>
    public int Chunks;
}

/// <summary>How weights of a format are read: eight columns of one output at a time. What is read is the weight itself, exactly.</summary>
internal interface IWeightFormat
{
    /// <summary>Columns 8·chunk to 8·chunk + 7 of an output; those past the matrix are 0 or meet zeros.</summary>
    static abstract Float8 Load(Matrix matrix, int output, int chunk);
}

/// <summary>[panel][chunk][half of the chunk][lane] of four floats.</summary>
internal readonly struct F32Format : IWeightFormat
{
    public static Float8 Load(Matrix matrix, int output, int chunk)
    {
        var at = ((((long)(output / MatMul.Lanes) * matrix.Chunks) + chunk) * 2 * MatMul.Lanes) + (output % MatMul.Lanes);
        return new Float8 { Low = Floats(matrix.Fours[at]), High = Floats(matrix.Fours[at + MatMul.Lanes]) };
    }

    private static Float4 Floats(Word4 words) => new()
    {
        X = Interop.IntAsFloat(words.X),
        Y = Interop.IntAsFloat(words.Y),
        Z = Interop.IntAsFloat(words.Z),
        W = Interop.IntAsFloat(words.W),
    };
}

/// <summary>[panel][chunk][lane] of eight BF16.</summary>
internal readonly struct BF16Format : IWeightFormat
{
    public static Float8 Load(Matrix matrix, int output, int chunk)
    {
        var words = matrix.Fours[((((long)(output / MatMul.Lanes) * matrix.Chunks) + chunk) * MatMul.Lanes) + (output % MatMul.Lanes)];
        return new Float8
        {
            Low = new Float4 { X = Low(words.X), Y = High(words.X), Z = Low(words.Y), W = High(words.Y) },
            High = new Float4 { X = Low(words.Z), Y = High(words.Z), Z = Low(words.W), W = High(words.W) },
        };
    }

    private static float Low(uint word) => Interop.IntAsFloat(word << 16);

    private static float High(uint word) => Interop.IntAsFloat(word & 0xFFFF0000);
}

/// <summary>[panel][chunk][lane] of eight binary16.</summary>
internal readonly struct F16Format : IWeightFormat
{
    public static Float8 Load(Matrix matrix, int output, int chunk)
    {
        var words = matrix.Fours[((((long)(output / MatMul.Lanes) * matrix.Chunks) + chunk) * MatMul.Lanes) + (output % MatMul.Lanes)];
        return new Float8
        {
            Low = new Float4 { X = Bits.Half(words.X & 0xFFFF), Y = Bits.Half(words.X >> 16), Z = Bits.Half(words.Y & 0xFFFF), W = Bits.Half(words.Y >> 16) },
            High = new Float4 { X = Bits.Half(words.Z & 0xFFFF), Y = Bits.Half(words.Z >> 16), Z = Bits.Half(words.W & 0xFFFF), W = Bits.Half(words.W >> 16) },
        };
    }
}

/// <summary>The processor's panels as they are (docs/quantized-weights.md): super-blocks of 128 columns, two scales for each output and then bytes with an offset of 128.</summary>
internal readonly struct Q8Format : IWeightFormat
{
    private const int SuperColumns = 128;
    private const int BlockColumns = 64;
    private const int ScaleWords = SuperColumns / BlockColumns * MatMul.Lanes / 2;
    private const int SuperWords = ScaleWords + (SuperColumns / 4 * MatMul.Lanes);

    public static Float8 Load(Matrix matrix, int output, int chunk)
    {
        var (column, lane) = (chunk * MatMul.Columns, output % MatMul.Lanes);
        var supers = ((matrix.Chunks * MatMul.Columns) + SuperColumns - 1) / SuperColumns;
        var super = (((long)(output / MatMul.Lanes) * supers) + (column / SuperColumns)) * SuperWords;
        var scale = Bits.Half(matrix.Halves[(2 * super) + (column % SuperColumns / BlockColumns * MatMul.Lanes) + lane]);
        var group = super + ScaleWords + (column % SuperColumns / 4 * MatMul.Lanes) + lane;
        return new Float8 { Low = Weights(matrix.Words[group], scale), High = Weights(matrix.Words[group + MatMul.Lanes], scale) };
    }

    private static Float4 Weights(uint word, float scale) => new()
    {
        X = scale * ((int)(word & 0xFF) - 128),
        Y = scale * ((int)((word >> 8) & 0xFF) - 128),
        Z = scale * ((int)((word >> 16) & 0xFF) - 128),
        W = scale * ((int)(word >> 24) - 128),
    };
}

/// <summary>The processor's panels as they are: super-blocks of 128 columns, four scales for each output and then halves of bytes with an offset of 8, of which the low
/// ones are the first four columns of a chunk.</summary>
internal readonly struct Q4Format : IWeightFormat
{
    private const int SuperColumns = 128;
    private const int BlockColumns = 32;
    private const int ScaleWords = SuperColumns / BlockColumns * MatMul.Lanes / 2;
    private const int SuperWords = ScaleWords + (SuperColumns / 8 * MatMul.Lanes);

    public static Float8 Load(Matrix matrix, int output, int chunk)
    {
        var (column, lane) = (chunk * MatMul.Columns, output % MatMul.Lanes);
        var supers = ((matrix.Chunks * MatMul.Columns) + SuperColumns - 1) / SuperColumns;
        var super = (((long)(output / MatMul.Lanes) * supers) + (column / SuperColumns)) * SuperWords;
        var scale = Bits.Half(matrix.Halves[(2 * super) + (column % SuperColumns / BlockColumns * MatMul.Lanes) + lane]);
        var word = matrix.Words[super + ScaleWords + (column % SuperColumns / 8 * MatMul.Lanes) + lane];
        return new Float8 { Low = Weights(word, scale), High = Weights(word >> 4, scale) };
    }

    private static Float4 Weights(uint word, float scale) => new()
    {
        X = scale * ((int)(word & 0xF) - 8),
        Y = scale * ((int)((word >> 8) & 0xF) - 8),
        Z = scale * ((int)((word >> 16) & 0xF) - 8),
        W = scale * ((int)((word >> 24) & 0xF) - 8),
    };
}
