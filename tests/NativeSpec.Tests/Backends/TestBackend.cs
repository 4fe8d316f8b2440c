using NativeSpec.Backends;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>A backend that the conformance suite runs on. Which there are is said beside: <c>TestBackends.cs</c> of each project that runs the suite.</summary>
public sealed partial class TestBackend : IEquatable<TestBackend>
{
    internal TestBackend(string name, int threads, Func<IBackend> create) => (Name, Threads, Create) = (name, threads, create);

    public string Name { get; }

    /// <summary>Threads that compute.</summary>
    public int Threads { get; }

    internal Func<IBackend> Create { get; }

    /// <summary>Leaves out the test where heads wider than 64 do not fit what computes here.</summary>
    internal Action RequireWideHeads { get; init; } = () => { };

    /// <summary>All, and the CUDA back end: for the conformance of single operations.</summary>
    public static IEnumerable<TestBackend> AllAndCuda => All.Concat(Cuda);

    /// <summary>Whether it is the CUDA back end, which rounds rows beside weights other than F32, and keys and values where they are not asked for in F32.</summary>
    public bool IsCuda => Name.StartsWith("cuda", StringComparison.Ordinal);

    /// <summary>Whether an emulated device computes, which is slow: suites take a small share of it.</summary>
    public bool IsEmulated => IsCuda || Name.StartsWith("ilgpu", StringComparison.Ordinal);

    /// <summary>Whether keys and values are rounded to BF16.</summary>
    public bool RoundsKv => Name == "cuda" || Name.EndsWith("BF16 keys and values", StringComparison.Ordinal);

    /// <summary>The error of what reads rows beside such weights: half a unit of the last of eight bits where they are rounded to BF16 for it, of sixteen where
    /// they are two parts.</summary>
    public double RowError(DType dtype) => !IsCuda ? 0 : dtype == DType.F32 ? 1.0 / 65536 : 1.0 / 256;

    /// <summary>The error that a backend adds to a matmul with such weights, relative to the largest output: the BF16 dot products of one
    /// level round the activations to 2^-9, which counts for more where the products nearly cancel.</summary>
    public double MatMulError(DType dtype) => IsCuda ? dtype == DType.F32 ? 2e-4 : 0.03 : dtype == DType.BF16 && Name.Contains("bf16", StringComparison.Ordinal) ? 0.06 : 0;

    /// <summary>How far logits of a model in F32 may be from those of exact products, relative to the highest: 0 where only the order of sums differs, or the last of
    /// sixteen bits.</summary>
    public double LogitError => RoundsKv ? 0.01 : 0;

    public bool Equals(TestBackend? other) => Name == other?.Name;

    public override bool Equals(object? obj) => Equals(obj as TestBackend);

    public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Name;
}
