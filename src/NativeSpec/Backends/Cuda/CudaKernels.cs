using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>The kernels, loaded for a device, by name.</summary>
internal sealed class CudaKernels : IDisposable
{
    /// <summary>The least shared memory that a device must give a block: what norms of the widest rows take, and all else but attention over wide heads,
    /// which is loaded where it fits.</summary>
    public const int LeastSharedBytes = MostNormBytes;

    public const int ChooseBytes = 1024;
    public const int WalkBytes = 16; // for each row of a tree
    public const int MoveBlocks = 8; // for lists of moves, where there may be several
    public const int TopKBytes = (1024 * 8) + (2 * 256 * 4) + 16;
    private const int MostNormThreads = 1024;
    private const int MostChooseThreads = 512;
    private const int MostNormBytes = 96 << 10; // rows of 24,000 floats

    private static readonly CudaFormat[] Formats = [CudaFormat.BF16, CudaFormat.F16, CudaFormat.F32, CudaFormat.Q8, CudaFormat.Q4];

    private readonly CudaResource _module;
    private readonly Dictionary<string, CudaKernel> _kernels = [];

    /// <summary>Loads them.</summary>
    /// <exception cref="CudaException">The driver takes neither machine code nor PTX.</exception>
    public CudaKernels(CudaTurn turn, CudaDevice device, string imageFolder)
    {
        (_module, Image) = Load(turn, CudaImage.For(device.Capability, imageFolder));
        foreach (var (name, threads, sharedBytes) in All(device))
        {
            _kernels.Add(name, turn.Kernel(_module, name, threads, sharedBytes));
        }
    }

    /// <summary>What they were loaded from.</summary>
    public string Image { get; }

    /// <summary>The kernel of a name.</summary>
    public CudaKernel this[string name] => _kernels[name];

    /// <summary>Threads of a norm of rows so wide: four columns each.</summary>
    public static int NormThreads(int width) => Math.Min(CudaLayout.FilledColumns(width) / 4, MostNormThreads);

    /// <summary>Shared memory that rows so wide take to be packed: none where they are not normed.</summary>
    /// <exception cref="ArgumentException">They are no multiple of four, or too wide for a norm.</exception>
    public static int NormBytes(int width, bool norms = true) => (norms ? (width * sizeof(float)) + (MostNormThreads / 32 * sizeof(float)) : 0) is var bytes && bytes <= MostNormBytes && width % 4 == 0
        ? bytes
        : throw new ArgumentException($"rows of {width} floats; the CUDA kernels take multiples of 4, and norm up to {(MostNormBytes / sizeof(float)) - 32}");

    /// <summary>Blocks that finish a row whose columns have nothing to do with one another.</summary>
    public static int FinishBlocks(int width) => Math.Clamp((width + (4 * MostNormThreads) - 1) / (4 * MostNormThreads), 1, 64);

    /// <summary>Threads that choose from a row.</summary>
    public static int ChooseThreads(int vocabulary)
        => vocabulary > 8 * MostChooseThreads ? MostChooseThreads : (vocabulary + 255) / 256 * 32;

    public static string MatMulName(CudaFormat format, int rows) => $"matmul_{Name(format)}_{rows}";

    public static string AttentionName(KvFormat kv, int width) => $"tree_attention_{kv.ToString().ToLowerInvariant()}_{width}";

    public static string PackName(CudaFormat format) => $"pack_weights_{Name(format)}";

    public void Dispose() => _module.Dispose();

    /// <summary>All kernels that a device takes: the threads of a block that each was compiled for, and the most shared memory that it is given.</summary>
    internal static IEnumerable<(string Name, int Threads, int SharedBytes)> All(CudaDevice device)
        =>
        [
            ("embed", 256, 0),
            ("rope_append", 128, 0),
            ("attention_fold", 128, 0),
            ("choose", MostChooseThreads, 0),
            ("top_k", 1024, 0),
            ("walk_trees", 32, 0),
            ("move_kv_rows", 256, 0),
            ("read_bytes", CudaCeilings.Threads, 0),
            ("multiply_tiles", CudaCeilings.Threads, 0),
            .. Formats.Select(format => (PackName(format), 256, 0)),
            .. Formats.SelectMany(format => CudaLayout.ProductRows.Where(rows => rows >= CudaLayout.BucketOf(1) * CudaLayout.RowsOfParts(CudaLayout.RowParts(format))).Select(rows => (MatMulName(format, rows), 288, CudaLayout.Ring(format, rows, device.SharedBytes).Bytes))),
            ("rms_norm", MostNormThreads, MostNormBytes),
            ("finish_rows", MostNormThreads, MostNormBytes),
            .. new[] { KvFormat.BF16, KvFormat.F32 }.SelectMany(kv => CudaLayout.HeadWidths(device.BlockSharedBytes, kv).Select(width => (AttentionName(kv, width), 128, CudaLayout.AttentionBytes(width, kv)))),
        ];

    /// <summary>The first image that the driver takes: machine code of a newer assembler than it knows is refused, and PTX of the same kernels is not.</summary>
    private static (CudaResource, string) Load(CudaTurn turn, IEnumerable<CudaImage> images)
    {
        CudaException? refused = null;
        foreach (var image in images)
        {
            try
            {
                return (turn.LoadModule(image.Bytes), image.Name);
            }
            catch (CudaException error) when (error.Code != CudaErrors.OutOfMemory)
            {
                refused = error;
            }
        }

        throw refused!;
    }

    private static string Name(CudaFormat format) => format.ToString().ToLowerInvariant();
}
