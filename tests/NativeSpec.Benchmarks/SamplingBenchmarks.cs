using BenchmarkDotNet.Attributes;
using NativeSpec.Sampling;

namespace NativeSpec.Benchmarks;

/// <summary>What it costs to choose one token from a row of logits.</summary>
[MemoryDiagnoser]
[BenchmarkCategory("sampling")]
public class SamplingBenchmarks
{
    private const int Rows = 8;

    private readonly float[][] _rows = new float[Rows][];
    private Chooser? _chooser;
    private SamplingRule? _rule;
    private TokenHistory? _history;

    /// <summary>Tokens of the vocabulary.</summary>
    [Params(32_000, 128_256)]
    public int Vocabulary { get; set; }

    /// <summary>The request's options.</summary>
    [Params("greedy", "T=1", "T=0.8 top-p 0.9", "T=0.8 top-k 40", "T=1 min-p 0.05", "T=1 penalties")]
    public string Options { get; set; } = "";

    /// <summary>Makes rows like a model's: normally distributed, with a few likely tokens, some rows more decided than others.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        var random = new Random(3);
        for (var row = 0; row < Rows; row++)
        {
            var spread = row % 2 == 0 ? 2 : 2.8;
            _rows[row] = [.. Enumerable.Range(0, Vocabulary).Select(_ => (float)(spread * Normal(random)))];
            for (var likely = 0; likely < 12; likely++)
            {
                _rows[row][random.Next(Vocabulary)] += 4 + (10 * random.NextSingle());
            }
        }

        var options = Options switch
        {
            "greedy" => new SamplingOptions { Temperature = 0 },
            "T=1" => new SamplingOptions { Temperature = 1 },
            "T=0.8 top-p 0.9" => new SamplingOptions { Temperature = 0.8f, TopP = 0.9f },
            "T=0.8 top-k 40" => new SamplingOptions { Temperature = 0.8f, TopK = 40 },
            "T=1 min-p 0.05" => new SamplingOptions { Temperature = 1, MinP = 0.05f },
            _ => new SamplingOptions { Temperature = 1, RepetitionPenalty = 1.1f, FrequencyPenalty = 0.1f },
        };
        _chooser = new Chooser(Vocabulary);
        _rule = new SamplingRule(options, seed: 5, Vocabulary);
        _history = new TokenHistory(Vocabulary, 1024, tracksTokens: true);
        _history.Start([.. Enumerable.Range(0, 300).Select(_ => random.Next(Vocabulary))]);
    }

    /// <summary>One token of each row.</summary>
    [Benchmark(OperationsPerInvoke = Rows)]
    public int Choose()
    {
        var last = 0;
        for (var row = 0; row < Rows; row++)
        {
            last = _chooser!.Choose(_rows[row], new RowChoice { Rule = _rule!, Position = 300 + last, Seen = _history!.Seen });
        }

        return last;
    }

    private static double Normal(Random random)
        => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
