using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeSpec.Tokenization;
using NativeSpec.Training.Corpus;
using NativeSpec.Training.Tokenizers;

namespace NativeSpec.Cli.Training;

/// <summary><c>nativespec train tokenizer</c>: a byte-level BPE vocabulary from a corpus.</summary>
internal sealed class TrainTokenizerCommand : Command, IHasExamples
{
    private readonly Terminal _terminal;
    private readonly Option<string> _corpus = new("--corpus") { Description = $"A folder with {TrainCorpusCommand.TrainFile}, or a text file", HelpName = "DIR|FILE", Required = true };
    private readonly Option<int> _vocabulary = new("--vocabulary") { Description = "How many tokens there shall be, the 256 bytes and <|endoftext|> included (default 4096)", HelpName = "N", DefaultValueFactory = _ => 4096 };
    private readonly Option<string> _output = new("--output") { Description = "The file to write; tokenizer_config.json is put beside it", HelpName = "FILE", Required = true };
    private readonly Option<bool> _json = CommonOptions.Json();

    public TrainTokenizerCommand(Terminal terminal)
        : base("tokenizer", "Learn a byte-level BPE vocabulary and write it as tokenizer.json")
    {
        _terminal = terminal;
        Option[] options = [_corpus, _vocabulary, _output, _json];
        Array.ForEach(options, Add);
        SetAction(Run);
    }

    public IReadOnlyList<string> Examples => ["nativespec train tokenizer --corpus corpus --vocabulary 4096 --output corpus/tokenizer.json"];

    private Task<int> Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var size = parsed.GetValue(_vocabulary);
        if (size is < BpeTrainer.MinVocabulary or > BpeTrainer.MaxVocabulary)
        {
            throw new UsageException($"--vocabulary is {size}; expected {BpeTrainer.MinVocabulary} to {BpeTrainer.MaxVocabulary}");
        }

        var corpus = parsed.GetValue(_corpus)!;
        var train = Directory.Exists(corpus) ? Path.Combine(corpus, TrainCorpusCommand.TrainFile) : corpus;
        var documents = CorpusFile.ReadDocuments(train);
        var clock = Stopwatch.StartNew();
        var vocabulary = BpeTrainer.Train(documents, size, cancellationToken);
        var seconds = clock.Elapsed.TotalSeconds;
        var output = parsed.GetValue(_output)!;
        vocabulary.Write(output);

        // What is counted here is what the file's reader makes of it.
        var tokenizer = Tokenizer.Load(output);
        List<CorpusCounts> parts = [Counts("train", train, documents)];
        if (Path.Combine(corpus, TrainCorpusCommand.HeldOutFile) is var heldOut && File.Exists(heldOut))
        {
            parts.Add(Counts("held_out", heldOut, CorpusFile.ReadDocuments(heldOut)));
        }

        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteString("file", output);
                json.WriteNumber("vocabulary", vocabulary.Count);
                json.WriteNumber("merges", vocabulary.Merges);
                json.WriteMeasured("seconds", seconds);
                parts.ForEach(part => part.Write(json));
            });
        }
        else
        {
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{output}: {vocabulary.Count} tokens, {vocabulary.Merges} merges, learnt in {seconds:0.0} s"));
            CorpusCounts.Print(_terminal, parts);
        }

        return Task.FromResult(CommandLine.Success);

        CorpusCounts Counts(string name, string path, IReadOnlyList<string> documents) =>
            new(name, path, documents.Count, documents.Sum(document => (long)System.Text.Encoding.UTF8.GetByteCount(document)), CorpusCounts.Tokens(tokenizer, documents));
    }
}
