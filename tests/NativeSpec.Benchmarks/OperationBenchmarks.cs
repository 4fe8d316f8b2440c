using BenchmarkDotNet.Attributes;
using NativeSpec.Backends;
using NativeSpec.Cli.Benchmarks;
using NativeSpec.Cli.Benchmarks.Kernels;
using NativeSpec.Engine;
using NativeSpec.Tensors;

namespace NativeSpec.Benchmarks;

/// <summary>The operations of <c>nativespec bench kernels</c>, one pass over a model's layers each: statistics of single operations and what
/// they allocate, where that command gives ratios to the roof.</summary>
[MemoryDiagnoser]
[BenchmarkCategory("operations")]
public class OperationBenchmarks : IDisposable
{
    private BenchModel? _model;
    private KernelCases? _cases;
    private Action _run = () => { };

    /// <summary>Backend and weights.</summary>
    [Params("cpu bf16", "native bf16", "native q8", "native q4")]
    public string Backend { get; set; } = "";

    /// <summary>Nodes.</summary>
    [Params(1, 8, 64)]
    public int Nodes { get; set; }

    /// <summary>The operation.</summary>
    [Params("matmul q·k·v", "matmul o", "matmul gate·up", "matmul gate·up with norm and swiglu", "matmul down", "matmul head", "tree attention", "rope", "rope, tree attention, matmul o", "rms norm", "embed", "gather rows")]
    public string Operation { get; set; } = "";

    /// <summary>Makes the weights.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        var parts = Backend.Split(' ');
        _model = new BenchModel(BenchShapes.All["110m"], new EngineOptions
        {
            Backend = parts[0] == "cpu" ? BackendKind.Cpu : BackendKind.Native,
            Weights = parts[1] switch { "q8" => WeightFormat.Q8, "q4" => WeightFormat.Q4, _ => WeightFormat.AsStored },
        });
        _cases = new KernelCases(_model, context: 128, maxRows: 64);
        _run = _cases.Of(Nodes).Single(one => one.Name == Operation).Run;
    }

    /// <summary>One pass over the layers.</summary>
    [Benchmark]
    public void Pass() => _run();

    /// <summary>Frees the weights.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        _cases?.Dispose();
        _model?.Dispose();
        GC.SuppressFinalize(this);
    }
}
