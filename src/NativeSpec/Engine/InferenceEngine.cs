using System.Runtime.CompilerServices;
using NativeSpec.Backends;
using NativeSpec.Chat;
using NativeSpec.Engine.Building;
using NativeSpec.Engine.Profiles;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Scheduling;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Speculation.Verification;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>A loaded model that writes text. Safe for any number of concurrent callers: their requests are computed together.</summary>
/// <example><code>
/// using var engine = InferenceEngine.Load("path/to/model");
/// await foreach (var piece in engine.GenerateAsync("Once upon a time", new() { MaxTokens = 128 }))
///     Console.Write(piece.Text);
/// </code></example>
public sealed partial class InferenceEngine : IDisposable
{
    private readonly LlamaCheckpoint _checkpoint;
    private readonly IBackend _backend;
    private readonly LlamaModel _model;
    private readonly KvCache _cache;
    private readonly MachineProfile _profile;
    private readonly ProfileKeeper _keeper;
    private readonly DrafterSet _drafters;
    private readonly SpeculationCore _speculation;
    private readonly EngineTelemetry _telemetry;
    private readonly Scheduler _scheduler;
    private readonly Chooser _chooser;
    private readonly RequestPreparation _preparation;
    private readonly EngineOptions _options;
    private readonly int _chunk; // most rows of prompts in a round
    private int _disposed; // 1 once somebody has begun to dispose it

    private InferenceEngine(string name, string path, LlamaCheckpoint checkpoint, Tokenizer tokenizer, IBackend backend, EngineOptions options, LoadSteps steps)
    {
        using var unfinished = new Unfinished(this);
        _checkpoint = checkpoint;
        _backend = backend;
        _options = options;
        _chatTemplates = new Lazy<ChatTemplates>(() => ReadChatTemplates(path, options));
        Tokenizer = tokenizer;
        var memory = backend.MemoryBytes;
        var plan = MemoryPlan.For(Config, options, LlamaModel.KvBytesPerToken(Config, backend), memory);
        MaxContext = plan.MaxContext;
        KvTokens = plan.KvTokens;
        _chunk = options.ChunkOn(backend);
        var limits = Limits(options, _chunk, MaxContext);
        _model = new LlamaModel(Config, checkpoint.Tensors, backend, limits, steps.Begin(LoadStage.Weights, options.LoadProgress));
        _cache = _model.CreateCache(CacheTokens(options, KvTokens), options.PrefixCache);
        _chooser = new Chooser(Config.VocabSize);
        _profile = MachineProfile.Open(options.ProfileDirectory, ProfileKey.Of(checkpoint, backend));
        steps.Begin(LoadStage.Drafters);
        _drafters = new DrafterSet(checkpoint, tokenizer, backend, options, _profile, plan, memory);
        _speculation = new SpeculationCore(_drafters.All, KnownOrMeasuredCost(steps), Config.VocabSize, MaxNodes(options))
        {
            NotWorthwhile = _drafters.All.Select(source => source.Name).Where(name => _profile.Excludes(_drafters.IdentityOf(name))).ToHashSet(),
        };
        _profile.Teach(_speculation, _drafters);
        _preparation = new RequestPreparation(checkpoint, tokenizer, _speculation, MaxContext, options.Logger);
        Name = name;
        _keeper = new ProfileKeeper(_profile, _speculation, _drafters);
        _speculation.RoundObserved = _keeper.AfterRound;
        _telemetry = new EngineTelemetry(name, _speculation.Names, options.Logger);
        _scheduler = new Scheduler(_model, _cache, _speculation, _chunk, options, _telemetry);
        _telemetry.Show(Snapshot);
        unfinished.IsWhole = true;
    }

    /// <summary>The name of the meter (System.Diagnostics.Metrics) and of the activity source that engines report to. docs/observability.md lists their instruments.</summary>
    public const string TelemetryName = EngineMeter.Name;

    /// <summary>What telemetry calls this engine: <see cref="EngineOptions.Name"/>, or the name of the model's folder.</summary>
    public string Name { get; }

    /// <summary>The model's shapes.</summary>
    public LlamaConfig Config => _checkpoint.Config;

    /// <summary>Text to tokens and back.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>What computes: backend, instruction set, threads.</summary>
    public string Backend => _backend.Description;

    /// <summary>Names of the drafters that requests may use.</summary>
    public IReadOnlyCollection<string> Drafters => _speculation.Names;

    /// <summary>Most tokens of one request, prompt and output together.</summary>
    public int MaxContext { get; }

    /// <summary>Tokens whose keys and values are held for all requests together.</summary>
    public long KvTokens { get; }

