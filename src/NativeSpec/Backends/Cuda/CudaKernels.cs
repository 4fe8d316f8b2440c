using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>The kernels, loaded for a device, by name.</summary>
internal sealed class CudaKernels : IDisposable
{
    private const int MostNormThreads = 1024;
    public const int MatMulThreads = 288;
    public const int ChooseBytes = 1024;
    public const int TopKThreads = 1024;
    public const int TopKBytes = (1024 * 8) + (2 * 256 * 4) + 16;
    private const int MostNormBytes = 96 << 10; // rows of 24,000 floats

    private static readonly string[] Plain = ["embed", "rope_append", "attention_fold", "choose", "top_k", "move_kv_rows"];
    private static readonly CudaFormat[] Formats = [CudaFormat.BF16, CudaFormat.F16, CudaFormat.F32, CudaFormat.Q8, CudaFormat.Q4];

    private readonly CudaResource _module;
    private readonly Dictionary<string, CudaKernel> _kernels = [];

    public CudaKernels(CudaTurn turn, CudaDevice device)
    {
        _module = turn.LoadModule(CudaImage.For(device.Capability));
        foreach (var (name, sharedBytes) in Names(device))
        {
            _kernels.Add(name, turn.Kernel(_module, name, sharedBytes));
        }
    }

    /// <summary>The kernel of a name.</summary>
    public CudaKernel this[string name] => _kernels[name];

    /// <summary>Threads of a norm of rows so wide: four columns each.</summary>
    public static int NormThreads(int width) => Math.Min(CudaLayout.FilledColumns(width) / 4, MostNormThreads);

    /// <summary>Shared memory of a norm of rows so wide.</summary>
    /// <exception cref="ArgumentException">They are too wide.</exception>
    public static int NormBytes(int width) => (width * sizeof(float)) + (MostNormThreads / 32 * sizeof(float)) is var bytes && bytes <= MostNormBytes && width % 4 == 0
        ? bytes
        : throw new ArgumentException($"rows of {width} floats; the CUDA kernels take multiples of 4, to {(MostNormBytes / sizeof(float)) - 32}");

    /// <summary>Threads that choose from a row.</summary>
    public static int ChooseThreads(int vocabulary)
    {
        const int Most = 1024;
        return vocabulary > 8 * Most ? Most : (vocabulary + 255) / 256 * 32;
    }

    public static string MatMulName(CudaFormat format, int rows) => $"matmul_{Name(format)}_{rows}";

    public static string PackName(CudaFormat format) => $"pack_weights_{Name(format)}";

    public void Dispose() => _module.Dispose();

    /// <summary>All kernels, and the most shared memory that each is given.</summary>
    private static IEnumerable<(string Name, int SharedBytes)> Names(CudaDevice device)
        =>
        [
            .. Plain.Select(name => (name, 0)),
            .. Formats.Select(format => (PackName(format), 0)),
            .. Formats.SelectMany(format => CudaLayout.Buckets.Select(rows => (MatMulName(format, rows), CudaLayout.Ring(format, rows, device.SharedBytes).Bytes))),
            ("rms_norm", MostNormBytes),
            ("finish_rows", MostNormBytes),
            ("tree_attention_64", CudaLayout.AttentionBytes(CudaLayout.NarrowHead)),
            ("tree_attention_128", CudaLayout.AttentionBytes(CudaLayout.WideHead)),
        ];

    private static string Name(CudaFormat format) => format.ToString().ToLowerInvariant();
}
