using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using NativeSpec.Training.Corpus;

namespace NativeSpec.Cli.Training;

/// <summary><c>nativespec train corpus</c>: C# documentation comments from the SDK's reference packs.</summary>
internal sealed class TrainCorpusCommand : Command, IHasExamples
{
    /// <summary>The text to train with.</summary>
    public const string TrainFile = "train.txt";

    /// <summary>The text of the namespaces that are held out.</summary>
    public const string HeldOutFile = "heldout.txt";

    /// <summary>Signatures of members that are held out, to measure with.</summary>
    public const string PromptsFile = "prompts.jsonl";

    private const int Prompts = 48;

    private readonly Terminal _terminal;
    private readonly Option<string> _output = new("--output") { Description = $"The folder to write {TrainFile}, {HeldOutFile} and {PromptsFile} (signatures that are held out) to; made if it is not there", HelpName = "DIR", Required = true };
    private readonly Option<string?> _packs = new("--packs") { Description = "The folder that holds Microsoft.NETCore.App.Ref and Microsoft.AspNetCore.App.Ref; by default packs/ of the .NET that runs this command", HelpName = "DIR" };
    private readonly Option<string?> _heldOut = new("--held-out") { Description = $"The namespaces to hold out, each with all below it (default {string.Join(",", DocumentationCorpus.DefaultHeldOut)})", HelpName = "LIST" };
    private readonly Option<string?> _leftOut = new("--leave-out") { Description = $"The namespaces to leave out, each with all below it (default {string.Join(",", DocumentationCorpus.DefaultLeftOut)})", HelpName = "LIST" };
    private readonly Option<string?> _tokenizer = new("--tokenizer") { Description = "A tokenizer to count tokens with: a folder or a tokenizer.json", HelpName = "DIR|FILE" };
    private readonly Option<bool> _json = CommonOptions.Json();

    public TrainCorpusCommand(Terminal terminal)
        : base("corpus", "Write the documentation comments of .NET's own members as text to train with")
    {
        _terminal = terminal;
        Option[] options = [_output, _packs, _heldOut, _leftOut, _tokenizer, _json];
        Array.ForEach(options, Add);
        SetAction(Run);
    }

    public IReadOnlyList<string> Examples => ["nativespec train corpus --output corpus", "nativespec train corpus --output corpus --packs /usr/share/dotnet/packs --held-out System.Text.Json,System.Net.Quic"];

    private Task<int> Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var corpus = DocumentationCorpus.Extract(parsed.GetValue(_packs), List(_heldOut), List(_leftOut), cancellationToken);
        var folder = parsed.GetValue(_output)!;
        CorpusCounts[] parts =
        [
            Write("train", TrainFile, corpus.Train),
            Write("held_out", HeldOutFile, corpus.HeldOut),
        ];
        PromptSet.Write(Path.Combine(folder, PromptsFile), PromptSet.Of(corpus.HeldOut, Prompts));
        var overlap = NGramOverlap.Share(corpus.Train, corpus.HeldOut);
        if (parsed.GetValue(_json))
        {
            JsonOutput.Print(_terminal.Out, json =>
            {
                json.WriteNumber("files", corpus.Files);
                json.WriteNumber("members", corpus.Members);
                json.WriteNumber("distinct", corpus.Train.Count + corpus.HeldOut.Count);
                Array.ForEach(parts, part => part.Write(json));
                json.WriteMeasured("held_out_8_grams_in_train", overlap);
                json.WriteMeasured("seconds", clock.Elapsed.TotalSeconds);
            });
        }
        else
        {
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{corpus.Members} members in {corpus.Files} files, {corpus.Train.Count + corpus.HeldOut.Count} with distinct comments, in {clock.Elapsed.TotalSeconds:0.0} s"));
            CorpusCounts.Print(_terminal, parts);
            _terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{overlap:P1} of the held-out runs of 8 words are in the training text"));
        }

        return Task.FromResult(CommandLine.Success);

        string[]? List(Option<string?> option) => parsed.GetValue(option)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

        CorpusCounts Write(string name, string file, IReadOnlyList<string> documents)
        {
            var path = Path.Combine(folder, file);
            var bytes = CorpusFile.Write(path, documents);
            var tokens = parsed.GetValue(_tokenizer) is { } tokenizer ? CorpusCounts.Tokens(Tokenization.Tokenizer.Load(tokenizer), documents) : (long?)null;
            return new(name, path, documents.Count, bytes, tokens);
        }
    }
}
