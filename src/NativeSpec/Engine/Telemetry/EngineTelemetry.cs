using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine.Requests;
using NativeSpec.Engine.Rounds;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Engine.Telemetry;

/// <summary>What one engine tells <see cref="EngineMeter"/>'s instruments, activities and the log.</summary>
/// <remarks>Listeners are somebody else's code, called on the thread that serves all requests: what they throw is logged and harms no request.</remarks>
internal sealed class EngineTelemetry : IDisposable
{
    private static readonly KeyValuePair<string, object?> ComputedSource = new("source", "computed"), CachedSource = new("source", "cached");

    private readonly ILogger? _logger;
    private readonly IReadOnlyCollection<string> _drafters;
    private readonly KeyValuePair<string, object?> _model;
    private Func<EngineSnapshot> _snapshot = () => default;

    /// <summary>Telemetry of an engine.</summary>
    /// <param name="name">The engine's name.</param>
    /// <param name="drafters">The engine's own drafters: requests' own are counted under one name, because there may be any number.</param>
    /// <param name="logger">Where to log; null for nowhere.</param>
    public EngineTelemetry(string name, IReadOnlyCollection<string> drafters, ILogger? logger)
    {
        (_drafters, _logger) = (drafters, logger);
        _model = new(EngineMeter.Model, name);
    }

    /// <summary>The name that tells engines apart.</summary>
    private string Name => (string)_model.Value!;

    /// <summary>Shows the engine in the gauges.</summary>
    /// <param name="snapshot">How it is now; asked on any thread.</param>
    public void Show(Func<EngineSnapshot> snapshot)
    {
        _snapshot = snapshot;
        Guard(static (self, _) => EngineMeter.Add(self), 0); // with the first engine listeners are told of the instruments
    }

