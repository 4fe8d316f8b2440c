using NativeSpec.Tensors;

namespace NativeSpec.Training.Compute;

/// <summary>A row-major matrix of float32.</summary>
internal sealed unsafe class Matrix : IDisposable
{
    private readonly NativeBuffer<float> _memory;
    private readonly bool _isOwner;

    /// <summary>Zeros.</summary>
    public Matrix(int rows, int columns)
        : this(new NativeBuffer<float>(checked((int)((long)rows * columns))), rows, columns, isOwner: true)
    {
    }

    private Matrix(NativeBuffer<float> memory, int rows, int columns, bool isOwner)
        => (_memory, Rows, Columns, _isOwner) = (memory, rows, columns, isOwner);

    /// <summary>Rows there are.</summary>
    public int Rows { get; }

    /// <summary>Numbers in a row.</summary>
    public int Columns { get; }

    /// <summary>The first number, on a 64-byte boundary.</summary>
    public float* Pointer => _memory.Pointer;

    /// <summary>All numbers.</summary>
    public Span<float> All => new(Pointer, Rows * Columns);

    /// <summary>A row.</summary>
    public Span<float> Row(int row) => new(Pointer + ((nint)row * Columns), Columns);

    /// <summary>Consecutive rows as one span.</summary>
    public Span<float> RowRange(int first, int count) => new(Pointer + ((nint)first * Columns), count * Columns);

    /// <summary>The same memory under another shape, which must fit; the memory stays this matrix's.</summary>
    public Matrix Reshape(int rows, int columns)
        => (long)rows * columns <= _memory.Length
            ? new Matrix(_memory, rows, columns, isOwner: false)
            : throw new ArgumentException($"[{rows}, {columns}] does not fit into {_memory.Length} numbers");

    public void Dispose()
    {
        if (_isOwner)
        {
            _memory.Dispose();
        }
    }
}
