using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Tensors;
using Spectre.Console;

namespace NativeSpec.Cli.Inspection;

/// <summary><c>nativespec eval</c>: how well a model predicts a text.</summary>
internal sealed class EvalCommand : Command, IHasExamples
{
    private static readonly TimeSpan QuietTime = TimeSpan.FromSeconds(2);

    private readonly Terminal _terminal;
    private readonly Option<string> _model = CommonOptions.Model();
    private readonly Option<string> _textFile = new("--text-file") { Description = "The text, as UTF-8; - is standard input", HelpName = "F", Required = true };
    private readonly Option<int?> _context = CommonOptions.Context("Tokens of a window; by default the model's limit, at most 2048");
    private readonly ComputeFlags _compute;
    private readonly Option<bool> _compare = new("--compare") { Description = "Measure with the weights as stored too, and say how much worse packed ones predict" };
    private readonly Option<bool> _json = CommonOptions.Json();

    public EvalCommand(Terminal terminal)
        : base("eval", "Measure how well a model predicts a text: nats per token, bits per byte, perplexity")
    {
        _terminal = terminal;
        _compute = new ComputeFlags(terminal);
        Option[] options = [_model, _textFile, _context, .. _compute.All, _compare, _json];
        Array.ForEach(options, Add);
        Validators.Add(result =>
        {
            if (result.GetValue(_compare) && !_compute.Packs(result))
            {
                result.AddError("--compare needs --weights q8 or q4");
            }
        });
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec eval --model models/tinyllama --text-file story.txt",
        "nativespec eval --model models/tinyllama --text-file - --context 512 --json < story.txt",
        "nativespec eval --model models/tinyllama --text-file story.txt --weights q4 --compare",
    ];

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var path = parsed.GetValue(_model)!;
        var text = CommonOptions.ReadText(parsed.GetValue(_textFile)!, _terminal);
        var options = _compute.Apply(parsed, new EngineOptions { MaxContext = parsed.GetValue(_context) });
        var measured = await MeasureAsync(path, text, options, cancellationToken).ConfigureAwait(false);
        var stored = parsed.GetValue(_compare)
            ? await MeasureAsync(path, text, options with { Weights = WeightFormat.AsStored }, cancellationToken).ConfigureAwait(false)
            : null;
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json => Write(json, CommonOptions.ModelName(path), measured, stored));
        }
        else
        {
            Print(measured, stored);
        }

        return CommandLine.Success;
    }

    private async Task<Evaluated> MeasureAsync(string path, string text, EngineOptions options, CancellationToken cancellationToken)
    {
        using var evaluation = TextEvaluation.Load(path, options);
        var progress = new Latest();
        var clock = Stopwatch.StartNew();
        var work = Task.Run(() => evaluation.Score(text, progress, cancellationToken), CancellationToken.None);
        if (!_terminal.IsErrorRedirected && await Task.WhenAny(work, Task.Delay(QuietTime, cancellationToken)).ConfigureAwait(false) != work)
        {
            await ShowProgressAsync(work, progress).ConfigureAwait(false);
        }

        return new Evaluated(await work.ConfigureAwait(false), evaluation.Backend, evaluation.Context, clock.Elapsed.TotalSeconds);
    }

    private void Print(Evaluated measured, Evaluated? stored)
    {
        var score = measured.Score;
        _terminal.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{score.Tokens} tokens, {score.Bytes} bytes: {score.NatsPerToken:0.0000} nats per token, {score.BitsPerByte:0.0000} bits per byte, perplexity {score.Perplexity:0.###} (context {measured.Context}, {score.Tokens / measured.Seconds:0.0} tokens/s)"));
        if (stored is not null)
        {
            _terminal.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"weights as stored: {stored.Score.NatsPerToken:0.0000} nats per token; packed ones need {100 * measured.Over(stored):+0.00;-0.00} %"));
        }
    }

    private static void Write(Utf8JsonWriter json, string model, Evaluated measured, Evaluated? stored)
    {
        var score = measured.Score;
        json.WriteString("model", model);
        json.WriteString("backend", measured.Backend);
        json.WriteNumber("context", measured.Context);
        json.WriteNumber("tokens", score.Tokens);
        json.WriteNumber("bytes", score.Bytes);
        json.WriteNumber("nats", score.Nats);
        json.WriteNumber("nats_per_token", score.NatsPerToken);
        json.WriteNumber("bits_per_byte", score.BitsPerByte);
        json.WriteFloat("perplexity", (float)score.Perplexity);
        if (stored is not null)
        {
            json.WriteNumber("stored_nats_per_token", stored.Score.NatsPerToken);
            json.WriteNumber("over_stored", measured.Over(stored));
        }

        json.WriteMeasured("seconds", measured.Seconds);
        json.WriteMeasured("tokens_per_second", score.Tokens / measured.Seconds);
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

    /// <summary>What one way to hold the weights gave.</summary>
    private sealed record Evaluated(TextScore Score, string Backend, int Context, double Seconds)
    {
        /// <summary>The share by which this needs more nats.</summary>
        public double Over(Evaluated other) => (Score.Nats / other.Score.Nats) - 1;
    }

    /// <summary>The newest report; the bar looks at it when it likes.</summary>
    private sealed class Latest : IProgress<double>
    {
        private double _share;

        public double Share => Volatile.Read(ref _share);

        public void Report(double value) => Volatile.Write(ref _share, value);
    }
}
