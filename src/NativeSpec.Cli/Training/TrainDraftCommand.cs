using System.CommandLine;
using NativeSpec.Training.Runs;

namespace NativeSpec.Cli.Training;

/// <summary><c>nativespec train draft</c>: a small model that learns to say what a larger one would.</summary>
internal sealed class TrainDraftCommand : Command, IHasExamples
{
    public TrainDraftCommand(Terminal terminal)
        : base("draft", "Distil a draft model from a target: from its text and from its probabilities")
    {
        Option<string> target = new("--target") { Description = "Folder of the model that the draft will draft for", HelpName = "DIR", Required = true };
        Option<float> divergence = new("--divergence")
        {
            Description = "Share of KL(target || draft) in the loss, 0 to 1; the rest is cross entropy with the text (default 0.8)",
            HelpName = "X",
            DefaultValueFactory = _ => 0.8f,
        };
        var shape = new ShapeFlags(ModelShape.Draft);
        var flags = new TrainingFlags(terminal, new TrainingOptions { LearningRate = 4e-3 });
        foreach (var option in flags.All.Prepend(target).Concat(shape.All).Append(divergence))
        {
            Add(option);
        }

        SetAction((parsed, cancellationToken) =>
        {
            var (asked, options) = (shape.Read(parsed), flags.Read(parsed));
            return flags.RunAsync(parsed, progress => TrainingRun.TrainDraft(
                flags.Corpus(parsed), parsed.GetValue(target)!, flags.Output(parsed), asked, parsed.GetValue(divergence), options, progress, cancellationToken));
        });
    }

    public IReadOnlyList<string> Examples => ["nativespec train draft --target models/mine --corpus corpus --output models/mine/draft"];
}
