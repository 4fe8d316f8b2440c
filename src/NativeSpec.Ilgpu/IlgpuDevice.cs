using System.Globalization;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>A device that ILGPU computes on: its context, its accelerator, and the kernels that are compiled for it.</summary>
internal sealed class IlgpuDevice : IDisposable
{
    private readonly Context _context;

    private IlgpuDevice(Context context, Device device, bool tensorCores)
    {
        _context = context;
        Accelerator = device.CreateAccelerator(context);
        try
        {
            Name = NameOf(device);
            HasTensorCores = tensorCores && Accelerator is CudaAccelerator cuda && cuda.Architecture >= CudaArchitecture.SM_80;
            Kernels = Accelerator is CudaAccelerator ? IlgpuKernels.Of<CudaArithmetic>(this) : IlgpuKernels.Of<PlainArithmetic>(this);
        }
        catch
        {
            Accelerator.Dispose();
            throw;
        }
    }

    /// <summary>What work and memory are asked of.</summary>
    public Accelerator Accelerator { get; }

    /// <summary>Kind and name.</summary>
    public string Name { get; }

    /// <summary>Whether products of BF16 weights are taken by tensor cores.</summary>
    public bool HasTensorCores { get; }

    /// <summary>The kernels.</summary>
    public IlgpuKernels Kernels { get; }

    /// <summary>Bytes of its memory; on the processor what this process may use.</summary>
    public long Memory => IsProcessor ? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes : Accelerator.MemorySize;

    /// <summary>Whether the processor computes.</summary>
    public bool IsProcessor => Accelerator is CPUAccelerator;

    /// <summary>The devices of this machine in the order of their numbers: those of CUDA, those of OpenCL, the processor.</summary>
    public static IReadOnlyList<string> List()
    {
        using var context = CreateContext(null);
        return [.. DevicesOf(context).Select(NameOf)];
    }

    /// <summary>Opens a device.</summary>
    /// <param name="which">Its number in <see cref="List"/>, its kind (<c>cuda</c>, <c>opencl</c>, <c>cpu</c>) or a part of its name; null takes the first.</param>
    /// <param name="threads">Threads where the processor computes; null takes the default of the managed kernels.</param>
    /// <param name="tensorCores">Whether tensor cores may be taken where a device has them.</param>
    /// <exception cref="InvalidOperationException">There is no such device, or it lacks what the kernels need.</exception>
    public static IlgpuDevice Open(string? which = null, int? threads = null, bool tensorCores = true)
    {
        var context = CreateContext(threads);
        try
        {
            var devices = DevicesOf(context);
            var device = Find(devices, which)
                ?? throw new InvalidOperationException($"ILGPU has no device '{which}' here; it has {string.Join(", ", devices.Select((device, number) => $"{number}: {NameOf(device)}"))}");
            if (device is CLDevice { Capabilities.Float64: false })
            {
                throw new InvalidOperationException($"the device {NameOf(device)} has no float64, in which tokens are drawn");
            }

            return new IlgpuDevice(context, device, tensorCores);
        }
        catch (AcceleratorException error)
        {
            context.Dispose();
            throw new InvalidOperationException($"the device '{which ?? "0"}' cannot be opened: {error.Message}", error);
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>Waits for what was launched.</summary>
    /// <exception cref="BackendFaultedException">It failed.</exception>
    public void Synchronize()
    {
        try
        {
            Accelerator.Bind();
            Accelerator.Synchronize();
        }
        catch (AcceleratorException error)
        {
            throw Lost(error);
        }
    }

    /// <summary>Copies within the device, behind what was launched.</summary>
    /// <exception cref="BackendFaultedException">The device is lost.</exception>
    public void Copy<T>(ArrayView<T> from, ArrayView<T> to)
        where T : unmanaged
    {
        try
        {
            Accelerator.Bind();
            from.CopyTo(Accelerator.DefaultStream, to);
        }
        catch (AcceleratorException error)
        {
            throw Lost(error);
        }
    }

    /// <summary>What the engine is told where a driver says that something failed: nothing of the device can be relied on. All that asks something of it does so through this class,
    /// <see cref="DeviceBuffer{T}"/> and <see cref="Kernel{TArguments}"/>, which throw this.</summary>
    public BackendFaultedException Lost(AcceleratorException error) => new(error is CLException openCl ? (int)openCl.Error : 0, null, $"the device {Name} failed: {error.Message}", error);

    /// <summary>Whether a driver only has no memory left.</summary>
    public static bool IsOutOfMemory(AcceleratorException error) => error switch
    {
        CudaException => error.Message.Contains("out of memory", StringComparison.OrdinalIgnoreCase), // the driver's words: ILGPU keeps no number
        CLException openCl => openCl.Error is CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE or CLError.CL_OUT_OF_HOST_MEMORY or CLError.CL_OUT_OF_RESOURCES or CLError.CL_INVALID_BUFFER_SIZE,
        _ => true,
    };

    /// <summary>Memory on the device, cleared.</summary>
    public DeviceBuffer<T> Allocate<T>(long length)
        where T : unmanaged
        => new(this, Math.Max(1, length));

    /// <inheritdoc/>
    public void Dispose()
    {
        Accelerator.Dispose();
        _context.Dispose();
    }

    private static Context CreateContext(int? threads)
    {
        Libraries.Find();

        // Kernels have no barriers, so a group may be as small as ILGPU allows, and every thread of the processor computes.
        var pairs = (new CpuOptions { Threads = threads }.ResolveThreads() + 1) / 2;
        return Context.Create(builder => builder.Cuda().OpenCL().CPU(new CPUDevice(2, 1, pairs)).EnableAlgorithms().Optimize(OptimizationLevel.O2));
    }

    private static Device[] DevicesOf(Context context)
        => [.. context.GetCudaDevices(), .. context.GetCLDevices(), .. context.GetCPUDevices()];

    private static Device? Find(Device[] devices, string? which)
    {
        if (which is null)
        {
            return devices[0];
        }

        if (int.TryParse(which, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            return number < devices.Length ? devices[number] : null;
        }

        return devices.FirstOrDefault(device => KindOf(device).Equals(which, StringComparison.OrdinalIgnoreCase))
            ?? devices.FirstOrDefault(device => NameOf(device).Contains(which, StringComparison.OrdinalIgnoreCase));
    }

    private static string NameOf(Device device) => device is CPUDevice processor ? $"cpu, {processor.NumThreads} threads" : $"{KindOf(device)} {device.Name.Trim('\0', ' ')}";

    private static string KindOf(Device device) => device switch { CudaDevice => "cuda", CLDevice => "opencl", _ => "cpu" };

    /// <summary>ILGPU asks for <c>libcuda.so</c> and <c>libOpenCL.so</c>, which on Linux come with packages for developers; drivers bring the names with a version.</summary>
    private static class Libraries
    {
        static Libraries()
        {
            if (!OperatingSystem.IsLinux())
            {
                return;
            }

            try
            {
                NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, (name, _, _) => name switch
                {
                    "cuda" when NativeLibrary.TryLoad("libcuda.so.1", out var library) => library,
                    "OpenCL" when NativeLibrary.TryLoad("libOpenCL.so.1", out var library) => library,
                    _ => 0,
                });
            }
            catch (InvalidOperationException)
            {
                // Under WSL ILGPU has set a resolver of its own, which does the same.
            }
        }

        /// <summary>Says once where they are.</summary>
        public static void Find()
        {
        }
    }
}
