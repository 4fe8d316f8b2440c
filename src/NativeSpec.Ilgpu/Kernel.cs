using ILGPU;
using ILGPU.Runtime;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>A kernel of a device: compiled when it is first launched.</summary>
/// <param name="device">The device.</param>
/// <param name="body">The method that is compiled.</param>
/// <param name="groupThreads">Threads of a group; null takes what ILGPU finds best.</param>
internal sealed class Kernel<TArguments>(IlgpuDevice device, Action<Index1D, Loop, TArguments> body, int? groupThreads = null)
    where TArguments : struct
{
    private Action<Index1D, Loop, TArguments>? _launcher;

    /// <summary>Computes items 0 to items − 1; what is launched later begins when they are done.</summary>
    public void Launch(long items, in TArguments arguments)
    {
        if (items == 0)
        {
            return;
        }

        // A thread of the processor accelerator costs more than an item: it has as many as compute. A graphics device has one for each.
        var threads = device.IsProcessor ? (int)Math.Min(items, device.Accelerator.MaxNumThreads) : checked((int)items);
        var loop = new Loop { Items = checked((int)items), Stride = threads };
        try
        {
            device.Accelerator.Bind();
            _launcher ??= groupThreads is { } group
                ? device.Accelerator.LoadImplicitlyGroupedStreamKernel(body, group)
                : device.Accelerator.LoadAutoGroupedStreamKernel(body);
            _launcher(threads, loop, arguments);
        }
        catch (AcceleratorException error)
        {
            throw device.Lost(error);
        }
    }
}
