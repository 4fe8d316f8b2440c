using NativeSpec.Tensors;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>Rows of weights as ggml packs them: blocks of 32 columns, each a scale in F16 and whole numbers.</summary>
/// <param name="Name">ggml's name of the format.</param>
/// <param name="Type">ggml's number of the format.</param>
/// <param name="FileType">llama.cpp's number of a file whose matrices have it.</param>
/// <param name="BlockBytes">Bytes of 32 weights.</param>
internal sealed record GgmlFormat(string Name, uint Type, uint FileType, int BlockBytes)
{
    /// <summary>Columns of a block.</summary>
    public const int BlockColumns = 32;

    /// <summary>8 bits and a scale: 8.5 bits a weight.</summary>
    public static GgmlFormat Q8 { get; } = new("q8_0", Type: 8, FileType: 7, BlockBytes: 34);

    /// <summary>4 bits and a scale: 4.5 bits a weight.</summary>
    public static GgmlFormat Q4 { get; } = new("q4_0", Type: 2, FileType: 2, BlockBytes: 18);

    /// <summary>The format that stands beside one of ours.</summary>
    public static GgmlFormat Of(WeightFormat format) => format == WeightFormat.Q8 ? Q8 : Q4;

    /// <summary>Packs a row.</summary>
    /// <param name="row">Weights, a whole number of blocks.</param>
    /// <param name="packed">Receives the blocks.</param>
    public void Pack(ReadOnlySpan<float> row, Span<byte> packed)
    {
        for (; row.Length > 0; row = row[BlockColumns..], packed = packed[BlockBytes..])
        {
            if (this == Q8)
            {
                PackQ8(row[..BlockColumns], packed);
            }
            else
            {
                PackQ4(row[..BlockColumns], packed);
            }
        }
    }

    /// <summary>The scale takes the largest magnitude to 127.</summary>
    private static void PackQ8(ReadOnlySpan<float> block, Span<byte> packed)
    {
        var most = 0f;
        foreach (var value in block)
        {
            most = Math.Max(most, Math.Abs(value));
        }

        var scale = most / 127;
        var inverse = scale == 0 ? 0 : 1 / scale;
        BitConverter.TryWriteBytes(packed, (Half)scale);
        for (var i = 0; i < block.Length; i++)
        {
            packed[2 + i] = (byte)(sbyte)MathF.Round(block[i] * inverse, MidpointRounding.AwayFromZero);
        }
    }

    /// <summary>The scale takes the value of the largest magnitude to −8; a byte holds a column of the first half and one of the second.</summary>
    private static void PackQ4(ReadOnlySpan<float> block, Span<byte> packed)
    {
        var furthest = 0f;
        foreach (var value in block)
        {
            furthest = Math.Abs(value) > Math.Abs(furthest) ? value : furthest;
        }

        var scale = furthest / -8;
        var inverse = scale == 0 ? 0 : 1 / scale;
        BitConverter.TryWriteBytes(packed, (Half)scale);
        for (var i = 0; i < BlockColumns / 2; i++)
        {
            packed[2 + i] = (byte)(Nibble(block[i] * inverse) | (Nibble(block[i + (BlockColumns / 2)] * inverse) << 4));
        }
    }

    private static int Nibble(float value) => Math.Min(15, (int)(value + 8.5f));
}
