using Microsoft.Extensions.Logging;
using NativeSpec.Backends;
using NativeSpec.Engine.Building;
using NativeSpec.Engine.Profiles;
using NativeSpec.Engine.Telemetry;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Speculation.Planning;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>From a folder to an engine.</summary>
public sealed partial class InferenceEngine
{
    /// <summary>Does what <see cref="Load(string, EngineOptions?)"/> does on another thread, says how far it is, and can be ended.</summary>
    /// <param name="path">A checkpoint folder.</param>
    /// <param name="options">How the engine is built; null for the defaults.</param>
    /// <param name="progress">Told what is being done, on the thread that loads; null tells nobody.</param>
    /// <param name="cancellationToken">Ends the load after the layer, the drafters or the forward that it is at. Nothing is left behind: no thread, no mapped file, no memory.</param>
    /// <exception cref="ModelFormatException">The folder is not a model this engine runs; the message says why.</exception>
    /// <exception cref="ArgumentException">An option cannot be met.</exception>
    /// <exception cref="InvalidOperationException">The back end that the options name is not here, or its device refuses or fails; the message has the driver's code.</exception>
    /// <exception cref="OperationCanceledException">The load was ended.</exception>
    public static Task<InferenceEngine> LoadAsync(
        string path, EngineOptions? options = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Task.Run(() => Load(path, options ?? new EngineOptions(), new LoadSteps(progress, cancellationToken)), cancellationToken);
    }

    private static InferenceEngine Load(string path, EngineOptions options, LoadSteps steps)
    {
        options.Validate();
        options = GuardedLogger.In(options);
        LlamaCheckpoint? checkpoint = null;
        IBackend? backend = null;
        InferenceEngine? engine = null;
        Task<Tokenizer>? reading = null;
        try
        {
            steps.Begin(LoadStage.Opening);
            reading = EngineTokenizer.Begin(path, options);
            _ = Task.Run(EngineMeter.Prepare); // has its time before the engine is shown there
            checkpoint = LlamaCheckpoint.Open(path, options.Limits);
            var tokenizer = EngineTokenizer.Of(reading, path, checkpoint.Config, options);
            backend = EngineBackend.Create(options, checkpoint.Tensors);
            var name = options.Name ?? NameOf(path);
            try
            {
                engine = new InferenceEngine(name, path, checkpoint, tokenizer, backend, options, steps);
            }
            catch (Exception error) when (EngineBackend.WithoutDevice(options, backend, error) is { } onProcessor)
            {
                backend.Dispose();
                backend = EngineBackend.Create(onProcessor, checkpoint.Tensors);
                engine = new InferenceEngine(name, path, checkpoint, tokenizer, backend, onProcessor, steps);
            }

            if (options.Logger is { } logger)
            {
                foreach (var note in checkpoint.Notes)
                {
                    LogNote(logger, note);
                }

                LogLoaded(logger, path, engine.Config.ParameterCount, tokenizer.Description, backend.Description, engine.MaxContext);
            }

            steps.Begin(LoadStage.Done);
            return engine;
        }
        catch
        {
            if (engine is null)
            {
                backend?.Dispose();
                checkpoint?.Dispose();
            }

            engine?.Dispose();
            reading?.ContinueWith(static read => read.Exception, TaskScheduler.Default).Wait(); // no thread is left behind
            throw;
        }
    }

    private CostCurve KnownOrMeasuredCost(LoadSteps steps)
    {
        var context = Math.Min(MaxContext, CostProbe.LongestContext);
        if (!_options.MeasureAnew && _profile.KnownCost(_options.MaxTreeNodes, context) is { } known)
        {
            return known;
        }

        steps.Begin(LoadStage.Measuring);
        var measured = CostProbe.Measure(_model, _cache, _options.MaxTreeNodes, steps.CancellationToken);
        if (_options.Logger is { } logger)
        {
            var (one, eight) = (1e3 * measured.Curve.At(1, 0), 1e3 * measured.Curve.At(8, 0));
            LogMeasured(logger, measured.Seconds, one, eight, measured.Disturbed, measured.Curve.Seconds.Length, _profile.File ?? "no file: it is measured at every load");
        }

        _profile.KeepCost(measured.Curve, _options.MaxTreeNodes, context);
        _profile.TrySave(_profile.Snapshot());
        return measured.Curve;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "loaded {Path}: {Parameters} parameters, {Tokenizer}, {Backend}, context {Context}")]
    private static partial void LogLoaded(ILogger logger, string path, long parameters, string tokenizer, string backend, int context);

    [LoggerMessage(Level = LogLevel.Information, Message = "measured in {Seconds:0.00} s what forwards cost: {One:0.000} ms for one node, {Eight:0.000} ms for eight; {Disturbed} of {Points} points were disturbed; kept in {File}")]
    private static partial void LogMeasured(ILogger logger, double seconds, double one, double eight, int disturbed, int points, string file);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Note}")]
    private static partial void LogNote(ILogger logger, string note);

    /// <summary>An engine in its constructor: what there is of it is freed where that throws.</summary>
    private sealed class Unfinished(InferenceEngine engine) : IDisposable
    {
        public bool IsWhole { get; set; }

        public void Dispose()
        {
            if (!IsWhole)
            {
                engine._drafters?.Abandon();
                Disposal.OfAll(engine._cache, engine._model);
            }
        }
    }
}
