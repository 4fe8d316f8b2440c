using System.CommandLine;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Inspection;

/// <summary><c>nativespec inspect</c>: what a checkpoint is, without reading its weights; or what the model says after some tokens.</summary>
internal sealed class InspectCommand : Command, IHasExamples
{
    private const int DefaultTop = 5;
    private const int DefaultLogits = 8;

    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<int?> _context = CommonOptions.Context("The context length whose memory need is shown; by default the model's limit");
    private readonly Option<string?> _ids = new("--ids") { Description = "Compute the model after these token ids", HelpName = "1,2,3" };
    private readonly Option<int?> _top = new("--top") { Description = $"With --ids, the N most likely next tokens (default {DefaultTop})", HelpName = "N" };
    private readonly Option<int?> _logits = new("--logits") { Description = $"With --ids, the first N logits (default {DefaultLogits})", HelpName = "N" };
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public InspectCommand(Terminal terminal)
        : base("inspect", "Show a checkpoint's configuration, tensors and memory need, or its logits")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options = [_model, _context, _ids, _top, _logits, .. _compute.All, _json];
        Array.ForEach(options, Add);
        Validators.Add(result =>
        {
            var withIds = result.GetResult(_ids) is not null;
            foreach (var option in withIds ? new Option[] { _context } : [_top, _logits, .. _compute.All.Where(option => option != _compute.Kv)])
            {
                if (result.GetResult(option) is not null)
                {
                    result.AddError(withIds ? $"{option.Name} does not go with --ids" : $"{option.Name} needs --ids");
                }
            }
        });
        SetAction((parsed, cancellationToken) => Task.FromResult(Run(parsed, cancellationToken)));
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec inspect --model models/tinyllama --context 2048",
        "nativespec inspect --model models/tinyllama --ids 1,9038,2501 --top 5 --logits 8 --json",
    ];

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (path, json) = (parsed.GetValue(_model)!, parsed.GetValue(_json));
        var (top, logits) = (parsed.GetValue(_top) ?? DefaultTop, parsed.GetValue(_logits) ?? DefaultLogits);
        CommonOptions.RequireAtLeast("--top", top, 0);
        CommonOptions.RequireAtLeast("--logits", logits, 0);
        CommonOptions.RequireAtLeast("--context", parsed.GetValue(_context), 2);
        if (parsed.GetValue(_ids) is { } list)
        {
            var next = NextToken.After(path, CommonOptions.ParseIds("--ids", list), _compute.Apply(parsed, new EngineOptions { MaxContext = parsed.GetValue(_context) }), cancellationToken);
            next.Print(_terminal, top, logits, json);
            return CommandLine.Success;
        }

        using var checkpoint = LlamaCheckpoint.Open(path);
        var options = new EngineOptions { MaxSequences = 1, MaxContext = parsed.GetValue(_context) ?? checkpoint.Config.MaxPositionEmbeddings, KvFormat = _compute.KvOf(parsed) };
        var report = new CheckpointReport(CommonOptions.ModelName(path), checkpoint, Describe(path), options, MemoryNeed.For(checkpoint, options), DeviceNeed.For(checkpoint, options), EngineBackend.Kernels());
        if (json)
        {
            JsonOutput.Print(_terminal.Out, report.Write);
        }
        else
        {
            report.Print(_terminal);
        }

        return CommandLine.Success;
    }

    /// <summary>The tokenizer, or why there is none: weights can be looked at without it.</summary>
    private static (string? Description, string? Problem) Describe(string path)
    {
        try
        {
            return (Tokenizer.Load(Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!).Description, null);
        }
        catch (ModelFormatException error)
        {
            return (null, error.Message);
        }
    }
}