    /// <summary>Opens a checkpoint folder (config.json, safetensors, tokenizer) and starts an engine on it.</summary>
    /// <exception cref="ModelFormatException">The folder is not a model this engine runs; the message says why.</exception>
    /// <exception cref="ArgumentException">An option cannot be met.</exception>
    /// <exception cref="InvalidOperationException">The back end that the options name is not here, or its device refuses or fails; the message has the driver's code.</exception>
    public static InferenceEngine Load(string path, EngineOptions? options = null) => Load(path, options ?? new EngineOptions(), LoadSteps.Unwatched);

    /// <summary>Writes the continuation of a text.</summary>
    /// <param name="prompt">The text before; tokenized with the beginning-of-text token where the tokenizer asks for it.</param>
    /// <param name="options">What to write; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the enumeration with <see cref="OperationCanceledException"/>, also while the prompt is computed.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the prompt is empty.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed; also while enumerating.</exception>
    /// <exception cref="ContextLengthException">The prompt leaves no room in the context.</exception>
    /// <exception cref="EngineBusyException">Too many requests wait; at the call or, where they came between the two, when enumeration
    /// begins.</exception>
    /// <exception cref="FirstTokenTimeoutException">While enumerating: the request had no token in the time that it was given.</exception>
    /// <exception cref="SlowReaderException">While enumerating: the text was not read for too long.</exception>
    /// <exception cref="EngineFaultedException">While enumerating: the engine has failed, not the request.</exception>
    /// <exception cref="NonFiniteLogitsException">While enumerating: the model's weights gave no usable numbers.</exception>
    public IAsyncEnumerable<GenerationPiece> GenerateAsync(
        string prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ThrowIfBusy();
        return GenerateAsync(Tokenizer.Encode(prompt, options?.AddSpecial ?? true, options?.ParseSpecial ?? false), options, cancellationToken);
    }

    /// <summary>Writes the continuation of tokens; see the other overload.</summary>
    public IAsyncEnumerable<GenerationPiece> GenerateAsync(
        IReadOnlyList<int> promptIds, GenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        var request = _preparation.Prepare(promptIds, options ?? new GenerationOptions());
        ThrowIfBusy(request.Prompt.Length);
        return Stream(request, _speculation, cancellationToken);
    }

