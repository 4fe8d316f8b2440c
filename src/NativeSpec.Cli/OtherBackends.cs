using NativeSpec.Engine;
#if WITH_ILGPU
using NativeSpec.Ilgpu;
#endif

namespace NativeSpec.Cli;

/// <summary>Back ends of other packages. ILGPU compiles its kernels while the program runs, so a command that was compiled ahead of time has none.</summary>
internal static class OtherBackends
{
    /// <summary>The ILGPU back end on a device.</summary>
    /// <exception cref="UsageException">This command was compiled ahead of time.</exception>
    public static BackendProvider Ilgpu(string? device)
    {
#if WITH_ILGPU
#pragma warning disable IL2026, IL3050 // this branch is in no program that is trimmed or compiled ahead of time
        return IlgpuBackends.On(device);
#pragma warning restore IL2026, IL3050
#else
        throw new UsageException($"--backend ilgpu{(device is null ? "" : $" --device {device}")} needs the command as a .NET tool: this one was compiled ahead of time, and ILGPU compiles its kernels while the program runs");
#endif
    }
}
