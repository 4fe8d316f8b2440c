using System.CommandLine;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Chatting;

/// <summary><c>nativespec chat</c>: a conversation in the terminal.</summary>
internal sealed class ChatCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string?> _system = new("--system") { Description = "The system's turn, in front of all others", HelpName = "TEXT" };
    private readonly Option<string?> _template = CommonOptions.ChatTemplate();
    private readonly Option<bool> _colors = new("--colors") { Description = "Show by colour which drafter a token came from" };
    private readonly Option<int?> _context = CommonOptions.Context("Most tokens of the conversation; by default the model's limit");
    private readonly SamplingFlags _sampling = new();
    private readonly ComputeFlags _compute;
    private readonly SpeculationFlags _speculation = new();

    public ChatCommand(Terminal terminal)
        : base("chat", "Talk with a model in the terminal")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options =
        [
            _model, _system, _template, .. _sampling.All, _context, _colors, .. _compute.All, .. _speculation.RequestOptions.Where(option => option.Name != "--trace"),
            .. _speculation.DrafterOptions,
        ];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec chat --model models/qwen3-0.6b --system \"Answer in one sentence.\"",
        "nativespec chat --model models/llama3-8b --draft-model models/llama3-1b --colors",
        "nativespec chat --model models/doc-comments --chat-template plain --max-tokens 100",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var options = _sampling.Read(parsed, new GenerationOptions { Speculation = _speculation.Request(parsed) });
        var engineOptions = _compute.Apply(parsed, new EngineOptions { MaxSequences = 1, MaxContext = parsed.GetValue(_context), ChatTemplate = CommonOptions.ReadChatTemplate(parsed.GetValue(_template), _terminal) });
        using var engine = await InferenceEngine.LoadAsync(parsed.GetValue(_model)!, _speculation.Apply(parsed, engineOptions), cancellationToken: cancellationToken).ConfigureAwait(false);
        var settings = new ChatSettings(options, parsed.GetValue((Option<string>)_speculation.Method)!, _speculation.DraftModels(parsed).Length, engine.Drafters)
        {
            System = parsed.GetValue(_system),
            Colors = parsed.GetValue(_colors),
        };
        _ = engine.ChatTemplates.Render([new("user", "Is there a template?")], cancellationToken: cancellationToken); // says now, not after the first message, that there is none
        using var lines = new ChatLines(_terminal);
        if (lines.IsInteractive)
        {
            _terminal.Out.WriteLine($"{engine.Name} on {engine.Backend}. Write a message; /help shows what else there is.");
            _terminal.Out.Flush();
        }

        var isFlawless = await new ChatSession(_terminal, engine, settings).RunAsync(lines, cancellationToken).ConfigureAwait(false);
        return isFlawless || lines.IsInteractive ? CommandLine.Success : CommandLine.Failure; // a script is told; a person has seen it
    }
}
