using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Backends.Native;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Engine.Building;

/// <summary>The one place that decides which backend computes.</summary>
internal static partial class EngineBackend
{
    /// <summary>Starts the backend that the options name; where they name none, a CUDA device that can be used, else the native backend, or the managed one
    /// where no native library is, and then the logger is told why in one line.</summary>
    /// <param name="options">Backend, device, threads, weights, keys and values, and logger count.</param>
    /// <param name="model">The weights it is for, by which a device's keys and values go where the options do not name a format; null for a model in BF16.</param>
    /// <exception cref="ArgumentException">An option cannot be met: threads, or packed weights, which the managed kernels do not compute with.</exception>
    /// <exception cref="InvalidOperationException">The backend that is asked for is not here: there is no library, or one of another version, or no device.</exception>
    public static IBackend Create(EngineOptions options, LlamaTensors? model = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.CreateBackend is { } create)
        {
            return create(options);
        }

        if (options.OtherBackend is { } other)
        {
            return other.Create(options);
        }

        if (options.NativeLevel is { } level && options.Backend is BackendKind.Cpu or BackendKind.Cuda)
        {
            throw new ArgumentException($"{nameof(EngineOptions.NativeLevel)} is '{level}', which the {(options.Backend == BackendKind.Cpu ? "managed" : "CUDA")} kernels do not have", nameof(options));
        }

        // Who names a level or threads of the processor's kernels wants the processor, and who names a device wants that.
        var wantsProcessor = options.Device is null && (options.NativeLevel is not null || options.Threads is not null);
        if (options.Backend == BackendKind.Cuda || (options.Backend is null && !wantsProcessor))
        {
            if (CudaBackend.TryCreate(new CudaOptions { Device = options.Device, Weights = options.Weights, KvFormat = KvFormatOnDevice(options, model) }, out var none) is { } cuda)
            {
                return cuda;
            }

            if (options.Backend == BackendKind.Cuda || options.Device is not null)
            {
                throw new InvalidOperationException($"the CUDA backend cannot be taken: {none}");
            }
        }

        var kvFormat = options.KvFormat ?? KvFormat.F32;
        if (options.Backend != BackendKind.Cpu)
        {
            var native = NativeBackend.TryCreate(new NativeOptions { Threads = options.Threads, Weights = options.Weights, Level = options.NativeLevel, KvFormat = kvFormat }, out var missing);
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
            ? CpuBackend.Create(new CpuOptions { Threads = options.Threads, KvFormat = kvFormat })
            : throw new ArgumentException($"{Name(options.Weights)} weights need the native backend; the managed kernels compute with F32, F16 and BF16", nameof(options));
    }

    /// <summary>How a CUDA device holds keys and values where the options do not say: in F32 where the weights are F32 and stay so, as the model was meant; in
    /// BF16 else, of which attention reads half as many bytes.</summary>
    public static KvFormat KvFormatOnDevice(EngineOptions options, LlamaTensors? model)
        => options.KvFormat ?? (options.Weights == WeightFormat.AsStored && model?.Layers[0].QProj is { Format: WeightFormat.AsStored, DType: DType.F32 } ? KvFormat.F32 : KvFormat.BF16);

    /// <summary>What computes where nobody asks for anything, beside what could: an environment variable or a missing library makes a difference
    /// that should be seen.</summary>
    /// <exception cref="ArgumentException">The environment variable names a level that this processor does not run.</exception>
    public static KernelChoice Kernels()
    {
        var onProcessor = OnProcessor();
        if (CudaDevice.Find(null, out _) is not { } device)
        {
            return onProcessor;
        }

        var cuda = $"cuda sm_{device.Capability} ({device.Name})";
        return new KernelChoice(cuda, cuda, [cuda, .. onProcessor.Available]);
    }

    private static KernelChoice OnProcessor()
    {
        if (NativeOptions.ExpectedLevel is not { } expected)
        {
            return new KernelChoice($"managed {SimdLevels.Best}", "native", [.. SimdLevels.Available.Select(level => $"managed {level}")]);
        }

        return new KernelChoice($"native {NativeOptions.LevelName(new NativeOptions().ResolveLevel())}", $"native {expected}", [.. NativeOptions.AvailableLevels.Select(level => $"native {level}")]);
    }

    /// <summary>The options by which an engine that nobody asked to compute on a device is loaded on the processor instead, because the device has not
    /// the memory or the model is none that its kernels take; null where the error is to be thrown.</summary>
    public static EngineOptions? WithoutDevice(EngineOptions options, IBackend backend, Exception error)
    {
        if (backend is not CudaBackend || options.Backend is not null || options.Device is not null || error is not BackendException)
        {
            return null;
        }

        if (options.Logger is { } logger)
        {
            LogNoDevice(logger, error.Message);
        }

        return options with { Backend = NativeOptions.ExpectedLevel is null ? BackendKind.Cpu : BackendKind.Native };
    }

    private static string Name(WeightFormat format) => format.ToString().ToLowerInvariant();

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Reason}; the processor serves")]
    private static partial void LogNoDevice(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Reason}; the managed kernels serve")]
    private static partial void LogMissing(ILogger logger, string reason);
}

/// <summary>Which kernels compute.</summary>
/// <param name="Used">Those that are taken.</param>
/// <param name="Expected">Those that would be taken if nothing were missing and no environment variable said otherwise.</param>
/// <param name="Available">All that this machine runs.</param>
internal sealed record KernelChoice(string Used, string Expected, IReadOnlyList<string> Available);
