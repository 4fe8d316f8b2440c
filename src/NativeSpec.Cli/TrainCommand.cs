using System.CommandLine;

namespace NativeSpec.Cli;

/// <summary><c>nativespec train</c>: makes models, and what they are made from.</summary>
internal sealed class TrainCommand : Command
{
    public TrainCommand(Terminal terminal)
        : base("train", "Make a corpus and a tokenizer")
    {
        Add(new TrainCorpusCommand(terminal));
        Add(new TrainTokenizerCommand(terminal));
    }
}
