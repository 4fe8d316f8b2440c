using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>What a buffer of a program holds.</summary>
internal enum BufferUse
{
    /// <summary>A value, F32 [rows, width].</summary>
    Value,
    /// <summary>All rows of a kept value, where a run has more than one pass holds.</summary>
    Home,
    /// <summary>A value as rows that the next product reads.</summary>
    Packed,
    /// <summary>Rows that were packed for one product.</summary>
    Operand,
    Partials,
    Queries,
    MaximaSums,
    Weighted,
    Upload,
    /// <summary>Of rotation angles, by position.</summary>
    Cosines,
    Sines,
    /// <summary>What rows answer, and behind that the paths along trees: what comes down.</summary>
    Answers,
    /// <summary>What paths along trees move: the moves, and behind them a list of each tree's.</summary>
    Moves,
    TopValues,
    TopIds,
}

/// <summary>A program's device memory, by what it holds; all buckets share it.</summary>
internal sealed class DeviceBuffers : IDisposable
{
    private readonly Dictionary<(BufferUse, int), CudaResource> _buffers = [];

    /// <summary>Bytes of all.</summary>
    public long Bytes { get; private set; }

    /// <summary>The address of a buffer, which is made, and cleared, when it is first asked for.</summary>
    public ulong Get(CudaTurn turn, BufferUse use, int number, long bytes)
    {
        if (!_buffers.TryGetValue((use, number), out var buffer))
        {
            buffer = turn.Allocate(bytes);
            _buffers.Add((use, number), buffer);
            turn.Clear(buffer.Handle, buffer.Bytes);
            Bytes += bytes;
        }

        return buffer.Bytes >= bytes ? buffer.Handle : throw new InvalidOperationException($"a buffer for {use} {number} of {buffer.Bytes} bytes is asked for {bytes}");
    }

    /// <summary>The address of a buffer that is there.</summary>
    public ulong this[BufferUse use, int number] => _buffers[(use, number)].Handle;

    public void Dispose()
    {
        foreach (var buffer in _buffers.Values)
        {
            buffer.Dispose();
        }

        _buffers.Clear();
        Bytes = 0;
    }
}
