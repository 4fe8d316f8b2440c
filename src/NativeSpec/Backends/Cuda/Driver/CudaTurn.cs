using System.Text;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>A turn of a thread at a <see cref="CudaContext"/>: all that can be asked of the driver. Work goes to the context's stream, in order, and is
/// done when <see cref="Synchronize"/> has returned.</summary>
internal readonly unsafe ref struct CudaTurn(CudaContext context)
{
    private const uint DependentLaunch = LaunchAttribute.ProgrammaticStreamSerialization;
    private const int CaptureInvalidated = 901;

    /// <summary>Ends the turn.</summary>
    public void Dispose() => context.Leave();

    /// <summary>Gives back now what was disposed in this turn, whose work is done, so that its memory can be had anew.</summary>
    public void Collect() => context.Collect();

    /// <summary>Device memory, of any content.</summary>
    /// <exception cref="CudaException">There is none; the message says how much was asked for and how much is free.</exception>
    public CudaResource Allocate(long bytes)
    {
        ulong address;
        var code = CudaMethods.MemAlloc(&address, (nuint)Math.Max(bytes, 16));
        if (code == CudaErrors.OutOfMemory)
        {
            var (free, total) = MemoryInfo();
            throw new CudaException(
                code, $"the CUDA device has no {bytes:N0} bytes of memory left: {free:N0} of {total:N0} are free, and the driver says {CudaErrors.Describe(code)}. A shorter context, fewer sequences or packed weights need less");
        }

        context.Check(code, "device memory cannot be allocated");
        return context.Take(ResourceKind.Memory, address, bytes);
    }

    /// <summary>Host memory that the device copies from and to.</summary>
    public CudaResource AllocatePinned(long bytes)
    {
        void* address;
        context.Check(CudaMethods.MemHostAlloc(&address, (nuint)Math.Max(bytes, 16), flags: 0), $"{bytes:N0} bytes of pinned memory cannot be allocated");
        return context.Take(ResourceKind.Pinned, (ulong)address, bytes);
    }

    /// <summary>Bytes of device memory: free, and all.</summary>
    public (long Free, long Total) MemoryInfo()
    {
        nuint free, total;
        context.Check(CudaMethods.MemGetInfo(&free, &total), "the device does not say how much memory it has");
        return ((long)free, (long)total);
    }

    /// <summary>Copies to the device, from memory that stays as it is until the next synchronisation.</summary>
    public void Upload(ulong to, byte* from, long bytes) => context.Check(CudaMethods.MemcpyHtoDAsync(to, from, (nuint)bytes, context.Stream), "data cannot be copied to the device");

    /// <summary>Copies from the device; there after the next synchronisation.</summary>
    public void Download(byte* to, ulong from, long bytes) => context.Check(CudaMethods.MemcpyDtoHAsync(to, from, (nuint)bytes, context.Stream), "data cannot be copied from the device");

    /// <summary>Copies on the device.</summary>
    public void Copy(ulong to, ulong from, long bytes) => context.Check(CudaMethods.MemcpyDtoDAsync(to, from, (nuint)bytes, context.Stream), "data cannot be copied on the device");

    /// <summary>Fills device memory with zeros.</summary>
    public void Clear(ulong address, long bytes) => context.Check(CudaMethods.MemsetD8Async(address, 0, (nuint)bytes, context.Stream), "device memory cannot be cleared");

    /// <summary>Waits until all that was given is done.</summary>
    /// <exception cref="BackendFaultedException">Something of it failed: nothing of it can be relied on.</exception>
    public void Synchronize(string what, string? kernel = null)
    {
        if (CudaMethods.StreamSynchronize(context.Stream) is var code and not 0)
        {
            throw context.Lose(code, what, kernel);
        }
    }

    /// <summary>Gives a kernel to the stream, or to the graph that is being recorded.</summary>
    public void Launch(in KernelLaunch launch)
    {
        var arguments = (void*)launch.Arguments;
        int code;
        if (launch.IsDependent)
        {
            var attribute = new LaunchAttribute { Id = (int)DependentLaunch, Value = 1 };
            var config = new LaunchConfig
            {
                GridX = (uint)launch.GridX,
                GridY = (uint)launch.GridY,
                GridZ = 1,
                BlockX = (uint)launch.Threads,
                BlockY = 1,
                BlockZ = 1,
                SharedBytes = (uint)launch.SharedBytes,
                Stream = context.Stream,
                Attributes = &attribute,
                AttributeCount = 1,
            };
            code = CudaMethods.LaunchKernelEx(&config, launch.Kernel.Function, &arguments, null);
        }
        else
        {
            code = CudaMethods.LaunchKernel(
                launch.Kernel.Function, (uint)launch.GridX, (uint)launch.GridY, 1, (uint)launch.Threads, 1, 1, (uint)launch.SharedBytes, context.Stream, &arguments, null);
        }

        context.Check(code, "a kernel cannot be launched", launch.Kernel.Name);
    }

    /// <summary>Records launches as a graph.</summary>
    /// <exception cref="CudaException">They cannot be recorded; the stream takes them one by one as before.</exception>
    public CudaResource Record(ReadOnlySpan<KernelLaunch> launches)
    {
        const int OfThisThread = 1;
        context.Check(CudaMethods.StreamBeginCapture(context.Stream, OfThisThread), "a graph cannot be recorded");
        nint graph = 0, executable = 0;
        try
        {
            foreach (ref readonly var launch in launches)
            {
                Launch(launch);
            }
        }
        catch
        {
            EndCapture(&graph);
            Destroy(graph);
            throw;
        }

        EndCapture(&graph);
        var code = graph == 0 ? CaptureInvalidated : CudaMethods.GraphInstantiate(&executable, graph, flags: 0);
        Destroy(graph);
        context.Check(code, "a graph cannot be made ready");
        return context.Take(ResourceKind.Graph, (ulong)executable);
    }

    /// <summary>A stream that goes on recording is of no more use, and cannot be given back.</summary>
    private void EndCapture(nint* graph)
    {
        var code = CudaMethods.StreamEndCapture(context.Stream, graph);
        if (code is not (0 or CaptureInvalidated) && !CudaErrors.IsSticky(code))
        {
            code = CudaMethods.StreamEndCapture(context.Stream, graph); // it must not fail for a reason that passes
        }

        if (code is not (0 or CaptureInvalidated))
        {
            throw context.Lose(code, "a graph cannot be recorded to its end");
        }
    }

    private static void Destroy(nint graph)
    {
        if (graph != 0)
        {
            _ = CudaContext.Again(() => CudaMethods.GraphDestroy(graph));
        }
    }

    /// <summary>Gives a graph to the stream.</summary>
    public void Launch(CudaResource graph) => context.Check(CudaMethods.GraphLaunch((nint)graph.Handle, context.Stream), "a graph cannot be launched");

    /// <summary>A point in the stream.</summary>
    public CudaResource CreateEvent()
    {
        nint handle;
        context.Check(CudaMethods.EventCreate(&handle, flags: 0), "an event cannot be made");
        return context.Take(ResourceKind.Event, (ulong)handle);
    }

    /// <summary>Puts the point behind what was given.</summary>
    public void RecordEvent(CudaResource point) => context.Check(CudaMethods.EventRecord((nint)point.Handle, context.Stream), "an event cannot be recorded");

    /// <summary>Waits until the stream has passed the point.</summary>
    public void WaitFor(CudaResource point) => context.Check(CudaMethods.EventSynchronize((nint)point.Handle), "an event cannot be waited for");

    /// <summary>Seconds between two points that the stream has passed.</summary>
    public double SecondsBetween(CudaResource begin, CudaResource end)
    {
        float milliseconds;
        context.Check(CudaMethods.EventElapsedTime(&milliseconds, (nint)begin.Handle, (nint)end.Handle), "the time between two events cannot be had");
        return milliseconds / 1000.0;
    }

    /// <summary>Seconds that a launch takes, of some that are timed together behind one that is not.</summary>
    public double SecondsOf(in KernelLaunch launch, int repeats)
    {
        using CudaResource begin = CreateEvent(), end = CreateEvent();
        Launch(launch);
        RecordEvent(begin);
        for (var i = 0; i < repeats; i++)
        {
            Launch(launch);
        }

        RecordEvent(end);
        Synchronize("a kernel is timed", launch.Kernel.Name);
        return SecondsBetween(begin, end) / repeats;
    }

    /// <summary>Loads PTX, which the driver compiles for its device, or machine code.</summary>
    /// <param name="image">The text, ending with a zero; or the file as a whole, since the driver is not told where it ends.</param>
    /// <exception cref="CudaException">The driver refuses it; the message has what its compiler says.</exception>
    public CudaResource LoadModule(ReadOnlySpan<byte> image)
    {
        const int InfoLog = 3, InfoLogBytes = 4, ErrorLog = 5, ErrorLogBytes = 6, LogBytes = 8192;
        var (error, info) = (new byte[LogBytes], new byte[LogBytes]);
        nint module;
        fixed (byte* text = image, errors = error, infos = info)
        {
            var options = stackalloc int[] { InfoLog, InfoLogBytes, ErrorLog, ErrorLogBytes };
            var values = stackalloc void*[] { infos, (void*)LogBytes, errors, (void*)LogBytes };
            var code = CudaMethods.ModuleLoadDataEx(&module, text, 4, options, values);
            if (code != 0)
            {
                var log = string.Join(" ", Log(error), Log(info)).Trim();
                context.Check(code, $"the driver cannot load the kernels{(log.Length == 0 ? "" : $" ({log})")}");
            }
        }

        return context.Take(ResourceKind.Module, (ulong)module);

        static string Log(byte[] log) => Encoding.UTF8.GetString(log.AsSpan(0, Math.Max(Array.IndexOf(log, (byte)0), 0))).ReplaceLineEndings(" ");
    }

    /// <summary>A kernel of a module, which may take so many threads and so much dynamic shared memory.</summary>
    public CudaKernel Kernel(CudaResource module, string name, int threads, int sharedBytes)
    {
        const int MaxDynamicSharedBytes = 8, Always = 48 << 10;
        nint function;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + "\0"))
        {
            context.Check(CudaMethods.ModuleGetFunction(&function, (nint)module.Handle, text), $"the kernel {name} is not in the image");
        }

        if (sharedBytes > Always)
        {
            context.Check(CudaMethods.FuncSetAttribute(function, MaxDynamicSharedBytes, sharedBytes), $"the kernel {name} cannot have {sharedBytes} bytes of shared memory");
        }

        return new CudaKernel(name, function, threads);
    }
}

/// <summary>A kernel that is loaded.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Function">The driver's handle.</param>
/// <param name="Threads">Threads of a block: most are launched with so many, and none with more.</param>
internal sealed record CudaKernel(string Name, nint Function, int Threads);

/// <summary>One launch.</summary>
/// <param name="Kernel">The kernel.</param>
/// <param name="GridX">Blocks, by</param>
/// <param name="GridY">so many.</param>
/// <param name="Threads">Threads of a block, <see cref="CudaKernel.Threads"/> or fewer.</param>
/// <param name="SharedBytes">Dynamic shared memory of a block.</param>
/// <param name="Arguments">The kernel's one argument, in memory that lasts until the launch was given to the stream.</param>
/// <param name="IsDependent">It may begin before the kernel in front has ended (programmatic dependent launch).</param>
/// <param name="WeightBytes">Weights that it reads.</param>
internal readonly record struct KernelLaunch(
    CudaKernel Kernel, int GridX, int GridY, int Threads, int SharedBytes, nint Arguments, bool IsDependent, long WeightBytes = 0);
