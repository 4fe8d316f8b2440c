using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>A value that can be read after a run or written before one: rows come to the host when they are first asked for, and stay there until the next
/// run.</summary>
/// <param name="value">The value.</param>
/// <param name="rows">Rows that it has at most.</param>
/// <param name="isInput">It is put in, not computed.</param>
internal sealed unsafe class KeptRows(Rows value, int rows, bool isInput)
{
    private readonly bool[] _isHere = new bool[rows];
    private CudaResource? _host;

    public Rows Value => value;

    public int Rows => rows;

    public bool IsInput => isInput;

    /// <summary>Makes room for the rows on the host.</summary>
    public void Bind(CudaTurn turn) => _host = turn.AllocatePinned((long)rows * value.Width * sizeof(float));

    public void Unbind()
    {
        _host?.Dispose();
        _host = null;
    }

    /// <summary>The rows on the host are those of an earlier run.</summary>
    public void Forget() => Array.Clear(_isHere);

    public ReadOnlySpan<float> Read(CudaTurn turn, ulong address, int row)
    {
        if (!_isHere[row])
        {
            turn.Download((byte*)At(row), address, (long)value.Width * sizeof(float));
            turn.Synchronize("a row is downloaded");
            _isHere[row] = true;
        }

        return new ReadOnlySpan<float>(At(row), value.Width);
    }

    public void Write(CudaTurn turn, ulong address, int row, ReadOnlySpan<float> values)
    {
        values.CopyTo(new Span<float>(At(row), value.Width));
        turn.Upload(address, (byte*)At(row), (long)value.Width * sizeof(float));
        turn.Synchronize("a row is uploaded");
    }

    private float* At(int row) => (float*)_host!.Host + ((nint)row * value.Width);
}
