using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>Threads that wait for the next operation of a forward: fork and join cost about a microsecond, because between operations
/// they spin, and park only when nothing came for a while.</summary>
/// <remarks>
/// A forward has about a hundred short operations, so the usual pool (a queue, a lock, a wake-up each) would cost as much as the
/// arithmetic. Work is a range of items, taken in chunks from one counter. The counter carries the number of the operation in its upper
/// half: a thread that wakes late finds another number there, takes nothing, and so can never touch the arguments of an operation that
/// is over. The join waits for items, not for threads; a thread that the system has put aside delays nobody unless it holds a chunk.
/// </remarks>
internal sealed unsafe class ThreadTeam : IDisposable
{
    private const uint Closed = uint.MaxValue;
    private const int SpinsBetweenClockReads = 64;
    private static readonly long SpinTicks = Stopwatch.Frequency / 10_000; // 100 µs, longer than any gap between operations of a forward

    private readonly Thread[] _workers;
    private readonly Lock _parkingLot = new();
    private readonly SemaphoreSlim _wake = new(0);
    private State _state;
    private int _sleepers;
    private volatile bool _stop;

    private delegate*<void*, int, int, void> _work;
    private void* _arguments;
    private int _items;
    private int _grain;

    /// <summary>Starts <paramref name="threads"/> − 1 threads; the caller of <see cref="Run"/> is the first of the team.</summary>
    public ThreadTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _workers = new Thread[threads - 1];
        for (var i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Thread(Serve) { IsBackground = true, Name = $"NativeSpec kernel {i + 1}" };
            _workers[i].Start();
        }
    }

    /// <summary>Threads in the team, the caller included.</summary>
    public int Threads => _workers.Length + 1;

    /// <summary>Threads that have found nothing to do for a while and sleep.</summary>
    internal int Sleeping => Volatile.Read(ref _sleepers);

    /// <summary>Calls <paramref name="work"/>(arguments, begin, end) until [0, items) is covered, on all threads, and returns when all
    /// of it is done. Ranges are multiples of <paramref name="grain"/> but for the last.</summary>
    public void Run(delegate*<void*, int, int, void> work, void* arguments, int items, int grain)
    {
        if (_workers.Length == 0 || items <= grain)
        {
            work(arguments, 0, items);
            return;
        }

        // Closing the old ticket first makes the exchange of a thread that still looks at the old operation fail, so that nobody takes
        // a chunk while the fields below change.
        var operation = (uint)(_state.Ticket >> 32);
        Interlocked.Exchange(ref _state.Ticket, ((ulong)operation << 32) | Closed);
        _work = work;
        _arguments = arguments;
        _items = items;
        _grain = grain;
        _state.Done = 0;
        operation++;
        // Full fence: the fields are visible before the ticket, and the ticket before the look at the sleepers.
        Interlocked.Exchange(ref _state.Ticket, (ulong)operation << 32);
        if (Volatile.Read(ref _sleepers) > 0)
        {
            Wake();
        }

        TakeChunks(operation);
        for (var spins = 0; Volatile.Read(ref _state.Done) < items; spins++)
        {
            if (spins < 2_000)
            {
                Thread.SpinWait(1);
            }
            else
            {
                Thread.Yield(); // whoever holds the last chunk may need this very core
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stop)
        {
            return;
        }

        _stop = true;
        Wake();
        foreach (var worker in _workers)
        {
            worker.Join();
        }

        _wake.Dispose();
    }

    private void TakeChunks(uint operation)
    {
        while (true)
        {
            var ticket = Volatile.Read(ref _state.Ticket);
            if ((uint)(ticket >> 32) != operation)
            {
                return;
            }

            var next = (uint)ticket;
            var items = Volatile.Read(ref _items);
            if (next >= (uint)items)
            {
                return;
            }

            // Fields change only while the ticket is closed, so if the exchange succeeds they belonged to this operation throughout.
            var begin = (int)next;
            var end = Math.Min(begin + Volatile.Read(ref _grain), items);
            if (Interlocked.CompareExchange(ref _state.Ticket, ((ulong)operation << 32) | (uint)end, ticket) != ticket)
            {
                continue;
            }

            _work(_arguments, begin, end);
            Interlocked.Add(ref _state.Done, end - begin);
        }
    }

    private void Serve()
    {
        var last = 0u;
        while (!_stop)
        {
            var operation = (uint)(Volatile.Read(ref _state.Ticket) >> 32);
            if (operation == last)
            {
                operation = WaitForOther(last);
            }

            last = operation;
            TakeChunks(operation);
        }
    }

    /// <summary>Spins, then sleeps, until the operation's number is not <paramref name="last"/> or the team stops.</summary>
    private uint WaitForOther(uint last)
    {
        var began = Stopwatch.GetTimestamp();
        while (true)
        {
            for (var i = 0; i < SpinsBetweenClockReads; i++)
            {
                var operation = (uint)(Volatile.Read(ref _state.Ticket) >> 32);
                if (operation != last || _stop)
                {
                    return operation;
                }

                Thread.SpinWait(1);
            }

            if (Stopwatch.GetTimestamp() - began < SpinTicks)
            {
                continue;
            }

            Interlocked.Increment(ref _sleepers); // full fence: counted before the last look at the ticket
            if ((uint)(Volatile.Read(ref _state.Ticket) >> 32) == last && !_stop)
            {
                _wake.Wait();
            }
            else
            {
                lock (_parkingLot)
                {
                    // Either still counted, and then nobody will wake us; or a waker has taken the count and left a permit to use up.
                    if (_sleepers > 0)
                    {
                        Interlocked.Decrement(ref _sleepers);
                    }
                    else
                    {
                        _wake.Wait();
                    }
                }
            }

            began = Stopwatch.GetTimestamp();
        }
    }

    private void Wake()
    {
        lock (_parkingLot)
        {
            var sleepers = Interlocked.Exchange(ref _sleepers, 0);
            if (sleepers > 0)
            {
                _wake.Release(sleepers);
            }
        }
    }

    /// <summary>The two words every thread hammers, each on a cache line of its own.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct State
    {
        [FieldOffset(64)]
        public ulong Ticket;

        [FieldOffset(128)]
        public int Done;
    }
}