    /// <summary>Begins the activity of a request, a child of the caller's; null where nobody listens, or who listens fails.</summary>
    public Activity? Begin(SequenceRequest request)
    {
        var current = Activity.Current;
        try
        {
            return EngineMeter.Activities.HasListeners() ? Start(request, request.Options) : null;
        }
#pragma warning disable CA1031 // A listener may throw anything.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Activity.Current = current;
            LogFailure(error);
            return null;
        }
    }

    /// <summary>Counts a request that was refused.</summary>
    public void Refuse(Exception error, Activity? activity = null) => Guard(static (self, refused) =>
    {
        EngineMeter.Refused.Add(1, self._model, new(EngineMeter.ErrorType, refused.Error.GetType().FullName));
        Stop(refused.Activity, refused.Error);
        if (self._logger is { } logger)
        {
            EngineLog.Refused(logger, refused.Error.Message);
        }
    }, (Error: error, Activity: activity));

    /// <summary>Counts a round.</summary>
    /// <param name="times">What it took.</param>
    public void Round(in RoundTimes times) => Guard(static (self, times) =>
    {
        if (EngineMeter.Rounds.Enabled || EngineMeter.RoundTime.Enabled)
        {
            EngineMeter.Rounds.Add(1, self._model);
            EngineMeter.RoundTime.Add(times.Forward.TotalSeconds, self._model, new("part", "forward"));
            EngineMeter.RoundTime.Add((times.Whole - times.Forward).TotalSeconds, self._model, new("part", "outside"));
        }
    }, times);

    /// <summary>Counts a request that has ended, however it did, and ends its activity.</summary>
    public void End(in RequestEnd end, Activity? activity) => Guard(static (self, ended) => self.Count(ended.End, ended.Activity), (End: end, Activity: activity));

    /// <summary>The engine is gone.</summary>
    public void Dispose() => Guard(static (self, _) => EngineMeter.Remove(self), 0);

    /// <summary>For the gauge of requests.</summary>
    public IEnumerable<Measurement<long>> Requests()
    {
        var now = _snapshot();
        return [State(now.Active, "active"), State(now.Waiting, "waiting")];
    }

    /// <summary>For the gauge of pages.</summary>
    public IEnumerable<Measurement<long>> Pages()
    {
        var now = _snapshot();
        return [State(now.UsedPages, "used"), State(Math.Max(now.FreePages - now.CachedPages, 0), "free"), State(now.CachedPages, "cached")];
    }

    /// <summary>For the counter of preemptions.</summary>
    public IEnumerable<Measurement<long>> Preemptions() => [new(_snapshot().Preemptions, _model)];

    private Activity? Start(SequenceRequest request, GenerationOptions options)
        => EngineMeter.Activities.StartActivity($"{EngineMeter.OperationName} {Name}", ActivityKind.Internal, parentContext: default, tags:
        [
            new(EngineMeter.Operation, EngineMeter.OperationName),
            new(EngineMeter.Provider, EngineMeter.ProviderName),
            _model,
            new("gen_ai.usage.input_tokens", request.Prompt.Length),
            new("gen_ai.request.max_tokens", request.MaxTokens),
            new("gen_ai.request.temperature", options.Temperature),
            new("gen_ai.request.top_p", options.TopP),
            new("gen_ai.request.top_k", options.TopK),
            new("gen_ai.request.seed", request.Seed),
        ]);

    private Measurement<long> State(long value, string state) => new(value, _model, new("state", state));

    private void Count(in RequestEnd end, Activity? activity)
    {
        var tags = new TagList { { EngineMeter.Operation, EngineMeter.OperationName }, { EngineMeter.Provider, EngineMeter.ProviderName }, _model };
        if (end.FirstToken is { } first)
        {
            EngineMeter.TimeToFirstToken.Record(first.TotalSeconds, tags);
        }

        if (end.OutputTokens > 1)
        {
            EngineMeter.TimePerOutputToken.Record(end.Decode.TotalSeconds / (end.OutputTokens - 1), tags);
        }

        EngineMeter.QueueTime.Record(end.Queue.TotalSeconds, _model);
        EngineMeter.PromptTokens.Add(end.PromptTokens - end.CachedTokens, _model, ComputedSource);
        EngineMeter.PromptTokens.Add(end.CachedTokens, _model, CachedSource);
        EngineMeter.OutputTokens.Add(end.OutputTokens, _model);
        CountSpeculation(end.Stats);
        if (end.Error is { } error && EngineMeter.RequestDuration.Enabled)
        {
            tags.Add(EngineMeter.ErrorType, error.GetType().FullName);
        }

        EngineMeter.RequestDuration.Record(end.Duration.TotalSeconds, tags);
        Describe(activity, end);
        Stop(activity, end.Error);
        if (_logger is { } logger && logger.IsEnabled(LogLevel.Debug))
        {
            var outcome = end.Error?.GetType().Name ?? end.FinishReason.ToString()!;
            EngineLog.Ended(logger, end.PromptTokens, end.OutputTokens, end.FirstToken, end.Duration, outcome);
        }
    }

    private void CountSpeculation(StatsCounter? stats)
    {
        if (stats is null || stats.Names.Count == 0 || !EngineMeter.CountsSpeculation)
        {
            return;
        }

        EngineMeter.Drafts.Add(stats.RoundsDrafted, _model);
        EngineMeter.DraftTokens.Add(stats.Drafted, _model);
        EngineMeter.AcceptedTokens.Add(stats.Accepted, _model);
        for (var i = 0; i < stats.Positions.Count; i++)
        {
            if (stats.Positions[i] > 0)
            {
                EngineMeter.AcceptedTokensPerPosition.Add(stats.Positions[i], _model, new KeyValuePair<string, object?>("position", i));
            }
        }

        for (var drafter = 0; drafter < stats.Names.Count; drafter++)
        {
            var count = stats.Of(drafter);
            var tag = new KeyValuePair<string, object?>("drafter", _drafters.Contains(stats.Names[drafter]) ? stats.Names[drafter] : "other");
            CountPositions(EngineMeter.Drafted, count.Drafted, tag);
            CountPositions(EngineMeter.Accepted, count.Accepted, tag);
        }
    }

    private void CountPositions(Counter<long> counter, int[] positions, KeyValuePair<string, object?> drafter)
    {
        for (var i = 0; i < positions.Length; i++)
        {
            if (positions[i] > 0)
            {
                counter.Add(positions[i], _model, drafter, new("position", i + 1));
            }
        }
    }

    private static void Describe(Activity? activity, in RequestEnd end)
    {
        if (activity is null)
        {
            return;
        }

        activity.SetTag("gen_ai.usage.output_tokens", end.OutputTokens);
        activity.SetTag("gen_ai.usage.cache_read.input_tokens", end.CachedTokens);
        activity.SetTag("nativespec.queue_time", end.Queue.TotalSeconds);
        if (end.FirstToken is { } first)
        {
            activity.SetTag("nativespec.time_to_first_token", first.TotalSeconds);
        }

        if (end.FinishReason is { } reason)
        {
            activity.SetTag("gen_ai.response.finish_reasons", new[] { reason == FinishReason.Stop ? "stop" : "length" });
        }

        if (end.Stats is { } stats)
        {
            activity.SetTag("nativespec.rounds", stats.Rounds);
            activity.SetTag("nativespec.drafted", stats.Drafted);
            activity.SetTag("nativespec.accepted", stats.Accepted);
        }
    }

    private static void Stop(Activity? activity, Exception? error)
    {
        if (activity is null)
        {
            return;
        }

        if (error is not null)
        {
            activity.SetTag(EngineMeter.ErrorType, error.GetType().FullName);
            activity.SetStatus(ActivityStatusCode.Error, error.Message);
        }

        var current = Activity.Current;
        activity.Stop();
        Activity.Current = current; // stopping made the caller's activity current, on whatever thread this is
    }

    private void Guard<T>(Action<EngineTelemetry, T> act, T argument)
    {
        try
        {
            act(this, argument);
        }
#pragma warning disable CA1031 // A listener may throw anything.
        catch (Exception error)
#pragma warning restore CA1031
        {
            LogFailure(error);
        }
    }

    private void LogFailure(Exception error)
    {
        if (_logger is { } logger)
        {
            EngineLog.ListenerFailed(logger, error);
        }
    }
}
