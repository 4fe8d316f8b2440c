using System.Collections.Concurrent;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>A device's primary context, a stream of its own, and all that was taken there. An engine is loaded on one thread, computes on another and
/// is disposed on a third, so no thread owns the context: whoever wants something takes a turn (<see cref="Enter"/>), in which it is current, and
/// two turns at once are refused. Work and memory are had by methods of <see cref="CudaTurn"/>, which cannot leave its stack frame: so there is
/// no such call without a turn, and none in a finalizer.</summary>
/// <remarks>The first sticky error (<see cref="CudaErrors.IsSticky"/>), any error of a wait for the stream, and any of a round that was begun, is the end: the context is
/// faulted and every later turn is refused with that error.</remarks>
internal sealed unsafe class CudaContext : IDisposable
{
    private readonly ConcurrentQueue<(ResourceKind, ulong)> _dead = new();
    private readonly HashSet<(ResourceKind, ulong)> _taken = []; // by turns alone
    private readonly nint _context;
    private int _inTurn;
    private volatile bool _disposed;

    /// <summary>Retains the device's context.</summary>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public CudaContext(CudaDevice device)
    {
        Device = device;
        nint context, stream = 0;
        Require(CudaMethods.DevicePrimaryCtxRetain(&context, device.Handle), "the device's context cannot be had");
        _context = context;
        var code = CudaMethods.CtxSetCurrent(context);
        code = code != 0 ? code : CudaMethods.StreamCreate(&stream, flags: 1); // not blocking: nothing here waits for the default stream
        if (code != 0)
        {
            _ = Again(() => CudaMethods.DevicePrimaryCtxRelease(device.Handle));
            Require(code, "the device's context cannot be used");
        }

        Stream = stream;
    }

    /// <summary>The device.</summary>
    public CudaDevice Device { get; }

    /// <summary>Where all work goes, in order.</summary>
    public nint Stream { get; }

    /// <summary>Why nothing is computed here any more; null while all is well.</summary>
    public BackendFaultedException? Fault { get; private set; }

    /// <summary>Takes a turn: until it is disposed this thread calls the driver, and nobody else.</summary>
    /// <exception cref="BackendFaultedException">The device is lost.</exception>
    /// <exception cref="InvalidOperationException">Another thread has its turn.</exception>
    public CudaTurn Enter()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Interlocked.Exchange(ref _inTurn, 1) != 0)
        {
            throw new InvalidOperationException("two threads use one CUDA back end at once");
        }

        var turn = new CudaTurn(this);
        try
        {
            if (Fault is { } fault)
            {
                throw new BackendFaultedException(fault.Code, fault.Kernel, fault.Message);
            }

            Check(CudaMethods.CtxSetCurrent(_context), "the device's context cannot be made current");
            Collect();
            return turn;
        }
        catch
        {
            turn.Dispose();
            throw;
        }
    }

    /// <summary>Notes what is to be given back. Any thread, finalizers too.</summary>
    public void Bury(ResourceKind kind, ulong handle)
    {
        if (!_disposed)
        {
            _dead.Enqueue((kind, handle));
        }
    }

    /// <summary>Gives everything back, what was forgotten too. Errors change nothing any more: a lost context takes its memory with it.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        if (Interlocked.Exchange(ref _inTurn, 1) != 0)
        {
            throw new InvalidOperationException("a CUDA back end is disposed while a thread uses it");
        }

        _disposed = true;
        _ = Again(() => CudaMethods.CtxSetCurrent(_context));
        _ = Again(() => CudaMethods.StreamSynchronize(Stream));
        foreach (var taken in _taken.OrderBy(taken => taken.Item1 == ResourceKind.Module).ToArray()) // graphs go before what they call
        {
            GiveBack(taken);
        }

        _ = Again(() => CudaMethods.StreamDestroy(Stream));
        _ = CudaMethods.CtxSetCurrent(0);
        _ = Again(() => CudaMethods.DevicePrimaryCtxRelease(Device.Handle));
    }

    /// <summary>Gives back what is noted. Within a turn.</summary>
    internal void Collect()
    {
        while (_dead.TryDequeue(out var dead))
        {
            GiveBack(dead);
        }
    }

    internal void Leave() => Volatile.Write(ref _inTurn, 0);

    internal CudaResource Take(ResourceKind kind, ulong handle, long bytes = 0)
    {
        _taken.Add((kind, handle));
        return new CudaResource(this, kind, handle, bytes);
    }

    /// <summary>Throws what a code means.</summary>
    internal void Check(int code, string what, string? kernel = null)
    {
        if (code != 0)
        {
            throw CudaErrors.IsSticky(code) ? Lose(code, what, kernel) : new CudaException(code, $"{what}: {CudaErrors.Describe(code)}");
        }
    }

    /// <summary>Notes that the device is lost.</summary>
    /// <param name="code">The driver's error; <see cref="CudaErrors.None"/> where it told none, and what a kernel has left cannot be.</param>
    /// <param name="what">What was done, or what the kernel has left.</param>
    /// <param name="kernel">The kernel, where that is known.</param>
    internal BackendFaultedException Lose(int code, string what, string? kernel = null)
    {
        var (where, error) = (kernel is null ? "" : $", kernel {kernel}", code == CudaErrors.None ? "" : $": {CudaErrors.Describe(code)}");
        return Fault ??= new BackendFaultedException(code, kernel, $"the CUDA device is lost: {what}{where}{error}. Nothing more is computed there; start the process anew");
    }

    private static void Require(int code, string what)
    {
        if (code != 0)
        {
            throw new CudaException(code, $"{what}: {CudaErrors.Describe(code)}");
        }
    }

    /// <summary>A call that must not fail for a reason that passes.</summary>
    internal static int Again(Func<int> call)
    {
        var code = call();
        return code != 0 && !CudaErrors.IsSticky(code) ? call() : code;
    }

    private void GiveBack((ResourceKind Kind, ulong Handle) resource)
    {
        var handle = resource.Handle;
        var code = resource.Kind switch
        {
            ResourceKind.Memory => CudaMethods.MemFree(handle),
            ResourceKind.Pinned => CudaMethods.MemFreeHost((void*)handle),
            ResourceKind.Graph => CudaMethods.GraphExecDestroy((nint)handle),
            ResourceKind.Event => CudaMethods.EventDestroy((nint)handle),
            _ => CudaMethods.ModuleUnload((nint)handle),
        };
        var isSticky = CudaErrors.IsSticky(code);
        if (code == 0 || isSticky)
        {
            _taken.Remove(resource); // what a lost context held is gone with it; what could not be given back now is with the context
        }

        if (isSticky && !_disposed)
        {
            throw Lose(code, "something cannot be given back");
        }
    }
}
