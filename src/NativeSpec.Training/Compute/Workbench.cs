using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Native;

namespace NativeSpec.Training.Compute;

/// <summary>What layers compute on: a backend for matmuls, the processor's threads for everything else, scratch memory, and a count of
/// the arithmetic done.</summary>
/// <remarks>Work is split by rows or columns and never within a sum, so results do not depend on the number of threads.</remarks>
internal sealed class Workbench : IDisposable
{
    private const int RangesPerThread = 4;
    private const int TransposeTile = 16;

    private readonly IBackend _backend;
    private readonly ParallelOptions _parallel;
    private readonly Dictionary<string, Matrix> _scratch = [];

    /// <summary>Takes the native kernels where the library is there, the managed ones otherwise.</summary>
    /// <param name="threads">Threads that compute; null for all that the process may use.</param>
    public Workbench(int? threads = null)
        : this(
            NativeBackend.TryCreate(new NativeOptions { Threads = threads }, out _) ?? (IBackend)CpuBackend.Create(new CpuOptions { Threads = threads }),
            threads)
    {
    }

    /// <summary>Computes on a backend, which from then on is the workbench's own.</summary>
    public Workbench(IBackend backend, int? threads)
    {
        _backend = backend;
        Threads = new CpuOptions { Threads = threads }.ResolveThreads();
        _parallel = new ParallelOptions { MaxDegreeOfParallelism = Threads };
    }

    /// <summary>Threads that compute.</summary>
    public int Threads { get; }

    /// <summary>The backend of the matmuls, for people.</summary>
    public string Description => _backend.Description;

    /// <summary>Multiplications and additions done so far, in matmuls and attention.</summary>
    public double Operations { get; private set; }

    /// <summary>A zeroed matrix; the caller's to dispose of.</summary>
    public Matrix Allocate(int rows, int columns) => new(_backend, rows, columns);

    /// <summary>y = x wᵀ, or y += x wᵀ when <paramref name="accumulate"/>: x is [rows, k], w is [n, k], y is [rows, n].</summary>
    public void MatMul(Matrix x, Matrix w, Matrix y, int rows, bool accumulate = false)
    {
        using var weight = _backend.ImportWeight([w.AsWeight()], [null]);
        _backend.MatMul(weight, x.Buffer, y.Buffer, rows, accumulate);
        Count(2.0 * rows * w.Rows * w.Columns);
    }

    /// <summary>Adds to <see cref="Operations"/>.</summary>
    public void Count(double operations) => Operations += operations;

    /// <summary>The first <paramref name="rows"/> rows of a matrix as columns, in scratch memory that lives until the name is used again.</summary>
    public unsafe Matrix Transposed(Matrix matrix, int rows, string name)
    {
        var target = Scratch(name, matrix.Columns, rows);
        var columns = matrix.Columns;
        ForRanges((columns + TransposeTile - 1) / TransposeTile, (begin, end) =>
        {
            for (var tile = begin; tile < end; tile++)
            {
                TransposeColumns(matrix, target, rows, tile * TransposeTile, Math.Min((tile + 1) * TransposeTile, columns));
            }
        });
        return target;
    }

    /// <summary>Scratch memory of a shape; not cleared. A name stands for one piece of memory.</summary>
    public Matrix Scratch(string name, int rows, int columns)
    {
        if (!_scratch.TryGetValue(name, out var matrix) || (long)matrix.Rows * matrix.Columns < (long)rows * columns)
        {
            matrix?.Dispose();
            matrix = Allocate(rows, columns);
            _scratch[name] = matrix;
        }

        return matrix.Reshape(rows, columns);
    }

    /// <summary>Calls <paramref name="work"/>(begin, end) for ranges that together are [0, items), on all threads.</summary>
    public void ForRanges(int items, Action<int, int> work)
    {
        var ranges = Threads == 1 ? 1 : Math.Min(items, Threads * RangesPerThread);
        if (ranges <= 1)
        {
            work(0, items);
            return;
        }

        Parallel.For(0, ranges, _parallel, range => work((int)((long)items * range / ranges), (int)((long)items * (range + 1) / ranges)));
    }

    /// <summary>The fastest matmul of a size that training meets, in operations a second: what its throughput is measured against.</summary>
    public double MeasurePeak()
    {
        const int Size = 768;
        const int Rounds = 12;
        var x = Scratch("peak x", Size, Size);
        var w = Scratch("peak w", Size, Size);
        var y = Scratch("peak y", Size, Size);
        var best = double.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            MatMul(x, w, y, Size);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        const double Done = 2.0 * Size * Size * Size;
        Operations -= Rounds * Done;
        return Done / best;
    }

    public void Dispose()
    {
        foreach (var matrix in _scratch.Values)
        {
            matrix.Dispose();
        }

        _backend.Dispose();
    }

    // A tile of 16 columns is a cache line of each source row, and the 16 target rows are written side by side.
    private static unsafe void TransposeColumns(Matrix source, Matrix target, int rows, int begin, int end)
    {
        for (var first = 0; first < rows; first += TransposeTile)
        {
            var last = Math.Min(first + TransposeTile, rows);
            for (var column = begin; column < end; column++)
            {
                var to = target.Pointer + ((nint)column * rows);
                var from = source.Pointer + column;
                for (var row = first; row < last; row++)
                {
                    to[row] = from[(nint)row * source.Columns];
                }
            }
        }
    }
}
