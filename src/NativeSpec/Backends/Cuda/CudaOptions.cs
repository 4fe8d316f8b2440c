using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cuda;

/// <summary>How the CUDA back end runs.</summary>
internal sealed record CudaOptions
{
    /// <summary>The environment variable that makes every kernel be waited for, and named when it fails: 1.</summary>
    public const string SynchronousVariable = "NATIVESPEC_CUDA_SYNC";

    /// <summary>The device's place in the driver's list; null takes the environment's, or the first.</summary>
    public int? Device { get; init; }

    /// <summary>How matmul weights are held: as stored, or packed while loading, which the native library does.</summary>
    public WeightFormat Weights { get; init; }

    /// <summary>How keys and values are held: BF16, or F32 as two BF16 parts.</summary>
    public KvFormat KvFormat { get; init; } = KvFormat.BF16;

    /// <summary>Bytes that the partial results of attention may take, where those of a round do not take more.</summary>
    public long MostUnitBytes { get; init; } = CudaMemory.MostUnitBytes;

    /// <summary>Where machine code of the kernels lies, if there is any (<see cref="CudaImage.For"/>).</summary>
    public string ImageFolder { get; init; } = Path.Combine(AppContext.BaseDirectory, CudaImage.Folder);

    /// <summary>Wait for every kernel.</summary>
    public bool IsSynchronous { get; init; } = Environment.GetEnvironmentVariable(SynchronousVariable) == "1";
}
