using NativeSpec.Engine;
using NativeSpec.Engine.Requests;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Speculation.Verification;
using NativeSpec.Tests.Tokenization;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Engine;

/// <summary>A sequence as the engine makes them, with the caller's end of it.</summary>
internal sealed class TestSequence : IDisposable
{
    private const int TokenizersVocab = 1024;

    private static readonly Lazy<Tokenizer> Bytes = new(LoadBytes);

    private readonly PieceQueue _pieces;
    private readonly CancellationTokenSource _cancellation = new();

    public TestSequence(SpeculationCore core, Chooser chooser, int[] prompt, GenerationOptions options, int prefillChunk = 64, IChance? chance = null, int mostUnread = int.MaxValue)
    {
        _pieces = new PieceQueue(mostUnread);
        var seed = options.Seed ?? 1;
        var request = new SequenceRequest(prompt, options, seed, options.MaxTokens ?? 100_000, [.. options.StopIds], core.MaxNodesOf(options.Speculation));
        Sequence = new Sequence(request, Begin, prefillChunk, _pieces, _cancellation);

        SequenceTools Begin()
        {
            var rule = new SamplingRule(options, seed, core.VocabSize);
            var history = new TokenHistory(core.VocabSize, prompt.Length + request.MaxTokens, rule.NeedsHistory);
            var sampling = new RequestSampling(chooser, rule, history)
            {
                Chance = chance ?? new CounterChance(seed),
                Typical = options.Speculation.LossyTypicalAcceptance is { } typical ? new TypicalPath(core.VocabSize, typical) : null,
            };
            return new SequenceTools(new Drafting(core, options.Speculation, prompt, sampling), new TextStream(Bytes.Value, options.StopStrings, options.ShownIds));
        }
    }

    public Sequence Sequence { get; }

    /// <summary>All tokens that the caller has been given.</summary>
    public List<int> Output { get; } = [];

    /// <summary>What the caller is given at the end.</summary>
    public GenerationResult? Result { get; private set; }

    public void Cancel() => _cancellation.Cancel();

    /// <summary>Hands over what is new, as the scheduler does after a round.</summary>
    public void Deliver()
    {
        Sequence.Deliver();
        while (_pieces.Reader.TryRead(out var piece))
        {
            Output.AddRange(piece.Ids);
            Result = piece.Result;
        }
    }

    public void Dispose()
    {
        Sequence.Dispose();
        _cancellation.Dispose();
    }

    private static Tokenizer LoadBytes()
    {
        var folder = Directory.CreateTempSubdirectory("nativespec-").FullName;
        TestTokenizers.WriteByteLevel(folder, TokenizersVocab);
        var tokenizer = Tokenizer.Load(folder);
        Directory.Delete(folder, recursive: true);
        return tokenizer;
    }
}
