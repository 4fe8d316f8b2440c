using System.Diagnostics;
using System.Numerics.Tensors;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>Repeated measurements of one thing.</summary>
internal readonly record struct Measurement(double Median, double Min, double Max)
{
    public static Measurement Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        var middle = sorted.Length / 2;
        var median = sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Measurement(median, sorted[0], sorted[^1]);
    }
}

/// <summary>What <see cref="DecodeBenchmark"/> found.</summary>
internal sealed record DecodeResult(Measurement TokensPerSecond, Measurement DecodeGBPerSecond, Measurement ReadGBPerSecond, Measurement Fraction);

/// <summary>Greedy decoding of one sequence, as a round of the engine does it: a tree of one node, one forward, choose, commit. A token
/// reads every weight once, so memory bounds it; reading memory is measured between the repeats, and each decode is divided by the
/// mean of the readings before and after it, because neighbours on the same machine come and go.</summary>
internal sealed class DecodeBenchmark : IDisposable
{
    /// <summary>Tokens before the first decoded one.</summary>
    public const int PromptTokens = 16;

    private readonly BenchModel _weights;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly KvSequence _sequence;
    private readonly TokenTree _tree = new(PromptTokens);
    private readonly Forest _forest = new(1);
    private readonly int _tokens;

    public DecodeBenchmark(LlamaConfig config, int tokens, EngineOptions options)
    {
        _tokens = tokens;
        _weights = new BenchModel(config, options);
        _model = new LlamaModel(config, _weights.Tensors, _weights.Backend, new ForwardLimits(PromptTokens, MaxLogitRows: 1, MaxSequences: 1, PromptTokens + tokens));
        _cache = _model.CreateCache(PromptTokens + tokens);
        _sequence = _cache.TryOpen(PromptTokens + tokens)!;
        BytesPerToken = _weights.BytesPerToken(PromptTokens + (tokens / 2));
    }

    /// <summary>What computes.</summary>
    public string Backend => _weights.Backend.Description;

    /// <summary>Weights, and keys and values at half the decoded length.</summary>
    public long BytesPerToken { get; }

    /// <summary>Warms up, then measures.</summary>
    public DecodeResult Run(int repeats, CancellationToken cancellationToken)
    {
        Decode(cancellationToken);
        _weights.MeasureReading();
        var (reads, decodes) = (new double[repeats + 1], new double[repeats]);
        reads[0] = _weights.MeasureReading();
        for (var i = 0; i < repeats; i++)
        {
            decodes[i] = Decode(cancellationToken);
            reads[i + 1] = _weights.MeasureReading();
        }

        double Rate(int i) => decodes[i] * BytesPerToken / 1e9;
        var indices = Enumerable.Range(0, repeats);
        return new DecodeResult(
            Measurement.Of(decodes),
            Measurement.Of(indices.Select(Rate)),
            Measurement.Of(reads),
            Measurement.Of(indices.Select(i => Rate(i) / ((reads[i] + reads[i + 1]) / 2))));
    }

    public void Dispose()
    {
        _sequence.Dispose();
        _cache.Dispose();
        _model.Dispose();
        _weights.Dispose();
    }

    /// <summary>Tokens per second after the prompt.</summary>
    private double Decode(CancellationToken cancellationToken)
    {
        _sequence.Truncate(0);
        _tree.Clear();
        _tree.AddChain([.. Enumerable.Range(1, PromptTokens)]);
        var token = Step(cancellationToken);
        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < _tokens; i++)
        {
            _tree.Clear();
            _tree.Add(-1, token);
            token = Step(cancellationToken);
        }

        return _tokens / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private int Step(CancellationToken cancellationToken)
    {
        _forest.Clear();
        _forest.Add(_sequence, _tree, _tree.Count - 1);
        var rows = _model.Forward(_forest, cancellationToken);
        _sequence.CommitChain(_tree.Count);
        return TensorPrimitives.IndexOfMax(rows.Logits(0));
    }
}
