using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Generation;

/// <summary>One text written by plain decoding and by merged speculation, several times in turns.</summary>
/// <remarks>Every repeat has an engine of its own that has written other texts and never this one: some drafters remember what was
/// written, and would know a text that they see again by heart.</remarks>
internal sealed class DemoRun
{
    // Other members than the one that is shown: after these the code is compiled and the drafters have seen text of this kind.
    private static readonly string[] WarmUp =
    [
        "namespace System.Collections.Generic;\nQueue<T>.Enqueue(T item)\n",
        "namespace System.IO;\nnew StreamReader(string path, Encoding encoding)\n",
        "namespace System.Net.Http;\nHttpClient.GetAsync(string requestUri, CancellationToken cancellationToken)\n",
    ];

    private DemoRun(string backend, long parameters, GenerationResult plain, GenerationResult speculative, string?[] sources, string[] texts)
    {
        (Backend, Parameters, Plain, Speculative, Sources, Texts) = (backend, parameters, plain, speculative, sources, texts);
    }

    /// <summary>What computed.</summary>
    public string Backend { get; }

    /// <summary>The target's parameters.</summary>
    public long Parameters { get; }

    /// <summary>The text by plain decoding.</summary>
    public GenerationResult Plain { get; }

    /// <summary>The text by speculation.</summary>
    public GenerationResult Speculative { get; }

    /// <summary>Of each of its tokens the drafter that proposed it, or null.</summary>
    public string?[] Sources { get; }

    /// <summary>Each token as text.</summary>
    public string[] Texts { get; }

    /// <summary>Tokens per second of plain decoding, repeat by repeat.</summary>
    public List<double> PlainSpeeds { get; } = [];

    /// <summary>Tokens per second of speculation, repeat by repeat.</summary>
    public List<double> Speeds { get; } = [];

    /// <summary>Their quotients.</summary>
    public List<double> Ratios { get; } = [];

    /// <summary>Whether every repeat wrote the same tokens, with speculation and without.</summary>
    public bool IsSameText { get; private set; } = true;

    /// <summary>Runs it.</summary>
    /// <param name="model">The model and its drafters.</param>
    /// <param name="options">The engine's options but for the model's drafters.</param>
    /// <param name="prompt">The text to complete.</param>
    /// <param name="request">How it is completed.</param>
    /// <param name="repeats">How often the two ways are timed.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public static async Task<DemoRun> OfAsync(
        DemoModel model, EngineOptions options, string prompt, GenerationOptions request, int repeats, CancellationToken cancellationToken)
    {
        options = options with { MaxSequences = 1, DraftModels = model.Draft is null ? [] : [model.Draft], Medusa = model.Medusa };
        var run = await ShowAsync(model, options, prompt, request, cancellationToken).ConfigureAwait(false);
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            using var engine = await WarmAsync(model, options, request, cancellationToken).ConfigureAwait(false);
            var isPlainFirst = repeat % 2 == 0;
            var first = await CompleteAsync(isPlainFirst).ConfigureAwait(false);
            var second = await CompleteAsync(!isPlainFirst).ConfigureAwait(false);
            run.Add(isPlainFirst ? first : second, isPlainFirst ? second : first);

            Task<GenerationResult> CompleteAsync(bool isPlain) =>
                engine.CompleteAsync(prompt, request with { Speculation = isPlain ? SpeculationOptions.Off : request.Speculation }, cancellationToken);
        }

        return run;
    }

    /// <summary>The texts, and where their tokens came from. Writing the trace takes time, so this run is not timed.</summary>
    private static async Task<DemoRun> ShowAsync(
        DemoModel model, EngineOptions options, string prompt, GenerationOptions request, CancellationToken cancellationToken)
    {
        using var engine = await WarmAsync(model, options, request, cancellationToken).ConfigureAwait(false);
        using var lines = new MemoryStream();
        using var trace = new SpeculationTrace(lines, engine.Tokenizer);
        var speculative = await engine.CompleteAsync(prompt, request with { Speculation = request.Speculation with { Trace = trace } }, cancellationToken).ConfigureAwait(false);
        var plain = await engine.CompleteAsync(prompt, request with { Speculation = SpeculationOptions.Off }, cancellationToken).ConfigureAwait(false);
        var run = new DemoRun(
            engine.Backend, engine.Config.ParameterCount, plain, speculative, TokenSources.Read(lines.GetBuffer().AsSpan(0, (int)lines.Length), speculative.Ids.Count),
            TextsOf(engine.Tokenizer, speculative.Ids));
        run.Compare(plain, speculative);
        return run;
    }

    private static async Task<InferenceEngine> WarmAsync(DemoModel model, EngineOptions options, GenerationOptions request, CancellationToken cancellationToken)
    {
        var engine = InferenceEngine.Load(model.Path, options);
        try
        {
            foreach (var prompt in WarmUp)
            {
                await engine.CompleteAsync(prompt, request, cancellationToken).ConfigureAwait(false);
                await engine.CompleteAsync(prompt, request with { Speculation = SpeculationOptions.Off }, cancellationToken).ConfigureAwait(false);
            }

            return engine;
        }
        catch
        {
            engine.Dispose();
            throw;
        }
    }

    // A character whose bytes are in several tokens appears with the last of them.
    private static string[] TextsOf(Tokenization.Tokenizer tokenizer, IReadOnlyList<int> ids)
    {
        var detokenizer = tokenizer.CreateDetokenizer();
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        return [.. ids.Select(id =>
        {
            bytes.ResetWrittenCount();
            detokenizer.Append(id, bytes);
            return System.Text.Encoding.UTF8.GetString(bytes.WrittenSpan);
        })];
    }

    private void Add(GenerationResult plain, GenerationResult speculative)
    {
        Compare(plain, speculative);
        PlainSpeeds.Add(new GenerationSpeed(plain).PredictedPerSecond);
        Speeds.Add(new GenerationSpeed(speculative).PredictedPerSecond);
        Ratios.Add(Speeds[^1] / PlainSpeeds[^1]);
    }

    private void Compare(GenerationResult plain, GenerationResult speculative) =>
        IsSameText &= plain.Ids.SequenceEqual(Plain.Ids) && speculative.Ids.SequenceEqual(Plain.Ids) && plain.Text == speculative.Text;
}
