using System.Runtime.CompilerServices;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>How weights are held on the device.</summary>
internal enum CudaFormat
{
    F32 = 0,
    F16 = 1,
    BF16 = 2,
    Q4 = 4,
    Q8 = 8,
}

/// <summary>The sizes of kernels/cuda/layout.h: what there decides bits and layouts, here decides how much memory they take and how a round is cut
/// into work.</summary>
internal static class CudaLayout
{
    public const int SlabRows = 128;
    public const int StepKeys = 64;

    /// <summary>Rows of the products' kernels; passes of more rows are so many blocks of the last.</summary>
    public static readonly int[] ProductRows = [8, 16, 32, RoundRows, 128];

    /// <summary>The most rows that always are one pass: those of a round.</summary>
    public const int RoundRows = 64;

    /// <summary>The most rows of a pass over the weights, as of a prompt.</summary>
    public const int PromptRows = 512;

    /// <summary>Bytes that come down for a row with logits: its answer, and a node of a path.</summary>
    public static readonly int AnswerBytes = Unsafe.SizeOf<RowAnswer>() + sizeof(int);

    /// <summary>Head widths: narrower heads are filled with zeros.</summary>
    public const int NarrowHead = 64;
    public const int WideHead = 128;

    /// <summary>The head widths over which a block with so much shared memory attends.</summary>
    public static int[] HeadWidths(int blockSharedBytes, KvFormat kv) => blockSharedBytes < AttentionBytes(WideHead, kv) ? [NarrowHead] : [NarrowHead, WideHead];

    public static int StageColumns(CudaFormat format) => format switch
    {
        CudaFormat.F32 => 32,
        CudaFormat.F16 or CudaFormat.BF16 => 64,
        _ => 128,
    };

    public static int StageBytes(CudaFormat format) => format switch
    {
        CudaFormat.Q8 => 16384 + 512,
        CudaFormat.Q4 => 8192 + 1024,
        _ => 16384,
    };

    /// <summary>BF16 parts of a number of a row beside such weights: beside F32 two, so that they have as many bits; 0 is one number of F16.</summary>
    public static int RowParts(CudaFormat format) => format switch
    {
        CudaFormat.F32 => 2,
        CudaFormat.BF16 => 1,
        _ => 0,
    };

    /// <summary>Rows that a row of so many parts is for a product.</summary>
    public static int RowsOfParts(int parts) => Math.Max(parts, 1);

    public static int Stages(CudaFormat format, int inFeatures) => (inFeatures + StageColumns(format) - 1) / StageColumns(format);

    public static int Slabs(int outFeatures) => (outFeatures + SlabRows - 1) / SlabRows;

    public static long WeightBytes(CudaFormat format, int outFeatures, int inFeatures)
        => checked((long)Slabs(outFeatures) * Stages(format, inFeatures) * StageBytes(format));

    public static int Segments(int outFeatures, int stages)
    {
        var segments = 1;
        while (segments < 8 && Slabs(outFeatures) * segments < 192 && segments * 2 <= stages)
        {
            segments *= 2;
        }

        return segments;
    }

    public static int FilledColumns(int columns) => (columns + 127) / 128 * 128;

    /// <summary>Bytes of packed rows of a bucket, of all parts.</summary>
    public static long ActivationBytes(int columns, int rows) => (long)FilledColumns(columns) * rows * 2;

    /// <summary>Where a number of a packed row lies, in numbers.</summary>
    public static int ActivationIndex(int row, int column, int rows)
        => ((((column / 32 * (rows / 8)) + (row / 8)) * 32) + (column / 8 % 4 * 8) + (row % 8)) * 8 + (column % 8);

    public static int UnitBegin(int unit)
        => unit <= 8 ? unit * 128 : unit <= 20 ? 1024 + ((unit - 8) * 256) : unit <= 44 ? 4096 + ((unit - 20) * 512) : 16384 + ((unit - 44) * 1024);

    public static int UnitOf(int position)
        => position < 1024 ? position / 128 : position < 4096 ? 8 + ((position - 1024) / 256) : position < 16384 ? 20 + ((position - 4096) / 512) : 44 + ((position - 16384) / 1024);

