using System.CommandLine;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Generation;

/// <summary><c>nativespec demo</c>: the model in the box completes a documentation comment twice, plainly and with merged speculation.</summary>
internal sealed class DemoCommand : Command, IHasExamples
{
    /// <summary>A member such as a user might have; none of .NET.</summary>
    public const string DefaultPrompt = "namespace MyCompany.Collections;\nRingBuffer<T>.CopyTo(T[] array, int index)\n";

    private readonly Terminal _terminal;
    private readonly Option<string?> _model = new("--model") { Description = $"Folder of the checkpoint, its draft in draft/ and its Medusa heads in medusa/ if it has them (default {DemoModel.Place})", HelpName = "DIR" };
    private readonly Option<string?> _prompt = new("--prompt") { Description = "The text to complete; \\n is a line break (default: the signature of a method)", HelpName = "TEXT" };
    private readonly Option<int> _maxTokens = new("--max-tokens") { Description = "Most tokens to write (default 300)", HelpName = "N", DefaultValueFactory = _ => 300 };
    private readonly Option<int> _repeats = new("--repeats") { Description = "How often both ways are timed, in turns (default 7)", HelpName = "N", DefaultValueFactory = _ => 7 };
    private readonly Option<int> _maxNodes = new("--max-nodes") { Description = "Most candidates computed in a round, 1 to 63 (default 63)", HelpName = "N", DefaultValueFactory = _ => 63 };
    private readonly Option<string> _speculate = new("--speculate") { Description = "auto (default) uses every drafter that pays, or a list of drafters", HelpName = "auto|LIST", DefaultValueFactory = _ => "auto" };
    private readonly Option<bool> _unplanned = new("--unplanned") { Description = "Compute every candidate up to --max-nodes, also where that is expected to cost more than it brings" };
    private readonly Option<int?> _threads = CommonOptions.Threads();
    private readonly Option<bool> _json = CommonOptions.Json();

    public DemoCommand(Terminal terminal)
        : base("demo", "Complete one documentation comment by plain decoding and by merged speculation, and compare")
    {
        _terminal = terminal;
        Option[] options = [_model, _prompt, _maxTokens, _repeats, _maxNodes, _speculate, _unplanned, _threads, _json];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec demo",
        "nativespec demo --speculate draft,medusa,lookup,recycle,lookahead --unplanned",
        "nativespec demo --prompt \"namespace MyCompany.Caching;\\nLruCache<TKey, TValue>.TryGetValue(TKey key, out TValue value)\\n\"",
        "nativespec demo --model models/stories260k --prompt \"Once upon a time\" --json",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        CommonOptions.RequireAtLeast("--max-tokens", parsed.GetValue(_maxTokens), 2);
        CommonOptions.RequireAtLeast("--repeats", parsed.GetValue(_repeats), 1);
        if (parsed.GetValue(_maxNodes) is < 1 or > 63)
        {
            throw new UsageException($"--max-nodes is {parsed.GetValue(_maxNodes)}; expected 1 to 63");
        }

        var model = DemoModel.Find(parsed.GetValue(_model));
        var prompt = (parsed.GetValue(_prompt) ?? DefaultPrompt).Replace("\\n", "\n", StringComparison.Ordinal);
        var request = new GenerationOptions { MaxTokens = parsed.GetValue(_maxTokens), Temperature = 0, Speculation = Speculation(parsed, model) };
        var run = await DemoRun.OfAsync(
            model, new EngineOptions { Threads = parsed.GetValue(_threads), ProfileDirectory = EngineOptions.UserProfileDirectory }, prompt, request, parsed.GetValue(_repeats), cancellationToken).ConfigureAwait(false);
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => DemoReport.Write(json, model, prompt, run));
        }
        else
        {
            DemoReport.Print(_terminal, model, prompt, run);
        }

        return run.IsSameText ? CommandLine.Success : throw new InvalidOperationException("speculation wrote another text than plain decoding: this is a fault of NativeSpec, please report it");
    }

    private SpeculationOptions Speculation(ParseResult parsed, DemoModel model)
    {
        var method = parsed.GetValue(_speculate)!;
        return new()
        {
            Drafters = method == "auto" ? null : SpeculationFlags.Names(method, model.Draft is null ? 0 : 1),
            Unplanned = parsed.GetValue(_unplanned),
            MaxNodes = parsed.GetValue(_maxNodes),
        };
    }
}
