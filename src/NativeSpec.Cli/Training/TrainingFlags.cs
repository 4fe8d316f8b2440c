using System.CommandLine;
using System.Globalization;
using NativeSpec.Training.Runs;
using Spectre.Console;

namespace NativeSpec.Cli.Training;

/// <summary>What <c>train model</c>, <c>train draft</c> and <c>train medusa</c> have in common: options, progress and the report at the end.</summary>
internal sealed class TrainingFlags
{
    private static readonly TimeSpan LineEvery = TimeSpan.FromSeconds(30);

    private readonly Terminal _terminal;
    private readonly TrainingOptions _defaults;
    private readonly Option<string> _corpus = new("--corpus")
    {
        Description = "A folder with train.txt and perhaps heldout.txt, or a text file; <|endoftext|> on a line of its own ends a document",
        HelpName = "DIR|FILE",
        Required = true,
    };

    private readonly Option<string> _output = new("--output")
    {
        Description = "The folder to write to; its folder training keeps checkpoint, loss.csv and loss.svg",
        HelpName = "DIR",
        Required = true,
    };

    private readonly Option<long?> _steps = new("--steps") { Description = "Steps of the run, in place of --epochs", HelpName = "N" };
    private readonly Option<double?> _epochs;
    private readonly Option<int?> _context;
    private readonly Option<int?> _sequences;
    private readonly Option<double?> _rate;
    private readonly Option<long?> _warmup;
    private readonly Option<double?> _decay;
    private readonly Option<long?> _evaluateEvery;
    private readonly Option<int?> _patience = new("--patience") { Description = "End after so many held-out measurements in a row without a better one", HelpName = "N" };
    private readonly Option<long?> _checkpointEvery;
    private readonly Option<ulong?> _seed = new("--seed") { Description = "Decides first weights and order of the text (default 1)", HelpName = "N" };
    private readonly Option<bool> _resume = new("--resume") { Description = "Take up the run that stopped in the output folder" };
    private readonly Option<int?> _threads = CommonOptions.Threads();
    private readonly Option<bool> _json = CommonOptions.Json();

    /// <summary>Makes the options.</summary>
    /// <param name="terminal">Where progress goes.</param>
    /// <param name="defaults">What holds where an option is not given.</param>
    public TrainingFlags(Terminal terminal, TrainingOptions defaults)
    {
        (_terminal, _defaults) = (terminal, defaults);
        _epochs = With("--epochs", "How often the whole text is seen", defaults.Epochs);
        _context = With("--context", "Tokens of a training sequence, and the longest context of a model", defaults.Context);
        _sequences = With("--sequences", "Sequences of a batch", defaults.Sequences);
        _rate = With("--learning-rate", "The highest learning rate", defaults.LearningRate);
        _warmup = With("--warmup", "Steps in which the learning rate rises", defaults.Warmup);
        _decay = With("--weight-decay", "How strongly matrices are pulled to zero", defaults.WeightDecay);
        _evaluateEvery = With("--evaluate-every", "Steps between measurements of the held-out loss", defaults.EvaluateEvery);
        _checkpointEvery = With("--checkpoint-every", "Steps between checkpoints", defaults.CheckpointEvery);
    }

    /// <summary>The options, the text and the output first.</summary>
    public IEnumerable<Option> All =>
    [
        _corpus, _output, _steps, _epochs, _context, _sequences, _rate, _warmup, _decay, _evaluateEvery, _patience, _checkpointEvery, _seed, _resume, _threads, _json,
    ];

    /// <summary>The text.</summary>
    public string Corpus(ParseResult parsed) => parsed.GetValue(_corpus)!;

    /// <summary>The output folder.</summary>
    public string Output(ParseResult parsed) => parsed.GetValue(_output)!;

    /// <summary>What the command line asks for.</summary>
    public TrainingOptions Read(ParseResult parsed) => _defaults with
    {
        Steps = parsed.GetValue(_steps),
        Epochs = parsed.GetValue(_epochs) ?? _defaults.Epochs,
        Context = parsed.GetValue(_context) ?? _defaults.Context,
        Sequences = parsed.GetValue(_sequences) ?? _defaults.Sequences,
        LearningRate = parsed.GetValue(_rate) ?? _defaults.LearningRate,
        Warmup = parsed.GetValue(_warmup) ?? _defaults.Warmup,
        WeightDecay = parsed.GetValue(_decay) ?? _defaults.WeightDecay,
        EvaluateEvery = parsed.GetValue(_evaluateEvery) ?? _defaults.EvaluateEvery,
        Patience = parsed.GetValue(_patience),
        CheckpointEvery = parsed.GetValue(_checkpointEvery) ?? _defaults.CheckpointEvery,
        Seed = parsed.GetValue(_seed) ?? _defaults.Seed,
        Resume = parsed.GetValue(_resume),
        Threads = parsed.GetValue(_threads),
    };

