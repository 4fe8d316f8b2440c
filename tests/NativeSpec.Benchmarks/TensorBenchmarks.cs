using System.Numerics.Tensors;
using BenchmarkDotNet.Attributes;
using NativeSpec.Sampling;

namespace NativeSpec.Benchmarks;

/// <summary>TensorPrimitives against what this project has of its own, on a row of logits: where the library's is as fast it is used, and docs/performance.md says where it is not.</summary>
[BenchmarkCategory("tensors")]
public class TensorBenchmarks
{
    private float[] _logits = [], _weights = [];
    private float _max;

    /// <summary>Tokens of the vocabulary.</summary>
    [Params(32_000, 128_256)]
    public int Vocabulary { get; set; }

    /// <summary>Normally distributed logits.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        var random = new Random(3);
        _logits = [.. Enumerable.Range(0, Vocabulary).Select(_ => (float)(2 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
        _weights = new float[Vocabulary];
        _max = TensorPrimitives.Max<float>(_logits);
    }

    /// <summary>The likeliest token, by the library in one scan that also looks for NaN.</summary>
    [Benchmark]
    public int IndexOfMax_TensorPrimitives() => TensorPrimitives.IndexOfMax<float>(_logits);

    /// <summary>The likeliest token as the engine finds it: a maximum, then a search for its bits.</summary>
    [Benchmark]
    public int IndexOfMax_OfTheEngine() => LogitScan.IndexOf(_logits, LogitScan.Max(_logits, position: 0));

    /// <summary>The maximum, by the library.</summary>
    [Benchmark]
    public float Max_TensorPrimitives() => TensorPrimitives.Max<float>(_logits);

    /// <summary>The maximum as the engine finds it, NaN if any is.</summary>
    [Benchmark]
    public float Max_OfTheEngine() => LogitScan.MaxOrNaN(_logits);

    /// <summary>The maximum, by LINQ.</summary>
    [Benchmark]
    public float Max_Linq() => _logits.Max();

    /// <summary>A whole softmax by the library: maximum, exponentials, sum, division.</summary>
    [Benchmark]
    public float SoftMax_TensorPrimitives()
    {
        TensorPrimitives.SoftMax<float>(_logits, _weights);
        return _weights[0];
    }

    /// <summary>What sampling needs of it: weights whose bits do not depend on their place, and their sum in float64 and one order; no division.</summary>
    [Benchmark]
    public double SoftMax_OfTheEngine()
    {
        Softmax.Weights(_logits, _max, 1, _weights);
        return Softmax.Sum(_weights);
    }

    /// <summary>A sum in single precision by the library.</summary>
    [Benchmark]
    public float Sum_TensorPrimitives() => TensorPrimitives.Sum<float>(_logits);

    /// <summary>A sum in float64 and one order on every machine.</summary>
    [Benchmark]
    public double Sum_OfTheEngine() => Softmax.Sum(_logits);
}
