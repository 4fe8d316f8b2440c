using NativeSpec.Backends;
using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>How well a model predicted a text.</summary>
/// <param name="Tokens">Tokens that were predicted: all of the text where the tokenizer begins texts with a token of its own, otherwise all
/// but the first, which nothing precedes.</param>
/// <param name="Bytes">UTF-8 bytes of what was predicted.</param>
/// <param name="Nats">−Σ ln p of the predicted tokens.</param>
public sealed record TextScore(long Tokens, long Bytes, double Nats)
{
    /// <summary>Mean cross-entropy.</summary>
    public double NatsPerToken => Nats / Tokens;

    /// <summary>Cross-entropy in bits per byte of text, which can be compared across tokenizers.</summary>
    public double BitsPerByte => Nats / Math.Log(2) / Bytes;

    /// <summary>e to the nats per token.</summary>
    public double Perplexity => Math.Exp(NatsPerToken);
}

/// <summary>Measures how well a checkpoint predicts texts. Used by one thread at a time.</summary>
/// <remarks>A text longer than the context is cut into windows that overlap by half. Each begins as the model's texts begin (with the
/// begin-of-text token, where there is one), and only what the window before has not predicted counts: past the first window, every token
/// is predicted from at least half a context.</remarks>
public sealed class TextEvaluation : IDisposable
{
    private const int DefaultContext = 2048;
    private const int LogitBytes = 64 << 20; // logits of a whole chunk are held at once

    private readonly LlamaCheckpoint _checkpoint;
    private readonly Tokenizer _tokenizer;
    private readonly IBackend _backend;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly TokenTree _tree;
    private readonly Forest _forest = new(1);

    private TextEvaluation(LlamaCheckpoint checkpoint, Tokenizer tokenizer, IBackend backend, EngineOptions options)
    {
        _checkpoint = checkpoint;
        _tokenizer = tokenizer;
        _backend = backend;
        var config = checkpoint.Config;
        var wished = options with { MaxSequences = 1, MaxContext = options.MaxContext ?? Math.Min(config.MaxPositionEmbeddings, DefaultContext) };
        Context = MemoryPlan.For(config, wished, LlamaModel.KvBytesPerToken(config, backend), GC.GetGCMemoryInfo().TotalAvailableMemoryBytes).MaxContext;
        var chunk = Math.Clamp(LogitBytes / sizeof(float) / config.VocabSize, 1, Math.Min(options.ChunkOn(backend), Context));
        _model = new LlamaModel(config, checkpoint.Tensors, backend, new ForwardLimits(chunk, chunk, MaxSequences: 1, Context), options.LoadProgress);
        _cache = _model.CreateCache(Context);
        _tree = new TokenTree(chunk);
    }

    /// <summary>Tokens of a window.</summary>
    public int Context { get; }

    /// <summary>What computes: backend, instruction set, threads.</summary>
    public string Backend => _backend.Description;

    /// <summary>Opens a checkpoint folder.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="options">Threads, backend, limits, and as the context the length of a window (by default the model's, at most 2048);
    /// null for the defaults.</param>
    /// <exception cref="ModelFormatException">The folder is not a model this engine runs; the message says why.</exception>
    /// <exception cref="ArgumentException">An option cannot be met.</exception>
    public static TextEvaluation Load(string path, EngineOptions? options = null)
    {
        options ??= new EngineOptions();
        options.Validate();
        LlamaCheckpoint? checkpoint = null;
        IBackend? backend = null;
        try
        {
            checkpoint = LlamaCheckpoint.Open(path, options.Limits);
            var tokenizer = EngineTokenizer.Of(path, checkpoint.Config, options);
            backend = EngineBackend.Create(options, checkpoint.Tensors);
            return new TextEvaluation(checkpoint, tokenizer, backend, options);
        }
        catch
        {
            backend?.Dispose();
            checkpoint?.Dispose();
            throw;
        }
    }

