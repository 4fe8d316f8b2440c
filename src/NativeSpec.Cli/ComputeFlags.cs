using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Engine;
using NativeSpec.Tensors;

namespace NativeSpec.Cli;

/// <summary>The options by which commands say what computes and how weights are held.</summary>
internal sealed class ComputeFlags
{
    private static readonly Dictionary<string, WeightFormat> Formats = new()
    {
        ["stored"] = WeightFormat.AsStored,
        ["bf16"] = WeightFormat.AsStored, // as random weights are stored
        ["q8"] = WeightFormat.Q8,
        ["q4"] = WeightFormat.Q4,
    };

    private readonly Terminal _terminal;

    private readonly Option<string?> _backend = Choice(
        "--backend", "cpu are the managed kernels, native the C++ ones, cuda those of a CUDA device, ilgpu those of ILGPU on any device; by default cuda where a device is, else native where its library is", ["cpu", "native", "cuda", "ilgpu"]);
    private readonly Option<string?> _device = new("--device")
    {
        Description = "The CUDA device, by its number, by default NATIVESPEC_CUDA_DEVICE or else the first; with --backend ilgpu its number, its kind (cuda, opencl, cpu) or a part of its name",
        HelpName = "DEVICE",
    };

    private readonly Option<string?> _weights;
    private readonly Option<int?> _threads = CommonOptions.Threads();
    private readonly Option<string?> _level = Choice(
        "--level", "Instruction set of the native kernels; by default NATIVESPEC_NATIVE_LEVEL, or else the fastest that leaves activations in F32", ["generic", "avx2", "avx2vnni", "avx512", "avx512vnni", "avx512bf16", "neon"]);

    private readonly Option<string?> _kv = Choice("--kv", "How keys and values are held; by default f32 on the processor; on a CUDA device bf16, or f32 where the weights are F32. bf16 takes half the memory", ["f32", "bf16"]);

    /// <summary>For a checkpoint.</summary>
    public ComputeFlags(Terminal terminal)
        : this(terminal, Choice("--weights", "Keep weights as the checkpoint stores them (default), or pack them to 8 or 4 bits while loading", ["stored", "q8", "q4"]))
    {
    }

    private ComputeFlags(Terminal terminal, Option<string?> weights) => (_terminal, _weights) = (terminal, weights);

    /// <summary>For weights that are made up.</summary>
    public static ComputeFlags ForRandomWeights(Terminal terminal) => new(terminal, Choice("--weights", "How the weights are held (default bf16)", ["bf16", "q8", "q4"]));

    /// <summary>All of them.</summary>
    public Option[] All => [_backend, .. AllButBackend];

    /// <summary>How keys and values are held.</summary>
    public Option Kv => _kv;

    /// <summary>All but the one that names a single backend.</summary>
    public Option[] AllButBackend => [_threads, _device, _level, _weights, _kv];

    /// <summary>Whether the command line asks for packed weights.</summary>
    public bool Packs(CommandResult result) => result.GetValue(_weights) is { } weights && Formats[weights] != WeightFormat.AsStored;

    /// <summary>The options with what the command line says, and the folder where the command keeps its profiles; an engine that takes the managed kernels for want of a native library, and
    /// one that packs weights for long, says so on standard error.</summary>
    /// <exception cref="UsageException">The backend is not here, or the device is none of it.</exception>
    public EngineOptions Apply(ParseResult parsed, EngineOptions options)
    {
        var (backend, device) = (parsed.GetValue(_backend), parsed.GetValue(_device));
        return backend is "cpu" or "native" && device is not null
            ? throw new UsageException($"--device is '{device}', and --backend {backend} computes on the processor: expected no device, or --backend cuda or ilgpu")
            : On(backend, parsed, ApplyAllButBackend(parsed, options));
    }

    /// <summary>The options with the backend of this name, on the device that the command line names, if that is one of devices; null leaves the choice to the engine.</summary>
    /// <exception cref="UsageException">This command has none of this name, or the device is none of it.</exception>
    public EngineOptions On(string? backend, ParseResult parsed, EngineOptions options) => backend switch
    {
        "ilgpu" => options with { OtherBackend = OtherBackends.Ilgpu(parsed.GetValue(_device)) },
        "cpu" => options with { Backend = BackendKind.Cpu },
        "native" => options with { Backend = BackendKind.Native },
        "cuda" => options with { Backend = BackendKind.Cuda, Device = CudaDevice(parsed) },
        _ => options with { Device = CudaDevice(parsed) },
    };

    /// <summary>As <see cref="Apply"/>, with the choice of the backend and its device left open.</summary>
    public EngineOptions ApplyAllButBackend(ParseResult parsed, EngineOptions options) => options with
    {
        Threads = parsed.GetValue(_threads),
        NativeLevel = parsed.GetValue(_level),
        Weights = parsed.GetValue(_weights) is { } weights ? Formats[weights] : WeightFormat.AsStored,
        KvFormat = KvOf(parsed),
        Logger = !_terminal.IsErrorRedirected || parsed.GetValue(CommonOptions.Verbose) ? new Notices(_terminal) : null,
        LoadProgress = Progress(_terminal),
        ProfileDirectory = EngineOptions.UserProfileDirectory,
    };

    /// <summary>The format of keys and values that the command line names; null for each backend's own.</summary>
    public KvFormat? KvOf(ParseResult parsed) => parsed.GetValue(_kv) switch { "f32" => KvFormat.F32, "bf16" => KvFormat.BF16, _ => null };

    private int? CudaDevice(ParseResult parsed) => parsed.GetValue(_device) is not { } device
        ? null
        : int.TryParse(device, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new UsageException($"--device is '{device}'; expected a CUDA device's number. Names are for --backend ilgpu");

    /// <summary>Counts on standard error while weights are packed, where somebody looks.</summary>
    public static IProgress<double>? Progress(Terminal terminal) => terminal.IsErrorRedirected ? null : new Packing(terminal);

    /// <summary>An option of a few words.</summary>
    public static Option<string?> Choice(string name, string description, string[] words)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = string.Join('|', words) };
        return option.AcceptOnlyFromAmong(words);
    }

    /// <summary>Shows what the library warns of; its errors come as exceptions.</summary>
    private sealed class Notices(Terminal terminal) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel == LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                terminal.Error.WriteLine($"nativespec: {formatter(state, exception)}");
            }
        }
    }

    /// <summary>One line that counts, once loading has taken a second.</summary>
    private sealed class Packing(Terminal terminal) : IProgress<double>
    {
        private readonly long _began = Stopwatch.GetTimestamp();
        private bool _shown;

        public void Report(double value)
        {
            if (!_shown && Stopwatch.GetElapsedTime(_began).TotalSeconds < 1)
            {
                return;
            }

            _shown = value < 1;
            terminal.Error.Write(value < 1 ? string.Create(CultureInfo.InvariantCulture, $"\r[packing weights: {value:0%}]") : "\r                       \r");
        }
    }
}
