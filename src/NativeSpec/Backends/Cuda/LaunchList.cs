using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>The launches of a forward of one bucket, with their arguments in memory that lasts as long.</summary>
internal sealed unsafe class LaunchList : IDisposable
{
    private readonly List<KernelLaunch> _launches = [];
    private readonly List<NativeBuffer<byte>> _arguments = [];
    private readonly bool _dependent;

    /// <summary>An empty list.</summary>
    /// <param name="dependent">Whether kernels may begin before those in front of them have ended.</param>
    public LaunchList(bool dependent) => _dependent = dependent;

    /// <summary>The launches, in order.</summary>
    public ReadOnlySpan<KernelLaunch> All => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_launches);

    /// <summary>A graph of them, once they have run.</summary>
    public CudaResource? Graph { get; set; }

    /// <summary>Whether they have run one by one, after which everything a graph calls is loaded.</summary>
    public bool HasRun { get; set; }

    /// <summary>Adds a launch.</summary>
    public void Add<T>(CudaKernel kernel, int gridX, int gridY, int threads, int sharedBytes, in T arguments, long weightBytes = 0)
        where T : unmanaged
    {
        var memory = new NativeBuffer<byte>(sizeof(T));
        *(T*)memory.Pointer = arguments;
        _arguments.Add(memory);
        _launches.Add(new KernelLaunch(kernel, gridX, gridY, threads, sharedBytes, (nint)memory.Pointer, _dependent && _launches.Count > 0, weightBytes));
    }

    public void Dispose()
    {
        Graph?.Dispose();
        _arguments.ForEach(memory => memory.Dispose());
    }
}
