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

    /// <summary>A graph of them; null until they have run once, and for good where the driver refuses one (<see cref="WhyNoGraph"/>).</summary>
    public CudaResource? Graph { get; private set; }

    /// <summary>Whether they have run one by one, after which everything a graph calls is loaded.</summary>
    public bool HasRun { get; set; }

    /// <summary>Why there is no graph of them, so that they run one by one for good; null unless the driver has refused one.</summary>
    public string? WhyNoGraph { get; private set; }

    /// <summary>Adds a launch.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="gridX">Blocks, by</param>
    /// <param name="gridY">so many.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    /// <param name="arguments">The kernel's argument.</param>
    /// <param name="threads">Threads of a block, where they are fewer than the kernel takes.</param>
    /// <param name="weightBytes">Weights that it reads.</param>
    public void Add<T>(CudaKernel kernel, int gridX, int gridY, int sharedBytes, in T arguments, int? threads = null, long weightBytes = 0)
        where T : unmanaged
    {
        var memory = new NativeBuffer<byte>(sizeof(T));
        *(T*)memory.Pointer = arguments;
        _arguments.Add(memory);
        _launches.Add(new KernelLaunch(kernel, gridX, gridY, threads ?? kernel.Threads, sharedBytes, (nint)memory.Pointer, _dependent && _launches.Count > 0, weightBytes));
    }

    /// <summary>Makes the graph if the launches have run and it was not tried before.</summary>
    public void Record(CudaTurn turn)
    {
        if (!HasRun || Graph is not null || WhyNoGraph is not null)
        {
            return;
        }

        try
        {
            Graph = turn.Record(All);
        }
        catch (CudaException error)
        {
            WhyNoGraph = error.Message; // the graph is for speed alone; asking again would fail every round
        }
    }

    public void Dispose()
    {
        Graph?.Dispose();
        _arguments.ForEach(memory => memory.Dispose());
    }
}
