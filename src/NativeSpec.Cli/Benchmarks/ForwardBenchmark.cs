using System.Diagnostics;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>A verification forward of so many nodes.</summary>
/// <param name="Nodes">Nodes, all of whose logits are computed.</param>
/// <param name="Seconds">T(n).</param>
/// <param name="Growth">T(n) / T(1).</param>
/// <param name="TokensPerSecond">n / T(n).</param>
/// <param name="GBPerSecond">What one token reads, by T(n).</param>
/// <param name="Fraction">That, by the reading speed of the same repeat.</param>
internal sealed record ForwardTime(int Nodes, Measurement Seconds, Measurement Growth, Measurement TokensPerSecond, Measurement GBPerSecond, Measurement Fraction);

/// <summary>What <see cref="ForwardBenchmark"/> found.</summary>
internal sealed record ForwardResult(IReadOnlyList<ForwardTime> Times, Measurement ReadGBPerSecond, Measurement? PrefillTokensPerSecond);

/// <summary>Forwards of 1, 2, 4, … nodes after a context, as verification does them. Each repeat measures every size and reading memory in
/// turn, and ratios are taken within a repeat, because on a shared machine speed comes and goes.</summary>
internal sealed class ForwardBenchmark : IDisposable
{
    private const double LeastSeconds = 0.02; // a measurement shorter than this is of several forwards
    private readonly BenchModel _weights;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly KvSequence _sequence, _prompt;
    private readonly TokenTree _tree;
    private readonly Forest _forest = new(1);
    private readonly int[] _nodes;
    private readonly int _context, _prefill, _chunk;

    /// <summary>Makes the model and computes the context.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="options">Backend, threads, weights, and the size of a prompt's chunk.</param>
    /// <param name="nodes">Numbers of nodes, the first of them 1.</param>
    /// <param name="context">Tokens before the nodes.</param>
    /// <param name="prefill">Tokens of a prompt that is measured too; 0 measures none.</param>
    public ForwardBenchmark(LlamaConfig config, EngineOptions options, int[] nodes, int context, int prefill)
    {
        (_nodes, _context, _prefill) = (nodes, context, prefill);
        _weights = new BenchModel(config, options);
        _chunk = Math.Clamp(options.ChunkOn(_weights.Backend), 1, Math.Max(context, prefill));
        var rows = Math.Max(_chunk, nodes.Max());
        var tokens = Math.Max(context + nodes.Max(), prefill);
        _model = new LlamaModel(config, _weights.Tensors, _weights.Backend, new ForwardLimits(rows, Math.Max(nodes.Max(), 1), 1, tokens));
        _cache = _model.CreateCache((2 * tokens) + (2 * Backends.RowBatch.PageSize));
        _sequence = _cache.TryOpen(tokens)!;
        _prompt = _cache.TryOpen(tokens)!;
        _tree = new TokenTree(rows);
        Append(_sequence, context, CancellationToken.None);
    }

    /// <summary>What computes.</summary>
    public string Backend => _weights.Backend.Description;

    /// <summary>Bytes that one token reads.</summary>
    public long BytesPerToken => _weights.BytesPerToken(_context);

    /// <summary>Warms up, then measures.</summary>
    public ForwardResult Run(int repeats, CancellationToken cancellationToken)
    {
        var forwards = Array.ConvertAll(_nodes, n => (int)Math.Ceiling(LeastSeconds / Math.Max(Math.Min(Verify(n, 1, cancellationToken), Verify(n, 1, cancellationToken)), 1e-6)));
        var (reads, prompts) = (new double[repeats], new double[repeats]);
        var seconds = Array.ConvertAll(_nodes, _ => new double[repeats]);
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            reads[repeat] = _weights.MeasureReading();
            for (var i = 0; i < _nodes.Length; i++)
            {
                seconds[i][repeat] = Verify(_nodes[i], forwards[i], cancellationToken);
            }

            prompts[repeat] = _prefill == 0 ? 0 : Prefill(cancellationToken);
        }

        var indices = Enumerable.Range(0, repeats);
        double Rate(double time) => BytesPerToken / time / 1e9;
        return new ForwardResult(
            [.. _nodes.Select((n, i) => new ForwardTime(
                n,
                Measurement.Of(seconds[i]),
                Measurement.Of(indices.Select(r => seconds[i][r] / seconds[0][r])),
                Measurement.Of(seconds[i].Select(time => n / time)),
                Measurement.Of(seconds[i].Select(Rate)),
                Measurement.Of(indices.Select(r => Rate(seconds[i][r]) / reads[r]))))],
            Measurement.Of(reads),
            _prefill == 0 ? null : Measurement.Of(prompts.Select(time => _prefill / time)));
    }

    public void Dispose()
    {
        _sequence.Dispose();
        _prompt.Dispose();
        _cache.Dispose();
        _model.Dispose();
        _weights.Dispose();
    }

    /// <summary>Mean seconds of some forwards of a chain of nodes; nothing is committed.</summary>
    private double Verify(int nodes, int forwards, CancellationToken cancellationToken)
    {
        Chain(nodes);
        var began = Stopwatch.GetTimestamp();
        for (var i = 0; i < forwards; i++)
        {
            _forest.Clear();
            _forest.Add(_sequence, _tree, 0);
            _model.Forward(_forest, cancellationToken);
        }

        return Stopwatch.GetElapsedTime(began).TotalSeconds / forwards;
    }

    /// <summary>Seconds of a prompt, up to its last token's logits.</summary>
    private double Prefill(CancellationToken cancellationToken)
    {
        _prompt.Truncate(0);
        var began = Stopwatch.GetTimestamp();
        Append(_prompt, _prefill, cancellationToken);
        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private void Append(KvSequence sequence, int tokens, CancellationToken cancellationToken)
    {
        for (var at = 0; at < tokens; at += _tree.Count)
        {
            Chain(Math.Min(_chunk, tokens - at));
            _forest.Clear();
            _forest.Add(sequence, _tree, at + _tree.Count == tokens ? _tree.Count - 1 : _tree.Count);
            _model.Forward(_forest, cancellationToken);
            sequence.CommitChain(_tree.Count);
        }
    }

    private void Chain(int nodes)
    {
        _tree.Clear();
        for (var node = 0; node < nodes; node++)
        {
            _tree.Add(node - 1, (node * 7919 + 1) % _model.Config.VocabSize);
        }
    }
}
