using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Training.Compute;

/// <summary>What layers compute on: a kernel for products, the processor's threads, scratch memory, and a count of the arithmetic done.</summary>
/// <remarks>Work is split by rows or columns and never within a sum, so results do not depend on the number of threads.</remarks>
internal sealed class Workbench : IDisposable
{
    private const int RangesPerThread = 4;

    private readonly NativeBackend? _native;
    private readonly ThreadTeam _team;
    private readonly Dictionary<string, Matrix> _scratch = [];
    private readonly ConcurrentBag<NativeBuffer<float>> _loans = [];

    /// <summary>Takes the native kernel where the library is there, the managed one otherwise.</summary>
    /// <param name="threads">Threads that compute; null for all that the process may use.</param>
    /// <param name="managed">Whether to take the managed one in any case.</param>
    public Workbench(int? threads = null, bool managed = false)
    {
        Threads = new CpuOptions { Threads = threads }.ResolveThreads();
        _team = new ThreadTeam(Threads);
        _native = managed ? null : NativeBackend.TryCreate(new NativeOptions { Threads = 1 }, out _);
    }

    /// <summary>Threads that compute.</summary>
    public int Threads { get; }

    /// <summary>Multiplications and additions done so far: 2·m·n·k of every product of matrices, and of attention the half that is seen.</summary>
    public double Operations { get; private set; }

    /// <summary>Adds to <see cref="Operations"/>.</summary>
    public void Count(double operations) => Operations += operations;

    /// <summary>Computes a product on the calling thread; several threads may do so at once. Not counted.</summary>
    public void Compute(in Product product)
    {
        if (_native is null)
        {
            ManagedProduct.Compute(product);
            return;
        }

        Native(product);
    }

    /// <summary>Zeroed memory for one thread's use, until it is disposed of.</summary>
    public Loan Borrow(int length) => new(this, length);

    /// <summary>Scratch memory of a shape; not cleared. A name stands for one piece of memory.</summary>
    public Matrix Scratch(string name, int rows, int columns)
    {
        if (!_scratch.TryGetValue(name, out var matrix) || (long)matrix.Rows * matrix.Columns < (long)rows * columns)
        {
            matrix?.Dispose();
            matrix = new Matrix(rows, columns);
            _scratch[name] = matrix;
        }

        return matrix.Reshape(rows, columns);
    }

    /// <summary>Calls <paramref name="work"/>(begin, end) for ranges that together are [0, items), on all threads.</summary>
    public void ForRanges(int items, Action<int, int> work)
    {
        var ranges = Threads * RangesPerThread;
        ForRanges(items, (items + ranges - 1) / ranges, work);
    }

    /// <summary>The same in ranges of a given length; the last may be shorter.</summary>
    public unsafe void ForRanges(int items, int length, Action<int, int> work)
    {
        if (items == 0)
        {
            return;
        }

        var job = new Job(work);
        _team.Run(&RunRange, Unsafe.AsPointer(ref job), items, length);
        job.Failure?.Throw();
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
        _native?.Dispose();
    }

    private unsafe void Native(in Product p)
        => _native!.Gemm(
            p.Rows, p.Columns, p.Depth, p.A.First, p.A.Stride, p.Turned, p.B.First, p.B.Stride, p.B.Panel, p.C.First, p.C.Stride, p.Accumulate);

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
