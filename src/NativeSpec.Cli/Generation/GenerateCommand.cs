using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Generation;

/// <summary><c>nativespec generate</c>: streams the continuation of a prompt, or prints it as one JSON object.</summary>
internal sealed class GenerateCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string?> _prompt = new("--prompt") { Description = "The text to continue (--prompt=TEXT if it begins with dashes)", HelpName = "TEXT" };
    private readonly Option<string?> _promptFile = new("--prompt-file") { Description = "A file with the text to continue; - is standard input", HelpName = "F" };
    private readonly Option<string?> _ids = new("--ids") { Description = "The token ids to continue, taken as they are", HelpName = "1,2,3" };
    private readonly Option<bool> _parseSpecial = new("--parse-special") { Description = "Read the names of special tokens in the prompt as the tokens themselves" };
    private readonly SamplingFlags _sampling = new();
    private readonly Option<int?> _logProbs = new("--logprobs") { Description = "With --json, log-probabilities of each token and of the N most likely ones", HelpName = "N" };
    private readonly Option<int?> _context = CommonOptions.Context("Most tokens of prompt and output together; by default the model's limit");
    private readonly ComputeFlags _compute;
    private readonly SpeculationFlags _speculation = new();
    private readonly Option<bool> _ignoreEos = new("--ignore-eos") { Description = "Go on after the end of the text" };
    private readonly Option<bool> _quiet = new("--quiet") { Description = "No summary after the text" };
    private readonly Option<bool> _json = CommonOptions.Json();

    public GenerateCommand(Terminal terminal)
        : base("generate", "Write the continuation of a prompt")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options =
        [
            _model, _prompt, _promptFile, _ids, _parseSpecial, .. _sampling.All, _logProbs, _context, .. _compute.All, _ignoreEos, _quiet, _json,
            .. _speculation.RequestOptions, .. _speculation.DrafterOptions,
        ];
        Array.ForEach(options, Add);
        Validators.Add(result =>
        {
            if (new Option[] { _prompt, _promptFile, _ids }.Count(option => result.GetResult(option) is not null) != 1)
            {
                result.AddError("give exactly one of --prompt, --prompt-file and --ids");
            }

            if (result.GetResult(_ids) is not null && result.GetResult(_parseSpecial) is not null)
            {
                result.AddError("--parse-special is about text, --ids gives the tokens themselves: give one of them");
            }

            if (result.GetResult(_logProbs) is not null && result.GetResult(_json) is null)
            {
                result.AddError("--logprobs are part of the JSON output: add --json");
            }
        });
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec generate --model models/tinyllama --prompt \"Once upon a time\" --max-tokens 100",
        "nativespec generate --model models/tinyllama --prompt-file story.txt --temperature 0.8 --top-p 0.95 --seed 42",
        "nativespec generate --model models/tinyllama --prompt-file essay.txt --draft-model models/tiny --trace rounds.jsonl",
        "echo \"def fib(n):\" | nativespec generate --model models/tinyllama --prompt-file - --stop \"\\n\\n\" --json",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var options = _sampling.Read(parsed, new GenerationOptions
        {
            TopLogProbs = parsed.GetValue(_logProbs),
            IgnoreEndOfText = parsed.GetValue(_ignoreEos),
            ParseSpecial = parsed.GetValue(_parseSpecial),
            Speculation = _speculation.Request(parsed),
        });
        var ids = parsed.GetValue(_ids) is { } list ? CommonOptions.ParseIds("--ids", list) : null;
        var text = parsed.GetValue(_prompt) ?? (parsed.GetValue(_promptFile) is { } file ? CommonOptions.ReadText(file, _terminal) : null);

        var clock = Stopwatch.StartNew();
        var path = parsed.GetValue(_model)!;
        var engineOptions = _compute.Apply(parsed, new EngineOptions { MaxSequences = 1, MaxContext = parsed.GetValue(_context) });
        using var engine = InferenceEngine.Load(path, _speculation.Apply(parsed, engineOptions));
        var load = clock.Elapsed;
        using var trace = _speculation.TraceFile(parsed) is { } traceFile ? new SpeculationTrace(File.Create(traceFile), engine.Tokenizer) : null;
        options = options with { Speculation = options.Speculation with { Trace = trace } };
        var pieces = ids is null ? engine.GenerateAsync(text!, options, cancellationToken) : engine.GenerateAsync(ids, options, cancellationToken);
        var json = parsed.GetValue(_json);
        GenerationResult? result = null;
        await foreach (var piece in pieces.ConfigureAwait(false))
        {
            result = piece.Result;
            if (!json)
            {
                _terminal.Out.Write(piece.Text);
                _terminal.Out.Flush();
            }
        }

        if (json)
        {
            JsonOutput.Print(_terminal.Out, writer => GenerationJson.Write(writer, CommonOptions.ModelName(path), engine, result!, load));
            return CommandLine.Success;
        }

        _terminal.Out.WriteLine();
        _terminal.Out.Flush();
        if (!parsed.GetValue(_quiet) && !_terminal.IsErrorRedirected)
        {
            _terminal.Error.WriteLine(Summary(result!, load));
            foreach (var line in SpeculationReport.Lines(result!.Speculation))
            {
                _terminal.Error.WriteLine(line);
            }
        }

        return CommandLine.Success;
    }

    private static string Summary(GenerationResult result, TimeSpan load)
    {
        var speed = new GenerationSpeed(result);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"[{result.Ids.Count} tokens, {speed.PredictedPerSecond:0.0} tokens/s; prompt {result.PromptTokens} tokens, {speed.PromptPerSecond:0.0} tokens/s; loaded in {load.TotalMilliseconds:0} ms]");
    }
}