    /// <summary>Measures a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="progress">Told the share that is done, from 0 to 1, after each forward; null tells nobody.</param>
    /// <param name="cancellationToken">Ends it with <see cref="OperationCanceledException"/>, also within a forward.</param>
    /// <exception cref="ArgumentException">The text has no token that can be predicted, or one that the model does not know.</exception>
    /// <exception cref="NonFiniteLogitsException">The model's weights gave no usable numbers.</exception>
    public TextScore Score(string text, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = _tokenizer.Encode(text);
        var begin = ids.Length > 0 && ids[0] == _tokenizer.BosId ? 1 : 0;
        if (ids.Length < 2)
        {
            throw new ArgumentException("the text has no token that could be predicted from one before it: give a longer text", nameof(text));
        }

        var bytes = System.Text.Encoding.UTF8.GetByteCount(text) - (begin == 0 ? _tokenizer.TokenBytes(ids[0]).Length : 0);
        return new TextScore(ids.Length - 1, bytes, Nats(ids, begin, progress, cancellationToken));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cache.Dispose();
        _model.Dispose();
        _backend.Dispose();
        _checkpoint.Dispose();
    }

    /// <summary>−Σ ln p of every token but the first.</summary>
    /// <param name="ids">The tokens.</param>
    /// <param name="begin">1 when the first of them stands before every window, 0 when it belongs to the text.</param>
    /// <param name="progress">See <see cref="Score"/>.</param>
    /// <param name="cancellationToken">See <see cref="Score"/>.</param>
    internal double Nats(ReadOnlySpan<int> ids, int begin, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var room = Context - begin; // text tokens of a window
        if (room < 2)
        {
            throw new ArgumentException($"a context of {Context} tokens is too short for a window", nameof(ids));
        }

        using var sequence = _cache.TryOpen(Context)!;
        var window = new int[Math.Min(Context, ids.Length)];
        var nats = 0.0;
        var predicted = 1; // tokens of ids that have been predicted, or need not be
        for (var first = begin; predicted < ids.Length; first += room - (room / 2))
        {
            var length = Math.Min(room, ids.Length - first);
            ids[..begin].CopyTo(window);
            ids.Slice(first, length).CopyTo(window.AsSpan(begin));
            // The token at index i of ids has index i - first + begin in the window.
            nats += WindowNats(sequence, window.AsSpan(0, begin + length), predicted - first + begin, cancellationToken);
            predicted = first + length;
            progress?.Report((double)predicted / ids.Length);
        }

        return nats;
    }

    /// <summary>−Σ ln p of a window's tokens from <paramref name="firstTarget"/> on.</summary>
    private double WindowNats(KvSequence sequence, ReadOnlySpan<int> tokens, int firstTarget, CancellationToken cancellationToken)
    {
        sequence.Truncate(0);
        var nats = 0.0;
        while (sequence.Length < tokens.Length - 1) // the last token predicts nothing
        {
            var at = sequence.Length;
            _tree.Clear();
            _tree.AddChain(tokens[at..Math.Min(at + _tree.Capacity, tokens.Length - 1)]);
            _forest.Clear();
            var firstNode = Math.Clamp(firstTarget - 1 - at, 0, _tree.Count);
            _forest.Add(sequence, _tree, firstNode);
            var rows = _model.Forward(_forest, cancellationToken);
            sequence.CommitChain(_tree.Count);
            for (var node = firstNode; node < _tree.Count; node++)
            {
                var target = at + node + 1;
                nats -= LogProb(rows, _forest.LogitRow(0, node), tokens[target], target);
            }
        }

        return nats;
    }

    private static double LogProb(IForwardResult rows, int row, int token, int position)
    {
        var logProb = rows.LogProb(row, token);
        return float.IsFinite(logProb) ? logProb : throw new NonFiniteLogitsException(position, rows.Logits(row)[token]);
    }
}
