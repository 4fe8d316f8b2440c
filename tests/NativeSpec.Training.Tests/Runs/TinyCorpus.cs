using NativeSpec.Training.Corpus;
using NativeSpec.Training.Tokenizers;

namespace NativeSpec.Training.Tests.Runs;

/// <summary>A folder with a small corpus whose sentences say much about their next words, and a tokenizer of 300 tokens made from it.</summary>
internal sealed class TinyCorpus : IDisposable
{
    private static readonly string[] Verbs = ["Gets", "Sets", "Removes", "Returns", "Computes"];
    private static readonly string[] Things = ["the number of elements", "the name of the file", "the first entry", "the length of the text", "the current value"];
    private static readonly string[] Places = ["in the list", "of this instance", "in the given range", "at the end of the stream"];

    private readonly TemporaryFolder _folder = new();

    public TinyCorpus()
    {
        string[] train = [.. Documents(1, 600)];
        CorpusFile.Write(_folder.File("train.txt"), train);
        CorpusFile.Write(_folder.File("heldout.txt"), Documents(2, 60));
        BpeTrainer.Train(train, 300).Write(Tokenizer);
    }

    public string Path => _folder.Path;

    public string Train => _folder.File("train.txt");

    public string Tokenizer => _folder.File("tokenizer.json");

    public string Output(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();

    private static IEnumerable<string> Documents(int seed, int count)
    {
        var random = new Random(seed);
        string Any(string[] words) => words[random.Next(words.Length)];
        return Enumerable.Range(0, count).Select(_ => $"/// <summary>{Any(Verbs)} {Any(Things)} {Any(Places)}.</summary>\n");
    }
}
