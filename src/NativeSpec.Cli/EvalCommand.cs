using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeSpec.Engine;
using Spectre.Console;

namespace NativeSpec.Cli;

/// <summary><c>nativespec eval</c>: how well a model predicts a text.</summary>
internal sealed class EvalCommand : Command, IHasExamples
{
    private static readonly TimeSpan QuietTime = TimeSpan.FromSeconds(2);

    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string> _textFile = new("--text-file") { Description = "The text, as UTF-8; - is standard input", HelpName = "F", Required = true };
    private readonly Option<int?> _context = CommonOptions.Context("Tokens of a window; by default the model's limit, at most 2048");
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _json = CommonOptions.Json();

    public EvalCommand(Terminal terminal)
        : base("eval", "Measure how well a model predicts a text: nats per token, bits per byte, perplexity")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options = [_model, _textFile, _context, .. _compute.All, _json];
        Array.ForEach(options, Add);
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec eval --model models/tinyllama --text-file story.txt",
        "nativespec eval --model models/tinyllama --text-file - --context 512 --json < story.txt",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var path = parsed.GetValue(_model)!;
        var text = CommonOptions.ReadText(parsed.GetValue(_textFile)!, _terminal);
        using var evaluation = TextEvaluation.Load(path, _compute.Apply(parsed, new EngineOptions { MaxContext = parsed.GetValue(_context) }));
        var progress = new Latest();
        var clock = Stopwatch.StartNew();
        var work = Task.Run(() => evaluation.Score(text, progress, cancellationToken), CancellationToken.None);
        if (!_terminal.IsErrorRedirected && await Task.WhenAny(work, Task.Delay(QuietTime, cancellationToken)).ConfigureAwait(false) != work)
        {
            await ShowProgressAsync(work, progress).ConfigureAwait(false);
        }

        var score = await work.ConfigureAwait(false);
        var seconds = clock.Elapsed.TotalSeconds;
        if (!parsed.GetValue(_json))
        {
            _terminal.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{score.Tokens} tokens, {score.Bytes} bytes: {score.NatsPerToken:0.0000} nats per token, {score.BitsPerByte:0.0000} bits per byte, perplexity {score.Perplexity:0.###} (context {evaluation.Context}, {score.Tokens / seconds:0.0} tokens/s)"));
            return CommandLine.Success;
        }

        JsonOutput.Print(_terminal.Out, json =>
        {
            json.WriteString("model", CommonOptions.ModelName(path));
            json.WriteString("backend", evaluation.Backend);
            json.WriteNumber("context", evaluation.Context);
            json.WriteNumber("tokens", score.Tokens);
            json.WriteNumber("bytes", score.Bytes);
            json.WriteNumber("nats", score.Nats);
            json.WriteNumber("nats_per_token", score.NatsPerToken);
            json.WriteNumber("bits_per_byte", score.BitsPerByte);
            json.WriteFloat("perplexity", (float)score.Perplexity);
            json.WriteMeasured("seconds", seconds);
            json.WriteMeasured("tokens_per_second", score.Tokens / seconds);
        });
        return CommandLine.Success;
    }

    /// <summary>Shows a bar on standard error until the work is done or has failed.</summary>
    private async Task ShowProgressAsync(Task work, Latest progress)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(_terminal.Error) });
        await console.Progress().AutoClear(true).Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn()).StartAsync(async context =>
        {
            var bar = context.AddTask("eval", maxValue: 1);
            while (await Task.WhenAny(work, Task.Delay(100)).ConfigureAwait(false) != work)
            {
                bar.Value = progress.Share;
            }
        }).ConfigureAwait(false);
    }

    /// <summary>The newest report; the bar looks at it when it likes.</summary>
    private sealed class Latest : IProgress<double>
    {
        private double _share;

        public double Share => Volatile.Read(ref _share);

        public void Report(double value) => Volatile.Write(ref _share, value);
    }
}
