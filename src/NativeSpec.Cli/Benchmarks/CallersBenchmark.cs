using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>What a way to speculate does for a number of callers at once.</summary>
/// <param name="Method">Its name on the command line.</param>
/// <param name="Callers">Requests at once.</param>
/// <param name="Temperature">Of all requests; null for what the checkpoint recommends.</param>
internal sealed record CallersResult(string Method, int Callers, float? Temperature)
{
    /// <summary>For each group of requests, tokens per second of plain decoding, all callers together, the computing of prompts included.</summary>
    public List<double> PlainSpeeds { get; } = [];

    /// <summary>For each group, tokens per second with the method.</summary>
    public List<double> Speeds { get; } = [];

    /// <summary>For each group, their quotient.</summary>
    public IEnumerable<double> Ratios => Speeds.Zip(PlainSpeeds, (speed, plain) => speed / plain);

    /// <summary>The statistics of every request with the method.</summary>
    public List<SpeculationStats> Stats { get; } = [];

    /// <summary>Texts that were compared with plain decoding's, and those of them that were others.</summary>
    public (int Compared, int Different) Texts { get; private set; }

    public double TokensPerRound => (double)Stats.Sum(s => s.Emitted) / Math.Max(Stats.Sum(s => s.Rounds), 1);

    /// <summary>Takes in a group.</summary>
    public void Add(CallersBenchmark.Group plain, CallersBenchmark.Group fast)
    {
        PlainSpeeds.Add(plain.TokensPerSecond);
        Speeds.Add(fast.TokensPerSecond);
        Stats.AddRange(fast.Results.Select(result => result.Speculation));
        var different = plain.Results.Zip(fast.Results).Count(pair => !pair.First.Ids.SequenceEqual(pair.Second.Ids));
        Texts = (Texts.Compared + fast.Results.Length, Texts.Different + different);
    }
}

/// <summary>Plain decoding against a way to speculate with several callers at once. Each has an engine of its own, which has never written
/// what the other has: some drafters remember. Both engines are given the same group of prompts in turns, so that whatever else the machine does meets
/// both alike.</summary>
internal static class CallersBenchmark
{
    private const int WarmUpTokens = 24;

    /// <summary>A list such as <c>1,4,16</c>.</summary>
    /// <param name="list">What was typed.</param>
    /// <param name="most">The largest number that makes sense.</param>
    /// <exception cref="UsageException">It is none.</exception>
    public static int[] Parse(string list, int most = 256) =>
    [
        .. list.Split(',').Select(text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= 1 && count <= most
            ? count : throw new UsageException($"--callers: '{text}' is no number of callers; expected 1 to {most}, such as 1,4,16")),
    ];

    /// <summary>Measures one number of callers.</summary>
    /// <param name="load">Loads an engine for so many requests at once.</param>
    /// <param name="prompts">Prompts; those that do not fill a group are left out, unless there are fewer than callers.</param>
    /// <param name="request">How they are completed.</param>
    /// <param name="result">Receives what was measured.</param>
    /// <param name="speculation">What the method asks for.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public static async Task RunAsync(
        Func<int, InferenceEngine> load, List<int[]> prompts, GenerationOptions request, CallersResult result, SpeculationOptions speculation, CancellationToken cancellationToken)
    {
        request = request with { Temperature = result.Temperature };
        using InferenceEngine plain = load(result.Callers), fast = load(result.Callers);
        await fast.WarmUpAsync(cancellationToken).ConfigureAwait(false);
        await WriteAsync(plain, [prompts[^1]], 0, request with { MaxTokens = WarmUpTokens, Speculation = SpeculationOptions.Off }, cancellationToken).ConfigureAwait(false);
        await WriteAsync(fast, [prompts[^1]], 0, request with { MaxTokens = WarmUpTokens, Speculation = speculation }, cancellationToken).ConfigureAwait(false);
        var groups = Math.Max(prompts.Count / result.Callers, 1);
        for (var group = 0; group < groups; group++)
        {
            var first = group * result.Callers;
            var some = prompts.GetRange(first, Math.Min(result.Callers, prompts.Count - first));
            var isPlainFirst = group % 2 == 0;
            var one = await InTurnAsync(isPlainFirst).ConfigureAwait(false);
            var other = await InTurnAsync(!isPlainFirst).ConfigureAwait(false);
            result.Add(isPlainFirst ? one : other, isPlainFirst ? other : one);

            Task<Group> InTurnAsync(bool isPlain) => WriteAsync(
                isPlain ? plain : fast, some, first, request with { Speculation = isPlain ? SpeculationOptions.Off : speculation }, cancellationToken);
        }
    }

    /// <summary>For people.</summary>
    public static void Print(Terminal terminal, IReadOnlyList<CallersResult> results)
        => Tables.Print(terminal, ["method", "callers", "temperature", "× plain", "middle half", "plain tokens/s", "tokens/s", "tokens/round", "same text"], 1, results.Select(result =>
        {
            var ratio = Quartiles.Of(result.Ratios);
            return new[]
            {
                result.Method, Number(result.Callers, "0"), result.Temperature is { } temperature ? Number(temperature, "0.0##") : "recommended",
                Number(ratio.Median, "0.00"), $"{Number(ratio.Lower, "0.00")}–{Number(ratio.Upper, "0.00")}",
                Number(Quartiles.Of(result.PlainSpeeds).Median, "0.0"), Number(Quartiles.Of(result.Speeds).Median, "0.0"),
                Number(result.TokensPerRound, "0.00"), $"{result.Texts.Compared - result.Texts.Different} of {result.Texts.Compared}",
            };
        }));

    /// <summary>For programs.</summary>
    public static void Write(Utf8JsonWriter json, IReadOnlyList<CallersResult> results)
    {
        json.WriteStartArray("callers");
        foreach (var result in results)
        {
            json.WriteStartObject();
            json.WriteString("method", result.Method);
            json.WriteNumber("callers", result.Callers);
            if (result.Temperature is { } temperature)
            {
                json.WriteNumber("temperature", temperature);
            }

            json.WriteMeasured("ratio", Quartiles.Of(result.Ratios).Median);
            json.WriteMeasured("plain_tokens_per_second", Quartiles.Of(result.PlainSpeeds).Median);
            json.WriteMeasured("tokens_per_second", Quartiles.Of(result.Speeds).Median);
            json.WriteMeasured("tokens_per_round", result.TokensPerRound);
            json.WriteNumber("texts_equal", result.Texts.Compared - result.Texts.Different);
            json.WriteNumber("texts", result.Texts.Compared);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private static async Task<Group> WriteAsync(
        InferenceEngine engine, List<int[]> prompts, int firstSeed, GenerationOptions request, CancellationToken cancellationToken)
    {
        var began = Stopwatch.GetTimestamp();
        var results = await Task.WhenAll(prompts.Select(
            (prompt, i) => engine.CompleteAsync(prompt, request with { Seed = (ulong)(firstSeed + i) }, cancellationToken))).ConfigureAwait(false);
        return new Group(results, Stopwatch.GetElapsedTime(began));
    }

    /// <summary>Requests that were served at once.</summary>
    internal sealed record Group(GenerationResult[] Results, TimeSpan Time)
    {
        public double TokensPerSecond => Results.Sum(result => result.Ids.Count) / Time.TotalSeconds;
    }
}
