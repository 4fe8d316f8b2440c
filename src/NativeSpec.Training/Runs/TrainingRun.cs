using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Tokenization;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Corpus;
using NativeSpec.Training.Data;
using NativeSpec.Training.Networks;

namespace NativeSpec.Training.Runs;

/// <summary>Trains a model, a draft for it, or Medusa heads on it. Each call is a whole run: it reads the text, learns, and writes a folder
/// that the engine loads, with the run's records (checkpoint, loss.csv, loss.svg) in a folder <c>training</c> within it.</summary>
/// <remarks>Uses the native kernels where they are, on all threads. A text is a UTF-8 file with lines of <c>&lt;|endoftext|&gt;</c> between documents, or a
/// folder with such files train.txt and heldout.txt; without held-out text nothing is measured and nothing ends early.</remarks>
public static class TrainingRun
{
    private const string TokenizerFile = "tokenizer.json";
    private const long MostShareOfMemory = 2; // a run takes at most a half of the memory there is

    /// <summary>Trains a model from random weights.</summary>
    /// <param name="text">The text, a file or folder.</param>
    /// <param name="tokenizer">The tokenizer.json, or a folder with it.</param>
    /// <param name="output">The folder to write to.</param>
    /// <param name="shape">The model's shape.</param>
    /// <param name="options">How it learns.</param>
    /// <param name="progress">Told after every step; null tells nobody.</param>
    /// <param name="cancellationToken">Ends it with <see cref="OperationCanceledException"/>, after a checkpoint.</param>
    /// <exception cref="ModelFormatException">A file cannot be used; the message says why.</exception>
    /// <exception cref="ArgumentException">An option is impossible.</exception>
    /// <exception cref="TrainingDivergedException">The loss is no longer a number.</exception>
    public static TrainingResult TrainModel(
        string text, string tokenizer, string output, ModelShape shape, TrainingOptions options,
        IProgress<TrainingReport>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var tokens = Tokenizer.Load(tokenizer);
        var config = ConfigFor(shape, tokens, options.Context);
        RequireRoom(options, config);
        var (train, heldOut) = TokenCorpus.Read(text, tokens, options.Context + 1);
        using var bench = new Workbench(options.Threads);
        using var objective = new LanguageModelObjective(bench, Fresh(bench, config, options));
        CopyTokenizer(tokenizer, output);
        return new Trainer(bench, objective, train, heldOut, options, output, $"model {Describe(config)}").Run(progress, cancellationToken);
    }

    /// <summary>Trains a draft: a small model that learns what a larger one, its target, would say.</summary>
    /// <param name="text">The text, a file or folder.</param>
    /// <param name="target">The target's folder; its tokenizer becomes the draft's.</param>
    /// <param name="output">The folder to write to.</param>
    /// <param name="shape">The draft's shape.</param>
    /// <param name="divergenceShare">α in (1 − α) · cross entropy with the text + α · KL(target ‖ draft), from 0 to 1.</param>
    /// <param name="options">How it learns.</param>
    /// <param name="progress">Told after every step; null tells nobody.</param>
    /// <param name="cancellationToken">Ends it with <see cref="OperationCanceledException"/>, after a checkpoint.</param>
    /// <exception cref="ModelFormatException">A file cannot be used; the message says why.</exception>
    /// <exception cref="ArgumentException">An option is impossible.</exception>
    /// <exception cref="TrainingDivergedException">The loss is no longer a number.</exception>
    public static TrainingResult TrainDraft(
        string text, string target, string output, ModelShape shape, float divergenceShare, TrainingOptions options,
        IProgress<TrainingReport>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (divergenceShare is not (>= 0 and <= 1))
        {
            throw new ArgumentException($"the divergence's share of the loss is {divergenceShare}; expected 0 to 1", nameof(divergenceShare));
        }

        var tokens = Tokenizer.Load(target);
        using var checkpoint = LlamaCheckpoint.Open(target);
        var config = ConfigFor(shape, tokens, options.Context) with { VocabSize = checkpoint.Config.VocabSize };
        RequireRoom(options, config, checkpoint.Config);
        var (train, heldOut) = TokenCorpus.Read(text, tokens, options.Context + 1);
        using var bench = new Workbench(options.Threads);
        using var objective = new DistillationObjective(bench, Fresh(bench, config, options), Learnt(bench, checkpoint, options), divergenceShare);
        CopyTokenizer(target, output);
        var recipe = FormattableString.Invariant($"draft {Describe(config)} of {Describe(checkpoint.Config)}, divergence {divergenceShare}");
        return new Trainer(bench, objective, train, heldOut, options, output, recipe).Run(progress, cancellationToken);
    }

