using System.CommandLine;
using NativeSpec.Training.Runs;

namespace NativeSpec.Cli.Training;

/// <summary><c>nativespec train medusa</c>: Medusa heads for a model.</summary>
internal sealed class TrainMedusaCommand : Command, IHasExamples
{
    public TrainMedusaCommand(Terminal terminal)
        : base("medusa", "Train Medusa heads on a model, which stays as it is (Medusa-1) or learns along (Medusa-2)")
    {
        var how = new MedusaTraining();
        Option<string> target = new("--target") { Description = "Folder of the model", HelpName = "DIR", Required = true };
        Option<int> heads = new("--medusa-heads") { Description = $"Heads (default {how.Heads})", HelpName = "N", DefaultValueFactory = _ => how.Heads };
        Option<long?> self = new("--self-generated")
        {
            Description = "Learn from so many tokens that the model writes itself, from the beginnings of the corpus's documents",
            HelpName = "N",
        };
        Option<bool> learnModel = new("--learn-model") { Description = "Medusa-2: the model learns too, and is written with the heads in its file" };
        Option<double> rateFactor = new("--model-rate")
        {
            Description = "Medusa-2: the model's learning rate as a share of the heads' (default 0.25)",
            HelpName = "X",
            DefaultValueFactory = _ => how.ModelRateFactor,
        };
        Option<long> headWarmup = new("--head-warmup")
        {
            Description = $"Medusa-2: steps in which the heads alone learn (default {how.HeadWarmup})",
            HelpName = "N",
            DefaultValueFactory = _ => how.HeadWarmup,
        };
        var flags = new TrainingFlags(terminal, new TrainingOptions { LearningRate = 1e-3, WeightDecay = 0, Epochs = 1 });
        Option[] own = [target, heads, self, learnModel, rateFactor, headWarmup];
        foreach (var option in own.Concat(flags.All))
        {
            Add(option);
        }

        SetAction((parsed, cancellationToken) =>
        {
            var options = flags.Read(parsed);
            var asked = new MedusaTraining
            {
                Heads = parsed.GetValue(heads),
                SelfGenerated = parsed.GetValue(self),
                LearnModel = parsed.GetValue(learnModel),
                ModelRateFactor = parsed.GetValue(rateFactor),
                HeadWarmup = parsed.GetValue(headWarmup),
            };
            return flags.RunAsync(parsed, progress => TrainingRun.TrainMedusa(
                flags.Corpus(parsed), parsed.GetValue(target)!, flags.Output(parsed), asked, options, progress, cancellationToken));
        });
    }

    public IReadOnlyList<string> Examples =>
    [
        "nativespec train medusa --target models/mine --corpus corpus --output models/mine/medusa",
        "nativespec train medusa --target models/mine --corpus corpus --output models/mine-2 --learn-model",
    ];
}
