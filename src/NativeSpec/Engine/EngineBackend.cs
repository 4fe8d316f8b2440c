using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Native;
using NativeSpec.Tensors;

namespace NativeSpec.Engine;

/// <summary>The one place that decides which backend computes.</summary>
internal static partial class EngineBackend
{
    /// <summary>Starts the backend that the options name; where they name none, the native one, or the managed one where no native library
    /// is, and then the logger is told why in one line.</summary>
    /// <param name="options">Backend, threads, weights and logger count.</param>
    /// <exception cref="ArgumentException">An option cannot be met: threads, or packed weights, which the native backend alone computes with.</exception>
    /// <exception cref="InvalidOperationException">The native backend is asked for and its library is not here, or is of another version.</exception>
    public static IBackend Create(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.CreateBackend is { } create)
        {
            return create(options);
        }

        if (options.NativeLevel is { } level && options.Backend == BackendKind.Cpu)
        {
            throw new ArgumentException($"{nameof(EngineOptions.NativeLevel)} is '{level}', which the managed kernels do not have", nameof(options));
        }

        if (options.Backend != BackendKind.Cpu)
        {
            var native = NativeBackend.TryCreate(new NativeOptions { Threads = options.Threads, Weights = options.Weights, Level = options.NativeLevel }, out var missing);
            if (native is not null)
            {
                return native;
            }

            if (options.Backend == BackendKind.Native || options.NativeLevel is not null || options.Weights != WeightFormat.AsStored)
            {
                throw new InvalidOperationException(options.Backend == BackendKind.Native || options.NativeLevel is not null
                    ? $"the native backend cannot be taken: {missing}"
                    : $"{Name(options.Weights)} weights need the native backend: {missing}");
            }

            if (options.Logger is { } logger)
            {
                LogMissing(logger, missing!);
            }
        }

        return options.Weights == WeightFormat.AsStored
            ? CpuBackend.Create(new CpuOptions { Threads = options.Threads })
            : throw new ArgumentException($"{Name(options.Weights)} weights need the native backend; the managed kernels compute with F32, F16 and BF16", nameof(options));
    }

    /// <summary>What computes where nobody asks for anything, beside what could: an environment variable or a missing library makes a difference
    /// that should be seen.</summary>
    /// <exception cref="ArgumentException">The environment variable names a level that this processor does not run.</exception>
    public static KernelChoice Kernels()
    {
        if (NativeOptions.ExpectedLevel is not { } expected)
        {
            return new KernelChoice($"managed {SimdLevels.Best}", "native", [.. SimdLevels.Available.Select(level => $"managed {level}")]);
        }

        return new KernelChoice($"native {NativeOptions.LevelName(new NativeOptions().ResolveLevel())}", $"native {expected}", [.. NativeOptions.AvailableLevels.Select(level => $"native {level}")]);
    }

    private static string Name(WeightFormat format) => format.ToString().ToLowerInvariant();

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Reason}; the managed kernels serve")]
    private static partial void LogMissing(ILogger logger, string reason);
}

/// <summary>Which kernels compute.</summary>
/// <param name="Used">Those that are taken.</param>
/// <param name="Expected">Those that would be taken if nothing were missing and no environment variable said otherwise.</param>
/// <param name="Available">All that this machine runs.</param>
internal sealed record KernelChoice(string Used, string Expected, IReadOnlyList<string> Available);