    /// <summary>Trains Medusa heads. Medusa-1 writes the heads alone; Medusa-2 writes the changed model, with the heads in its file.</summary>
    /// <param name="text">The text, a file or folder.</param>
    /// <param name="target">The model's folder.</param>
    /// <param name="output">The folder to write to.</param>
    /// <param name="medusa">The heads.</param>
    /// <param name="options">How they learn.</param>
    /// <param name="progress">Told after every step; null tells nobody.</param>
    /// <param name="cancellationToken">Ends it with <see cref="OperationCanceledException"/>, after a checkpoint.</param>
    /// <exception cref="ModelFormatException">A file cannot be used; the message says why.</exception>
    /// <exception cref="ArgumentException">An option is impossible.</exception>
    /// <exception cref="TrainingDivergedException">The loss is no longer a number.</exception>
    public static TrainingResult TrainMedusa(
        string text, string target, string output, MedusaTraining medusa, TrainingOptions options,
        IProgress<TrainingReport>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(medusa);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        medusa.Validate();

        var tokens = Tokenizer.Load(target);
        using var checkpoint = LlamaCheckpoint.Open(target);
        RequireRoom(options, checkpoint.Config);
        var needed = options.Context + medusa.Heads + 1;
        var (train, heldOut) = TokenCorpus.Read(text, tokens, needed);
        if (medusa.SelfGenerated is { } wanted)
        {
            // Written once: a run that is resumed goes on with the same text.
            var own = Path.Combine(output, Trainer.RecordsFolder, "self-generated.txt");
            if (!options.Resume || !File.Exists(own))
            {
                var documents = CorpusFile.ReadDocuments(TokenCorpus.TrainPath(text));
                SelfText.WriteAsync(own, documents, target, wanted, options.Seed, options.Threads, cancellationToken).GetAwaiter().GetResult();
            }

            train = TokenCorpus.Tokenize(own, tokens, needed);
        }

        using var bench = new Workbench(options.Threads);
        using var objective = new MedusaObjective(bench, Learnt(bench, checkpoint, options), medusa, options.Sequences * options.Context);
        if (medusa.LearnModel)
        {
            CopyTokenizer(target, output);
        }

        var recipe = FormattableString.Invariant($"{medusa} on {Describe(checkpoint.Config)}");
        return new Trainer(bench, objective, train, heldOut, options, output, recipe).Run(progress, cancellationToken);
    }

    private static LlamaConfig ConfigFor(ModelShape shape, Tokenizer tokenizer, int context)
    {
        var end = TokenCorpus.EndOfText(tokenizer);
        var config = new LlamaConfig
        {
            HiddenSize = shape.Hidden,
            IntermediateSize = shape.Intermediate,
            NumHiddenLayers = shape.Layers,
            NumAttentionHeads = shape.Heads,
            NumKeyValueHeads = shape.KvHeads,
            HeadDim = shape.Heads > 0 ? shape.Hidden / shape.Heads : 0,
            VocabSize = tokenizer.VocabSize,
            MaxPositionEmbeddings = context,
            TieWordEmbeddings = true,
            BosTokenId = end,
            EosTokenIds = [end],
        };
        config.Validate();
        return config;
    }

    private static LlamaNetwork Fresh(Workbench bench, LlamaConfig config, TrainingOptions options)
    {
        var network = new LlamaNetwork(bench, config, options.Sequences, options.Context);
        network.Initialise(options.Seed);
        return network;
    }

    private static LlamaNetwork Learnt(Workbench bench, LlamaCheckpoint checkpoint, TrainingOptions options)
    {
        if (options.Context > checkpoint.Config.MaxPositionEmbeddings)
        {
            throw new ArgumentException($"sequences of {options.Context} tokens; the model's context is {checkpoint.Config.MaxPositionEmbeddings}");
        }

        var network = new LlamaNetwork(bench, checkpoint.Config, options.Sequences, options.Context);
        network.Load(checkpoint.Checkpoint.Tensors);
        return network;
    }

    /// <summary>Refuses what would not fit, before anything is allocated.</summary>
    private static void RequireRoom(TrainingOptions options, params ReadOnlySpan<LlamaConfig> models)
    {
        double rows = (double)options.Sequences * options.Context, bytes = 0;
        foreach (var config in models)
        {
            double layer = (8.0 * config.HiddenSize) + (4.0 * config.IntermediateSize) + config.NumAttentionHeads;
            bytes += 4 * ((4.0 * config.ParameterCount) + (rows * ((2.0 * config.VocabSize) + (config.NumHiddenLayers * layer))));
        }

        double there = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (bytes * MostShareOfMemory > there || rows * models[0].VocabSize > int.MaxValue)
        {
            throw new ArgumentException(
                FormattableString.Invariant($"{options.Sequences} sequences of {options.Context} tokens over a vocabulary of {models[0].VocabSize} need about ")
                + FormattableString.Invariant($"{bytes / (1 << 20):0} MiB, and this machine has {there / (1 << 20):0} MiB: ")
                + "take fewer or shorter sequences, a smaller vocabulary or a smaller model");
        }
    }

    private static void CopyTokenizer(string source, string output)
    {
        var file = Directory.Exists(source) ? Path.Combine(source, TokenizerFile) : source;
        if (!File.Exists(file) || Path.GetExtension(file) != ".json")
        {
            throw new ModelFormatException(file, $"is missing; a trained model takes its tokenizer from a {TokenizerFile}");
        }

        string[] files = [file, Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file))!, "tokenizer_config.json")];
        foreach (var from in files.Where(File.Exists))
        {
            var bytes = RegularFile.ReadAll(from, LoadLimits.Default.MaxTokenizerBytes, nameof(LoadLimits.MaxTokenizerBytes));
            AtomicFile.Write(Path.Combine(output, Path.GetFileName(from)), stream => stream.Write(bytes));
        }
    }

    private static string Describe(LlamaConfig config) => FormattableString.Invariant($"{config.NumHiddenLayers} x {config.HiddenSize}/{config.IntermediateSize}, ")
        + FormattableString.Invariant($"heads {config.NumAttentionHeads}/{config.NumKeyValueHeads}, vocabulary {config.VocabSize}");
}
