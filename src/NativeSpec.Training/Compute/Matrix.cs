using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Training.Compute;

/// <summary>A row-major matrix in host memory that a backend can multiply with, as either side or as the result.</summary>
internal sealed unsafe class Matrix : IDisposable
{
    private readonly BackendBuffer _buffer;
    private readonly bool _isOwner;

    /// <summary>Zeros.</summary>
    public Matrix(IBackend backend, int rows, int columns)
        : this(backend.Allocate(checked((int)((long)rows * columns))), rows, columns, isOwner: true)
    {
    }

    private Matrix(BackendBuffer buffer, int rows, int columns, bool isOwner)
    {
        (_buffer, Rows, Columns, _isOwner) = (buffer, rows, columns, isOwner);
        Pointer = buffer is HostBuffer host
            ? host.Pointer
            : throw new ArgumentException($"{buffer.GetType().Name} does not lie in this process's memory", nameof(buffer));
    }

    /// <summary>Rows there are.</summary>
    public int Rows { get; }

    /// <summary>Numbers in a row.</summary>
    public int Columns { get; }

    /// <summary>The first number, on a 64-byte boundary.</summary>
    public float* Pointer { get; }

    /// <summary>What the backend's operations take.</summary>
    public BackendBuffer Buffer => _buffer;

    /// <summary>All numbers.</summary>
    public Span<float> All => new(Pointer, Rows * Columns);

    /// <summary>A row.</summary>
    public Span<float> Row(int row) => new(Pointer + ((nint)row * Columns), Columns);

    /// <summary>Consecutive rows as one span.</summary>
    public Span<float> RowRange(int first, int count) => new(Pointer + ((nint)first * Columns), count * Columns);

    /// <summary>The same memory under another shape, which must fit; the memory stays this matrix's.</summary>
    public Matrix Reshape(int rows, int columns)
        => (long)rows * columns <= _buffer.Length
            ? new Matrix(_buffer, rows, columns, isOwner: false)
            : throw new ArgumentException($"[{rows}, {columns}] does not fit into {_buffer.Length} numbers");

    /// <summary>The matrix as a weight of a matmul.</summary>
    public TensorView AsWeight() => new("matrix", DType.F32, [Rows, Columns], (nint)Pointer, (long)Rows * Columns * sizeof(float));

    public void Dispose()
    {
        if (_isOwner)
        {
            _buffer.Dispose();
        }
    }
}
