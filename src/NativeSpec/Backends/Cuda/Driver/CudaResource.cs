namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>What the driver gives and wants back.</summary>
internal enum ResourceKind
{
    Memory,
    Pinned,
    Graph,
    Event,
    Module,
}

/// <summary>Something that the driver gave. Disposing it, on any thread, or forgetting it calls no driver: it is noted, and given back at the context's
/// next turn, where the thread is the right one and no graph is being recorded.</summary>
internal sealed class CudaResource(CudaContext context, ResourceKind kind, ulong handle, long bytes = 0) : IDisposable
{
    private int _given;

    ~CudaResource() => Note();

    public ResourceKind Kind { get; } = kind;

    /// <summary>The driver's handle: an address of device or host memory, or a number.</summary>
    public ulong Handle { get; } = handle;

    /// <summary>Bytes of memory.</summary>
    public long Bytes { get; } = bytes;

    /// <summary>The address of pinned memory.</summary>
    public unsafe byte* Host => (byte*)Handle;

    public void Dispose()
    {
        Note();
        GC.SuppressFinalize(this);
    }

    private void Note()
    {
        if (Interlocked.Exchange(ref _given, 1) == 0)
        {
            context.Bury(Kind, Handle);
        }
    }
}
