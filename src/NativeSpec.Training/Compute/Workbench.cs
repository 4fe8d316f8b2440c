using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Training.Compute;

/// <summary>What layers compute on: a backend for matmuls, the processor's threads for everything else, scratch memory, and a count of
/// the arithmetic done.</summary>
/// <remarks>Work is split by rows or columns and never within a sum, so results do not depend on the number of threads.</remarks>
internal sealed class Workbench : IDisposable
{
    private const int RangesPerThread = 4;
    private const int TransposeColumns = 2 * Transposition.Tile; // two cache lines of each source row, which the processor fetches together

    private readonly IBackend _backend;
    private readonly ThreadTeam _team;
    private readonly Dictionary<string, Matrix> _scratch = [];
    private readonly ConcurrentBag<NativeBuffer<float>> _loans = [];

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
        _team = new ThreadTeam(Threads);
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
        ForRanges((columns + TransposeColumns - 1) / TransposeColumns, (begin, end) =>
        {
            for (var first = begin * TransposeColumns; first < Math.Min(end * TransposeColumns, columns); first += TransposeColumns)
            {
                var count = Math.Min(TransposeColumns, columns - first);
                Transposition.Turn(matrix.Pointer + first, columns, rows, count, target.Pointer + ((nint)first * rows), rows);
            }
        });
        return target;
    }

    /// <summary>Zeroed memory for one thread's use, until it is disposed of.</summary>
    public Loan Borrow(int length) => new(this, length);

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
    public unsafe void ForRanges(int items, Action<int, int> work)
    {
        if (items == 0)
        {
            return;
        }

        var ranges = Threads * RangesPerThread;
        var job = new Job(work);
        _team.Run(&RunRange, Unsafe.AsPointer(ref job), items, (items + ranges - 1) / ranges);
        job.Failure?.Throw();
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

        foreach (var loan in _loans)
        {
            loan.Dispose();
        }

        _team.Dispose();
        _backend.Dispose();
    }

    // The argument points at a reference on the stack of the caller, who waits.
    private static unsafe void RunRange(void* argument, int begin, int end)
    {
        var job = Unsafe.AsRef<Job>(argument);
        try
        {
            job.Work(begin, end);
        }
        catch (Exception failure)
        {
            // Must not end the thread it happens on; the caller throws it.
            job.Failure = ExceptionDispatchInfo.Capture(failure);
        }
    }

    private sealed class Job(Action<int, int> work)
    {
        public Action<int, int> Work => work;

        public ExceptionDispatchInfo? Failure { get; set; }
    }

    /// <summary>Memory that goes back to its workbench, so that a piece of work seldom asks the system for any.</summary>
    internal readonly unsafe struct Loan : IDisposable
    {
        private readonly Workbench _bench;
        private readonly NativeBuffer<float> _memory;

        public Loan(Workbench bench, int length)
        {
            _bench = bench;
            if (bench._loans.TryTake(out var memory) && memory.Length >= length)
            {
                memory.Slice(0, length).Clear();
            }
            else
            {
                memory?.Dispose();
                memory = new NativeBuffer<float>(length);
            }

            _memory = memory;
        }

        /// <summary>The first number.</summary>
        public float* Pointer => _memory.Pointer;

        public void Dispose() => _bench._loans.Add(_memory);
    }
}