    /// <summary>Runs the work with a bar on a terminal or a line now and then in a file, and prints what it came to.</summary>
    public async Task<int> RunAsync(ParseResult parsed, Func<IProgress<TrainingReport>, TrainingResult> train)
    {
        var latest = new Latest();
        var work = Task.Run(() => train(latest), CancellationToken.None);
        try
        {
            await (_terminal.IsErrorRedirected ? WriteLinesAsync(work, latest) : ShowBarAsync(work, latest)).ConfigureAwait(false);
            Print(parsed, await work.ConfigureAwait(false));
            return CommandLine.Success;
        }
        catch (OperationCanceledException)
        {
            _terminal.Error.WriteLine($"stopped at step {latest.Report?.Step ?? 0}; the same command with --resume goes on from there");
            throw;
        }
    }

    private static Option<T?> With<T>(string name, string description, T value)
        where T : struct, IFormattable
        => new(name) { Description = $"{description} (default {value.ToString(null, CultureInfo.InvariantCulture)})", HelpName = "N" };

    private static string Line(TrainingReport report) => string.Create(
        CultureInfo.InvariantCulture,
        $"step {report.Step}/{report.Steps}  loss {report.Loss:0.000}{(report.HeldOutLoss is { } heldOut ? $"  held out {heldOut:0.000}" : "")}  ")
        + string.Create(CultureInfo.InvariantCulture, $"{report.TokensPerSecond:0} tokens/s  {Speed(report.OperationsPerSecond, report.ShareOfPeak)}  ")
        + string.Create(CultureInfo.InvariantCulture, $"{report.Remaining:h\\:mm\\:ss} left");

    private static string Speed(double operations, double share)
        => string.Create(CultureInfo.InvariantCulture, $"{operations / 1e9:0.0} GFLOP/s, {share:0 %} of the matmul peak");

    private async Task WriteLinesAsync(Task work, Latest latest)
    {
        while (await Task.WhenAny(work, Task.Delay(LineEvery)).ConfigureAwait(false) != work)
        {
            if (latest.Report is { } report)
            {
                _terminal.Error.WriteLine(Line(report));
            }
        }
    }

    private async Task ShowBarAsync(Task work, Latest latest)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(_terminal.Error) });
        await console.Progress().AutoClear(true).Columns(new ProgressBarColumn(), new TaskDescriptionColumn()).StartAsync(async context =>
        {
            var bar = context.AddTask("reading the text", maxValue: 1);
            while (await Task.WhenAny(work, Task.Delay(250)).ConfigureAwait(false) != work)
            {
                if (latest.Report is { } report)
                {
                    bar.Description = Line(report);
                    bar.Value = (double)report.Step / report.Steps;
                }
            }
        }).ConfigureAwait(false);
    }

    private void Print(ParseResult parsed, TrainingResult result)
    {
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteString("output", Output(parsed));
                json.WriteNumber("parameters", result.Parameters);
                json.WriteNumber("steps", result.Steps);
                json.WriteBoolean("ended_early", result.EndedEarly);
                json.WriteMeasured("loss", result.Loss);
                json.WriteStartArray("held_out");
                foreach (var (name, loss, accuracy) in result.HeldOut)
                {
                    json.WriteStartObject();
                    json.WriteString("name", name);
                    json.WriteMeasured("loss", loss);
                    json.WriteMeasured("accuracy", accuracy);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteMeasured("gflops", result.OperationsPerSecond / 1e9);
                json.WriteMeasured("share_of_peak", result.ShareOfPeak);
            });
            return;
        }

        _terminal.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Output(parsed)}: {Tables.Count(result.Parameters)} numbers learnt in {result.Steps} steps{(result.EndedEarly ? ", ended early" : "")}; ")
            + string.Create(CultureInfo.InvariantCulture, $"training loss {result.Loss:0.000}"));
        if (result.HeldOut.Count > 0)
        {
            Tables.Print(_terminal, ["held out", "loss", "top-1 accuracy"], rightFrom: 1, result.HeldOut.Select(measured => new[]
            {
                measured.Name,
                measured.Loss.ToString("0.000", CultureInfo.InvariantCulture),
                measured.Accuracy.ToString("0.0 %", CultureInfo.InvariantCulture),
            }));
        }

        if (result.OperationsPerSecond > 0)
        {
            _terminal.Out.WriteLine(Speed(result.OperationsPerSecond, result.ShareOfPeak));
        }
    }

    /// <summary>The newest report; whoever shows it looks when it likes.</summary>
    private sealed class Latest : IProgress<TrainingReport>
    {
        private TrainingReport? _report;

        public TrainingReport? Report => Volatile.Read(ref _report);

        void IProgress<TrainingReport>.Report(TrainingReport value) => Volatile.Write(ref _report, value);
    }
}