    /// <summary>Says what a request would be told now, for whoever has work with it before: a text to encode, a conversation to render.</summary>
    /// <exception cref="EngineBusyException">Too many requests wait; counted as one more that was refused.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public void ThrowIfBusy()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        ThrowIfBusy(0);
    }

    /// <summary>Writes the whole continuation of a text.</summary>
    public Task<GenerationResult> CompleteAsync(string prompt, GenerationOptions? options = null, CancellationToken cancellationToken = default)
        => LastAsync(GenerateAsync(prompt, options, cancellationToken));

    /// <summary>Writes the whole continuation of tokens.</summary>
    public Task<GenerationResult> CompleteAsync(
        IReadOnlyList<int> promptIds, GenerationOptions? options = null, CancellationToken cancellationToken = default)
        => LastAsync(GenerateAsync(promptIds, options, cancellationToken));

    /// <summary>How the engine is now, for health checks: requests, pages, and when it last computed something. Safe to ask at any time from any thread.</summary>
    public EngineSnapshot Snapshot() => _scheduler.Snapshot();

    /// <summary>How long a forward of some nodes takes, as measured on this machine and refined by every round. Ask while nothing is being
    /// generated.</summary>
    /// <param name="nodes">Nodes, 1 or more.</param>
    /// <param name="context">Tokens before them.</param>
    public TimeSpan ForwardTime(int nodes, int context = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(nodes, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(context);
        return TimeSpan.FromSeconds(_speculation.Cost.At(nodes, context));
    }

    /// <summary>Notes in the machine's profile which of this engine's drafters pay and how draft models draft best: engines loaded later
    /// follow it in <see cref="SpeculationOptions.Auto"/>.</summary>
    /// <param name="tuning">What was found; drafters that are not named keep what was noted before.</param>
    /// <returns>The profile's file.</returns>
    /// <exception cref="ArgumentException">There is no such drafter.</exception>
    /// <exception cref="InvalidOperationException">The engine keeps no profile: <see cref="EngineOptions.ProfileDirectory"/> is null.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public string SaveTuning(IReadOnlyList<DrafterTuning> tuning)
    {
        ArgumentNullException.ThrowIfNull(tuning);
        foreach (var drafter in tuning)
        {
            if (!_speculation.Names.Contains(drafter.Name))
            {
                throw new ArgumentException($"there is no drafter '{drafter.Name}'; this engine has {string.Join(", ", _speculation.Names)}", nameof(tuning));
            }

            if (!double.IsFinite(drafter.SpeedUp) || drafter.SpeedUp < 0 || drafter.Rounds < 0)
            {
                throw new ArgumentException($"'{drafter.Name}': {nameof(drafter.SpeedUp)} is {drafter.SpeedUp} and {nameof(drafter.Rounds)} {drafter.Rounds}; expected numbers of 0 or more", nameof(tuning));
            }

            _profile.Tune(_drafters.IdentityOf(drafter.Name), drafter);
        }

        return _profile.Save();
    }

    /// <summary>Ends all requests and frees the model. Requests under way throw <see cref="ObjectDisposedException"/>. What a drafter's source throws when
    /// it is disposed is thrown when all the rest is free.</summary>
    /// <exception cref="InvalidOperationException">The call comes from a drafter or a trace, which the engine is waiting for.</exception>
    public void Dispose()
    {
        if (IsDisposed)
        {
            return;
        }

        if (_scheduler.IsCurrentThread)
        {
            throw new InvalidOperationException("an engine cannot be disposed by a drafter or a trace while it calls it: dispose it from another thread");
        }

        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _telemetry.Dispose();
        _scheduler.Dispose();
        _keeper.Finish();
        Disposal.OfAll(_drafters, _cache, _model, _backend, _checkpoint);
    }

    /// <summary>The most that a round computes: every sequence's next token and a chunk of a prompt.</summary>
    /// <param name="options">What the engine is built with.</param>
    /// <param name="chunk">Most rows of prompts.</param>
    /// <param name="maxContext">Most tokens of a request.</param>
    internal static ForwardLimits Limits(EngineOptions options, int chunk, int maxContext)
        => new(chunk + MaxNodes(options), options.MaxSequences + MaxNodes(options), options.MaxSequences, maxContext);

    /// <summary>Rows of the cache: beside the texts, each sequence has room for a round's candidates and for the rest of its last page.</summary>
    internal static long CacheTokens(EngineOptions options, long kvTokens)
        => kvTokens + (options.MaxSequences * (long)(MaxNodes(options) + 1 + RowBatch.PageSize));

    /// <summary>Most nodes of all trees in a round: at least one per sequence.</summary>
    private static int MaxNodes(EngineOptions options) => Math.Max(options.MaxTreeNodes, options.MaxSequences);

    private bool IsDisposed => Volatile.Read(ref _disposed) != 0;

    /// <summary>The pages of all requests.</summary>
    internal KvCache Cache => _cache;

    /// <summary>Who takes turns.</summary>
    internal Scheduler Scheduler => _scheduler;

    private void ThrowIfBusy(int promptTokens)
    {
        try
        {
            _scheduler.ThrowIfBusy(promptTokens);
        }
        catch (EngineException error)
        {
            _telemetry.Refuse(error);
            throw;
        }
    }

    private static async Task<GenerationResult> LastAsync(IAsyncEnumerable<GenerationPiece> pieces)
    {
        GenerationResult? result = null;
        await foreach (var piece in pieces.ConfigureAwait(false))
        {
            result = piece.Result;
        }

        return result!;
    }

    private static string NameOf(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));

    /// <summary>The pieces of a request.</summary>
    /// <param name="request">What to write.</param>
    /// <param name="speculation">Where its drafters learn.</param>
    /// <param name="cancellationToken">Ends the enumeration.</param>
    private async IAsyncEnumerable<GenerationPiece> Stream(
        SequenceRequest request, SpeculationCore speculation, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        using var cancellation = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _scheduler.Stopping);
        var pieces = new PieceQueue(_options.MaxUnreadPieces);
        var activity = _telemetry.Begin(request); // before the request's own clock starts
        var sequence = new Sequence(request, () => Begin(request, speculation), _chunk, pieces, cancellation) { Activity = activity };
        try
        {
            _scheduler.Submit(sequence);
        }
        catch (Exception error)
        {
            _telemetry.Refuse(error, sequence.Activity);
            throw;
        }

        try
        {
            await foreach (var piece in pieces.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                if (pieces.CountRead())
                {
                    _scheduler.Notify();
                }

                yield return piece;
            }
        }
        finally
        {
            sequence.Abandon();
            _scheduler.Notify();
        }
    }

    private SequenceTools Begin(SequenceRequest request, SpeculationCore core)
    {
        var rule = new SamplingRule(request.Options, request.Seed, Config.VocabSize);
        var history = new TokenHistory(Config.VocabSize, request.Prompt.Length + request.MaxTokens, rule.NeedsHistory);
        var speculation = request.Options.Speculation;
        var sampling = new RequestSampling(_chooser, rule, history)
        {
            Typical = speculation.LossyTypicalAcceptance is { } typical ? new TypicalPath(Config.VocabSize, typical) : null,
        };
        return new SequenceTools(new Drafting(core, speculation, request.Prompt, sampling, request.Options.CacheSalt), new TextStream(Tokenizer, request.Options.StopStrings, request.Options.ShownIds));
    }
}
