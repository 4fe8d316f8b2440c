using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>Keys and values, BF16 or F32 in two BF16 parts: for each layer a plane of keys and one of values, [page][KV head][position in page][part][width],
/// as kernels/cuda/layout.h has them, with a page more than asked for, which takes what rows that only fill a bucket write.</summary>
/// <remarks>Moves of accepted rows are noted, and done by the next forward before anything else: they cost no launch of their own.</remarks>
internal sealed class CudaKv : BackendKv
{
    /// <summary>Most moves that a forward takes along.</summary>
    public const int MostMoves = 256;

    private readonly CudaResource _memory;
    private readonly CudaResource _planes;
    private readonly long _planeBytes;

    public CudaKv(CudaTurn turn, CudaStaging staging, CudaBackend backend, in KvShape shape, KvFormat format)
        : base(shape)
    {
        if (shape.Rows % RowBatch.PageSize != 0)
        {
            throw new ArgumentException($"a cache of {shape.Rows} rows; expected whole pages of {RowBatch.PageSize}", nameof(shape));
        }

        Format = format;
        _planeBytes = checked((long)(shape.Rows + RowBatch.PageSize) * shape.KvHeads * HeadNumbers * 2);
        _memory = turn.Allocate(checked(2 * shape.Layers * _planeBytes));
        turn.Clear(_memory.Handle, _memory.Bytes); // what nobody wrote must be numbers: nothing times not-a-number is not nothing
        var planes = new ulong[2 * shape.Layers];
        for (var i = 0; i < planes.Length; i++)
        {
            planes[i] = _memory.Handle + (ulong)(i * _planeBytes);
        }

        _planes = backend.Upload<ulong>(turn, staging, planes);
        turn.Synchronize("the cache is cleared");
    }

    /// <summary>How they are held.</summary>
    public KvFormat Format { get; }

    /// <summary>Numbers of 16 bits that a row of a KV head has.</summary>
    public int HeadNumbers => CudaLayout.KvNumbers(Shape.HeadDim, Format);

    /// <summary>Addresses of all planes, on the device.</summary>
    public ulong Planes => _planes.Handle;

    /// <summary>A row that nobody reads, of 64.</summary>
    public int DeadRow => Shape.Rows;

    /// <summary>[MostMoves] moves that are noted.</summary>
    public KvMove[] Moves { get; } = new KvMove[MostMoves];

    /// <summary>How many these are.</summary>
    public int MoveCount { get; set; }

    /// <summary>Whether it is disposed.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>Bytes of a row of all layers.</summary>
    public static long BytesPerRow(in KvShape shape, KvFormat format) => 2L * shape.Layers * shape.KvHeads * CudaLayout.KvNumbers(shape.HeadDim, format) * 2;

    public ulong Keys(int layer) => _memory.Handle + (ulong)(2 * layer * _planeBytes);

    public ulong Values(int layer) => _memory.Handle + (ulong)(((2 * layer) + 1) * _planeBytes);

    public override void Dispose()
    {
        IsDisposed = true;
        _memory.Dispose();
        _planes.Dispose();
    }
}
