using ILGPU;
using ILGPU.Runtime;

namespace NativeSpec.Ilgpu;

/// <summary>Memory on a device. It begins as zeros.</summary>
internal sealed class DeviceBuffer<T> : IDisposable
    where T : unmanaged
{
    private readonly IlgpuDevice _device;
    private readonly MemoryBuffer1D<T, Stride1D.Dense>? _memory;

    internal DeviceBuffer(IlgpuDevice device, long length)
    {
        _device = device;
        try
        {
            device.Accelerator.Bind();
            _memory = device.Accelerator.Allocate1D<T>(length);
            _memory.MemSetToZero();
        }
        catch (AcceleratorException error) when (_memory is null && IlgpuDevice.IsOutOfMemory(error))
        {
            throw new InvalidOperationException($"the device {device.Name} with {device.Memory:N0} bytes of memory has not {length * Interop.SizeOf<T>():N0} more: {error.Message}", error);
        }
        catch (AcceleratorException error)
        {
            Dispose();
            throw device.Lost(error);
        }
    }

    /// <summary>Elements.</summary>
    public long Length => _memory!.Length;

    /// <summary>Bytes.</summary>
    public long Bytes => _memory!.LengthInBytes;

    /// <summary>Whether it is disposed.</summary>
    public bool IsDisposed { get; private set; }

    /// <summary>All of it, for kernels.</summary>
    public ArrayView<T> View => _memory!.View.BaseView;

    /// <summary>The same bytes as elements of another type.</summary>
    public ArrayView<TOther> As<TOther>()
        where TOther : unmanaged
        => View.Cast<TOther>();

    /// <summary>Copies from the host, once what was launched is done.</summary>
    public void Upload(ReadOnlySpan<T> values, long at = 0)
    {
        if (values.IsEmpty)
        {
            return;
        }

        try
        {
            _device.Accelerator.Bind();
            View.SubView(at, values.Length).CopyFromCPU(_device.Accelerator.DefaultStream, values);
        }
        catch (AcceleratorException error)
        {
            throw _device.Lost(error);
        }
    }

    /// <summary>Copies to the host, once what was launched is done.</summary>
    public void Download(Span<T> values, long at = 0)
    {
        if (values.IsEmpty)
        {
            return;
        }

        try
        {
            _device.Accelerator.Bind();
            View.SubView(at, values.Length).CopyToCPU(_device.Accelerator.DefaultStream, values);
        }
        catch (AcceleratorException error)
        {
            throw _device.Lost(error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        IsDisposed = true;
        try
        {
            _memory?.Dispose();
        }
        catch (AcceleratorException)
        {
            // A lost device has taken its memory with it.
        }
    }
}
