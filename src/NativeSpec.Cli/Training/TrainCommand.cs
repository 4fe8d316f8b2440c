using System.CommandLine;

namespace NativeSpec.Cli.Training;

/// <summary><c>nativespec train</c>: makes models, and what they are made from.</summary>
internal sealed class TrainCommand : Command
{
    public TrainCommand(Terminal terminal)
        : base("train", "Make a corpus, a tokenizer, a small model, a draft for it and Medusa heads")
    {
        Add(new TrainCorpusCommand(terminal));
        Add(new TrainTokenizerCommand(terminal));
        Add(new TrainModelCommand(terminal));
        Add(new TrainDraftCommand(terminal));
        Add(new TrainMedusaCommand(terminal));
    }
}
