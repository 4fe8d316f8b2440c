using System.CommandLine;
using NativeSpec.Training.Runs;

namespace NativeSpec.Cli.Training;

/// <summary><c>nativespec train model</c>: a Llama from random weights.</summary>
internal sealed class TrainModelCommand : Command, IHasExamples
{
    public TrainModelCommand(Terminal terminal)
        : base("model", "Train a small Llama from random weights")
    {
        Option<string> tokenizer = new("--tokenizer") { Description = "The tokenizer.json, or a folder with it", HelpName = "FILE", Required = true };
        var shape = new ShapeFlags(new ModelShape());
        var flags = new TrainingFlags(terminal, new TrainingOptions());
        foreach (var option in flags.All.Prepend(tokenizer).Concat(shape.All))
        {
            Add(option);
        }

        SetAction((parsed, cancellationToken) =>
        {
            var (asked, options) = (shape.Read(parsed), flags.Read(parsed));
            return flags.RunAsync(parsed, progress => TrainingRun.TrainModel(
                flags.Corpus(parsed), parsed.GetValue(tokenizer)!, flags.Output(parsed), asked, options, progress, cancellationToken));
        });
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec train model --corpus corpus --tokenizer corpus/tokenizer.json --output models/mine --epochs 3",
        "nativespec train model --corpus corpus --tokenizer corpus/tokenizer.json --output models/mine --epochs 3 --resume",
    ];
}
