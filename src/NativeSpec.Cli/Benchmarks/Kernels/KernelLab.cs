using NativeSpec.Backends.Cuda;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>What is measured.</summary>
/// <param name="ShapeName">The shape, as the command line names it.</param>
/// <param name="Shape">The shape.</param>
/// <param name="Context">Tokens before the nodes.</param>
/// <param name="Nodes">Numbers of nodes, in order.</param>
/// <param name="Repeats">Repeats of everything, of which the median counts.</param>
internal sealed record LabPlan(string ShapeName, LlamaConfig Shape, int Context, int[] Nodes, int Repeats);

/// <summary>The same operations on several backends side by side: every repeat goes through all of them, so that what disturbs one disturbs the others as well.</summary>
internal sealed class KernelLab : IDisposable
{
    private const long EvictedBytes = 1L << 29;

    private readonly List<LabBackend> _backends = [];
    private readonly List<(string Name, string Reason)> _missing = [];
    private readonly ReadBandwidth _everything;

    /// <summary>Makes the backends that are there.</summary>
    /// <param name="plan">What is measured.</param>
    /// <param name="names">Their names; null where the engine chooses the one.</param>
    /// <param name="options">Threads, level and weights.</param>
    /// <param name="optionsOf">The options with the backend of a name, and its device.</param>
    /// <exception cref="InvalidOperationException">None of them is there.</exception>
    /// <exception cref="ArgumentException">The one that is asked for cannot do what the options say.</exception>
    public KernelLab(LabPlan plan, string[]? names, EngineOptions options, Func<string?, EngineOptions, EngineOptions> optionsOf)
    {
        Plan = plan;
        Environment = LabEnvironment.Of(options.Threads);
        _everything = new ReadBandwidth(Environment.Threads, EvictedBytes);
        try
        {
            foreach (var name in names ?? [null!])
            {
                try
                {
                    Add(name, optionsOf(name, options));
                }
                catch (Exception e) when (names?.Length > 1 && e is InvalidOperationException or ArgumentException or UsageException)
                {
                    _missing.Add((name, e.Message));
                }
            }

            if (_backends.Count == 0)
            {
                throw new InvalidOperationException($"none of the backends is here: {string.Join("; ", _missing.Select(one => $"{one.Name}: {one.Reason}"))}");
            }

            Environment = Environment.With(_backends.Where(backend => backend.HasOwnMemory).Select(backend => backend.Model.Backend));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What is measured.</summary>
    public LabPlan Plan { get; }

    /// <summary>Where.</summary>
    public LabEnvironment Environment { get; private set; }

    /// <summary>The backends that are there.</summary>
    public IReadOnlyList<LabBackend> Backends => _backends;

    /// <summary>Those that were asked for and are not, and why.</summary>
    public IReadOnlyList<(string Name, string Reason)> Missing => _missing;

    /// <summary>What is read to empty the caches before a cold pass.</summary>
    public long ReadToEvict => _everything.Bytes;

    /// <summary>Measures everything.</summary>
    public void Measure(CancellationToken cancellationToken)
    {
        for (var repeat = -1; repeat < Plan.Repeats; repeat++)
        {
            foreach (var backend in _backends)
            {
                backend.Repeat(backend.HasOwnMemory ? () => backend.Model.MeasureReading() : () => _everything.Measure(), counts: repeat >= 0, cancellationToken);
            }
        }
    }

    public void Dispose()
    {
        _backends.ForEach(backend => backend.Dispose());
        _everything.Dispose();
    }

    private void Add(string? name, EngineOptions options)
    {
        var model = new BenchModel(Plan.Shape, name is "native" or null ? options : options with { NativeLevel = null });
        try
        {
            if (model.Backend is CudaBackend && Plan.Nodes[^1] > CudaLayout.RoundRows)
            {
                throw new UsageException($"--nodes goes to {Plan.Nodes[^1]}; on a CUDA device expected at most {CudaLayout.RoundRows}, which one graph computes");
            }

            _backends.Add(new LabBackend(name ?? model.Backend.Name, model, Plan.Context, Plan.Nodes, Environment.Threads));
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
