using System.Diagnostics.CodeAnalysis;
using NativeSpec.Engine;
using NativeSpec.Tensors;

namespace NativeSpec.Ilgpu;

/// <summary>Back ends of ILGPU, for <see cref="EngineOptions.OtherBackend"/>: <c>new EngineOptions { OtherBackend = IlgpuBackends.On("cuda") }</c>.</summary>
[RequiresDynamicCode(IlgpuBackends.NeedsCompiler)]
[RequiresUnreferencedCode(IlgpuBackends.NeedsCompiler)]
public static class IlgpuBackends
{
    internal const string NeedsCompiler = "ILGPU compiles its kernels while the program runs, which a program compiled ahead of time cannot.";

    /// <summary>The devices that ILGPU finds on this machine, in the order of their numbers: those of CUDA, those of OpenCL, the processor last.</summary>
    public static IReadOnlyList<string> Devices() => IlgpuDevice.List();

    /// <summary>The back end on a device, which is opened when an engine is loaded.</summary>
    /// <param name="device">The device's number in <see cref="Devices"/>, its kind (<c>cuda</c>, <c>opencl</c>, <c>cpu</c>) or a part of its name; null takes the first, which is the
    /// processor where there is no other.</param>
    /// <remarks>Loading throws <see cref="InvalidOperationException"/> where there is no such device.</remarks>
    public static BackendProvider On(string? device = null) => new("ilgpu", options => Create(device, options));

    private static IlgpuBackend Create(string? device, EngineOptions options)
    {
        if (!Enum.IsDefined(options.Weights))
        {
            throw new ArgumentException($"{nameof(EngineOptions)}.{nameof(EngineOptions.Weights)} is {options.Weights}; expected AsStored, Q8 or Q4", nameof(options));
        }

        return new IlgpuBackend(IlgpuDevice.Open(device, options.Threads), ownsDevice: true, options.Weights, options.KvFormat ?? KvFormat.F32);
    }
}