    public static int HeadWidth(int headDim) => headDim <= NarrowHead ? NarrowHead : WideHead;

    /// <summary>BF16 parts of a number of queries, keys and values: of F32 two.</summary>
    public static int KvParts(KvFormat kv) => kv == KvFormat.F32 ? 2 : 1;

    /// <summary>Numbers of 16 bits that a head takes of a row of queries, keys or values: its width in parts.</summary>
    public static int KvNumbers(int headDim, KvFormat kv) => HeadWidth(headDim) * KvParts(kv);

    public static int AttentionBytes(int width, KvFormat kv)
    {
        var rowBytes = KvNumbers(width, kv) * 2;
        var (stagePlanes, gatherRows) = (rowBytes > 256 ? 1 : 2, kv == KvFormat.F32 ? 2 : 4);
        return (2 * ((stagePlanes * StepKeys * rowBytes) + 64)) + ((1 + (2 * gatherRows)) * 16 * rowBytes) + (4 * 1024) + (KvParts(kv) * 4 * 512) + (4 * 64);
    }

    /// <summary>Rows of the product's kernel for a bucket, and how many blocks of so many rows that is.</summary>
    public static (int Rows, int Blocks) ProductOf(int bucket) => bucket <= ProductRows[^1] ? (bucket, 1) : (ProductRows[^1], bucket / ProductRows[^1]);

    /// <summary>Blocks of a product's kernel that a multiprocessor runs side by side.</summary>
    public static int BlocksPerMultiprocessor(int productRows) => productRows <= RoundRows ? 2 : 1;

    /// <summary>Stages of a product's ring, and its shared memory: its blocks share what a multiprocessor has, but for what a norm takes beside them.</summary>
    public static (int Stages, int Bytes) Ring(CudaFormat format, int productRows, int sharedBytes)
    {
        const int BesideMatMul = 24 << 10;
        var stage = StageBytes(format) + (StageColumns(format) / 32 * (productRows / 8) * 512);
        var stages = Math.Clamp((sharedBytes - BesideMatMul) / BlocksPerMultiprocessor(productRows) / (stage + 16), 2, 16);
        return (stages, stages * (stage + 16));
    }

    /// <summary>Blocks of a product's launch: a slab, segment and block of rows each, as far as they run side by side.</summary>
    public static int ProductGrid(int outFeatures, int segments, int bucket, int multiprocessors)
    {
        var (rows, blocks) = ProductOf(bucket);
        return Math.Min(Slabs(outFeatures) * segments * blocks, BlocksPerMultiprocessor(rows) * multiprocessors);
    }

    /// <summary>Blocks of a row's rotation: four heads each.</summary>
    public static int RotationGrid(int heads, int kvHeads) => (heads + (2 * kvHeads) + 3) / 4;

    /// <summary>Shared memory of a block of the rotation.</summary>
    public const int RotationBytes = 4 * WideHead * sizeof(float);

    /// <summary>Blocks of attention.</summary>
    public static int AttentionGrid(int multiprocessors) => 2 * multiprocessors;

    /// <summary>Blocks that fold a row's attention: four heads each.</summary>
    public static int FoldGrid(int heads) => (heads + 3) / 4;

    /// <summary>Rows that a pass is filled up to: the least bucket that holds so many.</summary>
    public static int BucketOf(int rows) => rows <= 8 ? 8 : checked((int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)rows));

    /// <summary>The next pass where so many rows are left. Up to 64 are one pass, since a pass costs what the weights take to be read; of more it takes the
    /// largest bucket that they fill to three quarters, since there filling costs as much as rows.</summary>
    /// <param name="left">Rows that are left.</param>
    /// <param name="most">Rows of a pass at most, a bucket.</param>
    public static (int Rows, int Bucket) NextPass(int left, int most)
    {
        for (var bucket = most; bucket > RoundRows; bucket /= 2)
        {
            if (left > bucket / 4 * 3)
            {
                return (Math.Min(left, bucket), bucket);
            }
        }

        return left <= RoundRows ? (left, BucketOf(left)) : (RoundRows, RoundRows);
    }
}
