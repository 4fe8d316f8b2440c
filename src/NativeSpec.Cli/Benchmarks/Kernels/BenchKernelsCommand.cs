using System.CommandLine;
using System.Text;
using NativeSpec.Backends.Cuda;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary><c>nativespec bench kernels</c>: each operation against the roof that memory and arithmetic put over it (Williams et al.,
/// Roofline, 2009).</summary>
internal sealed class BenchKernelsCommand : Command, IHasExamples
{
    private static readonly string[] Names = ["cpu", "native", "cuda", "ilgpu"];
    private readonly Terminal _terminal;
    private readonly ComputeFlags _compute;
    private readonly Option<string> _shape = new("--shape") { Description = "The model's shape, or a config.json (default 110m)", HelpName = $"{string.Join('|', BenchShapes.All.Keys)}|FILE", DefaultValueFactory = _ => "110m" };
    private readonly Option<string> _nodes = new("--nodes") { Description = "Numbers of nodes (default 1,8,64)", HelpName = "LIST", DefaultValueFactory = _ => "1,8,64" };
    private readonly Option<int> _context = new("--context") { Description = "Tokens before the nodes (default 128)", HelpName = "N", DefaultValueFactory = _ => 128 };
    private readonly Option<int> _repeats = new("--repeats") { Description = "Repeats of all measurements, of which the median counts (default 9)", HelpName = "N", DefaultValueFactory = _ => 9 };
    private readonly Option<string?> _backends = new("--backend")
    {
        Description = "Backends side by side: cpu are the managed kernels, native the C++ ones, cuda those of a CUDA device, ilgpu those of any device; one that is not here is said so. By default what an engine takes",
        HelpName = string.Join(',', Names),
    };

    private readonly Option<bool> _json = CommonOptions.Json();
    private readonly Option<bool> _csv = new("--csv") { Description = "Print comma-separated lines, one for each operation and cache, with the environment in each" };
    private readonly Option<string?> _svg = new("--svg") { Description = "Write the roofline as a picture to this file", HelpName = "FILE" };

    public BenchKernelsCommand(Terminal terminal)
        : base("kernels", "Each operation of a forward with random weights: time, GB/s, GFLOP/s, and the share of what memory and arithmetic allow")
    {
        _terminal = terminal;
        _compute = ComputeFlags.ForRandomWeights(terminal);
        Option[] options = [_shape, _nodes, _context, _repeats, _backends, .. _compute.AllButBackend, _json, _csv, _svg];
        Array.ForEach(options, Add);
        SetAction((parsed, cancellationToken) => Task.FromResult(Run(parsed, cancellationToken)));
    }

    public IReadOnlyList<string> Examples => ["nativespec bench kernels --shape tinyllama-1.1b --weights q8", "nativespec bench kernels --nodes 1,4,16 --backend cpu,native --svg roofline.svg", "nativespec bench kernels --backend cpu,native,cuda --csv"];

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (shape, context, repeats) = (parsed.GetValue(_shape)!, parsed.GetValue(_context), parsed.GetValue(_repeats));
        var nodes = CommonOptions.ParseIds("--nodes", parsed.GetValue(_nodes)!).Distinct().Order().ToArray();
        CommonOptions.RequireAtLeast("--nodes", nodes[0], 1);
        CommonOptions.RequireAtLeast("--context", context, 0);
        CommonOptions.RequireAtLeast("--repeats", repeats, 1);
        var config = BenchShapes.Find(shape);
        if (nodes[^1] > 1024 || (long)context + nodes[^1] > config.MaxPositionEmbeddings)
        {
            throw new UsageException($"--nodes goes to {nodes[^1]} after {context} tokens; expected at most 1024, and {config.MaxPositionEmbeddings} in all");
        }

        if (parsed.GetValue(_json) && parsed.GetValue(_csv))
        {
            throw new UsageException("--json and --csv: expected one of them");
        }

        var plan = new LabPlan(shape, config, context, nodes, repeats);
        using var picture = parsed.GetValue(_svg) is { } file ? new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write) : null; // before anything is measured: else a wrong path would lose it
        using var lab = new KernelLab(plan, Backends(parsed.GetValue(_backends)), _compute.ApplyAllButBackend(parsed, new EngineOptions()), (name, options) => _compute.On(name, parsed, options));
        lab.Measure(cancellationToken);
        var devices = lab.Backends.Where(backend => backend.Model.Backend is CudaBackend).ToDictionary(
            backend => backend, backend => new DeviceKernels(backend.Model, context, nodes, repeats, cancellationToken));
        if (picture is not null)
        {
            picture.SetLength(0);
            picture.Write(Encoding.UTF8.GetBytes(RooflinePicture.Draw(lab)));
        }

        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => LabReport.Write(lab, devices, json));
        }
        else if (parsed.GetValue(_csv))
        {
            _terminal.Out.Write(LabReport.Csv(lab));
        }
        else
        {
            LabReport.Print(lab, _terminal);
            foreach (var device in devices.Values)
            {
                device.Print(_terminal, shape);
            }
        }

        return CommandLine.Success;
    }

    private static string[]? Backends(string? list)
    {
        var names = list?.Split(',', StringSplitOptions.TrimEntries).Distinct().ToArray();
        return names is null || (names.Length > 0 && names.All(Names.Contains)) ? names
            : throw new UsageException($"--backend is '{list}'; expected some of {string.Join(", ", Names)}, with commas between them");
    }
}
