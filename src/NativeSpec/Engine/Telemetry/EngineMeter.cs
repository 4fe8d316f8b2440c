using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace NativeSpec.Engine.Telemetry;

/// <summary>The process's instruments: one meter and one activity source for all engines, which a tag tells apart. Names and attributes are those of OpenTelemetry's
/// conventions for generative AI where they have some (<c>gen_ai.*</c>, model servers), otherwise <c>nativespec.*</c>.</summary>
/// <remarks>Counters of tokens, drafting and requests grow when a request ends, whatever ends it; those of rounds with every round. Where nobody listens
/// to an instrument, nothing is computed for it and nothing allocated.</remarks>
internal static class EngineMeter
{
    /// <summary>The name to listen to.</summary>
    public const string Name = "NativeSpec";

    /// <summary>Which engine: <see cref="EngineOptions.Name"/>.</summary>
    public const string Model = "gen_ai.request.model";

    public const string Operation = "gen_ai.operation.name", OperationName = "text_completion", Provider = "gen_ai.provider.name", ProviderName = "nativespec", ErrorType = "error.type";

    // A token takes from a tenth of a millisecond to a few tenths of a second, a first one what its prompt takes: the conventions' own boundaries begin at 10 ms and 1 ms.
    private static readonly double[] TokenSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
    private static readonly double[] FirstTokenSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
    private static readonly double[] RequestSeconds = [0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

    private static readonly string? Version = typeof(EngineMeter).Assembly.GetName().Version?.ToString(3);
    private static readonly Meter Meter = new(Name, Version);
    private static readonly ConcurrentDictionary<EngineTelemetry, EngineTelemetry> Engines = new();

    public static ActivitySource Activities { get; } = new(Name, Version);

    public static Histogram<double> RequestDuration { get; } = Seconds("gen_ai.server.request.duration", "From the first read to the end of a request, with error.type where it failed or was cancelled", RequestSeconds);

    public static Histogram<double> TimeToFirstToken { get; } = Seconds("gen_ai.server.time_to_first_token", "From the first read to the first token", FirstTokenSeconds);

    public static Histogram<double> TimePerOutputToken { get; } = Seconds("gen_ai.server.time_per_output_token", "Between tokens after the first, the mean of a request", TokenSeconds);

    public static Histogram<double> QueueTime { get; } = Seconds("nativespec.request.queue_time", "From the first read until the engine began with a request", FirstTokenSeconds);

    public static Counter<long> Refused { get; } = Meter.CreateCounter<long>("nativespec.requests.refused", "{request}", "Requests that were refused, with error.type");

    public static Counter<long> PromptTokens { get; } = Meter.CreateCounter<long>("nativespec.prompt.tokens", "{token}", "Tokens of prompts: source is computed, or cached where another request had left their keys and values");

    public static Counter<long> OutputTokens { get; } = Meter.CreateCounter<long>("nativespec.output.tokens", "{token}", "Tokens written");

    public static Counter<long> Rounds { get; } = Meter.CreateCounter<long>("nativespec.rounds", "{round}", "Forwards, each for all requests that are being served");

    public static Counter<double> RoundTime { get; } = Meter.CreateCounter<double>("nativespec.round.time", "s", "Time of rounds: part is forward, or outside for drafting, planning, choosing and learning");

    public static Counter<long> Drafted { get; } = Meter.CreateCounter<long>("nativespec.speculation.drafted", "{token}", "Candidates that were computed, by each drafter that proposed them and by position after the last token, from 1; 64 has all greater depths too");

    public static Counter<long> Accepted { get; } = Meter.CreateCounter<long>("nativespec.speculation.accepted", "{token}", "Candidates that became text, by drafter and by position after the last token, from 1; 64 has all greater depths too");

    // The stems under which model servers export these, so that dashboards find them: a candidate counts once, whoever proposed it.
    public static Counter<long> Drafts { get; } = Meter.CreateCounter<long>("nativespec.spec_decode.num_drafts", "{round}", "Rounds in which candidates of a request were computed, each of one request");

    public static Counter<long> DraftTokens { get; } = Meter.CreateCounter<long>("nativespec.spec_decode.num_draft_tokens", "{token}", "Candidates that were computed");

    public static Counter<long> AcceptedTokens { get; } = Meter.CreateCounter<long>("nativespec.spec_decode.num_accepted_tokens", "{token}", "Candidates that became text");

    public static Counter<long> AcceptedTokensPerPosition { get; } = Meter.CreateCounter<long>("nativespec.spec_decode.num_accepted_tokens_per_pos", "{token}", "Candidates that became text, by position after the last token, from 0; 63 has all greater depths too");

    private static readonly Instrument[] Gauges =
    [
        Meter.CreateObservableUpDownCounter("nativespec.requests", () => Observe(engine => engine.Requests()), "{request}", "Requests by state: active ones are computed, waiting ones are not yet"),
        Meter.CreateObservableUpDownCounter("nativespec.kv.pages", () => Observe(engine => engine.Pages()), "{page}", "Pages of 64 tokens' keys and values, by state"),
        Meter.CreateObservableCounter("nativespec.preemptions", () => Observe(engine => engine.Preemptions()), "{preemption}", "How often a request has given its pages back to an older one"),
    ];

    /// <summary>Whether anybody listens to one of the counters of speculation.</summary>
    public static bool CountsSpeculation => Drafted.Enabled || Accepted.Enabled || Drafts.Enabled || DraftTokens.Enabled || AcceptedTokens.Enabled || AcceptedTokensPerPosition.Enabled;

    /// <summary>Makes the instruments, if they are not there yet.</summary>
    public static void Prepare() => GC.KeepAlive(Gauges);

    /// <summary>Shows an engine in the gauges from now on.</summary>
    public static void Add(EngineTelemetry engine)
    {
        Prepare();
        Engines[engine] = engine;
    }

    /// <summary>Shows it no more.</summary>
    public static void Remove(EngineTelemetry engine) => Engines.TryRemove(engine, out _);

    private static IEnumerable<Measurement<long>> Observe(Func<EngineTelemetry, IEnumerable<Measurement<long>>> of) => Engines.Keys.SelectMany(of);

    private static Histogram<double> Seconds(string name, string description, double[] boundaries)
        => Meter.CreateHistogram(name, "s", description, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = boundaries });
}
