using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>What a number of callers have seen.</summary>
/// <param name="Callers">Callers at once.</param>
/// <param name="Samples">All requests.</param>
/// <param name="Elapsed">From the first call to the last answer.</param>
/// <param name="CpuSeconds">Processor time that the process had meanwhile, callers included.</param>
/// <param name="Before">Memory before.</param>
/// <param name="After">Memory after.</param>
internal sealed record LoadResult(int Callers, LoadSample[] Samples, TimeSpan Elapsed, double CpuSeconds, LoadMemory Before, LoadMemory After)
{
    /// <summary>Of all callers together, texts whose callers went away counted as far as they were read.</summary>
    public double TokensPerSecond => Samples.Sum(sample => sample.Ids.Count) / Elapsed.TotalSeconds;

    /// <summary>Processors that the process had on average: fewer than there are threads, where something else runs on the machine.</summary>
    public double Processors => CpuSeconds / Elapsed.TotalSeconds;

    /// <summary>Texts that are others than those written alone.</summary>
    public int Different => Samples.Count(sample => sample.Differs);

    /// <summary>Failures by the name of their exception.</summary>
    public IReadOnlyDictionary<string, int> Errors
        => Samples.Where(sample => sample.Error is not null).GroupBy(sample => sample.Error!).ToDictionary(group => group.Key, group => group.Count());

    /// <summary>From call to first token, of those kinds.</summary>
    public Percentiles First(params LoadKind[] kinds) => Percentiles.Of(Samples.Where(sample => kinds.Contains(sample.Kind)).Select(sample => sample.FirstMs));

    /// <summary>Between two pieces, of those who read as fast as they can.</summary>
    public Percentiles Gaps => Percentiles.Of(Samples.Where(sample => sample.Kind != LoadKind.Slow).SelectMany(sample => sample.GapsMs));

    /// <summary>For programs.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteNumber("callers", Callers);
        json.WriteNumber("requests", Samples.Length);
        json.WriteMeasured("seconds", Elapsed.TotalSeconds);
        json.WriteMeasured("processors", Processors);
        json.WriteMeasured("tokens_per_second", TokensPerSecond);
        First(LoadKind.Short, LoadKind.Slow, LoadKind.Cancel).Write(json, "short_first_token_ms");
        First(LoadKind.Long).Write(json, "long_first_token_ms");
        Gaps.Write(json, "inter_token_ms");
        json.WriteNumber("cancelled", Samples.Count(sample => sample.Left));
        json.WriteNumber("texts_different", Different);
        json.WriteStartObject("errors");
        foreach (var (name, count) in Errors)
        {
            json.WriteNumber(name, count);
        }

        json.WriteEndObject();
        Before.Write(json, "memory_before");
        After.Write(json, "memory_after");
        json.WriteEndObject();
    }
}

/// <summary>Memory of the process, garbage collected first.</summary>
/// <param name="Managed">Bytes of live objects.</param>
/// <param name="Resident">Bytes of its pages in memory.</param>
internal readonly record struct LoadMemory(long Managed, long Resident)
{
    public static LoadMemory Now() => new(GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet);

    public void Write(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject(name);
        json.WriteNumber("managed_bytes", Managed);
        json.WriteNumber("resident_bytes", Resident);
        json.WriteEndObject();
    }
}

/// <summary>A median and what one in a hundred exceeds.</summary>
/// <param name="P50">The median; NaN without values.</param>
/// <param name="P99">The 99th percentile: the nearest rank.</param>
internal readonly record struct Percentiles(double P50, double P99)
{
    public static Percentiles Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        return sorted.Length == 0 ? new Percentiles(double.NaN, double.NaN) : new Percentiles(At(0.5), At(0.99));

        double At(double share) => sorted[Math.Max((int)Math.Ceiling(share * sorted.Length), 1) - 1];
    }

    public void Write(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject(name);
        json.WriteMeasured("p50", P50);
        json.WriteMeasured("p99", P99);
        json.WriteEndObject();
    }
}

/// <summary>Requests of a mix, made by a number of callers: each waits a while (exponentially distributed, so that arrivals are ragged as a Poisson process's
/// are), makes a request, reads its answer, and begins again.</summary>
/// <param name="engine">Who answers.</param>
/// <param name="requests">The requests that are made, over and over.</param>
/// <param name="alone">The text of each, written with no other beside it.</param>
/// <param name="pauseMs">The mean of a caller's wait.</param>
/// <param name="seed">Of the waits.</param>
internal sealed class LoadRun(InferenceEngine engine, LoadRequest[] requests, int[][] alone, double pauseMs, int seed)
{
    /// <summary>Measures a number of callers.</summary>
    /// <param name="callers">Callers at once.</param>
    /// <param name="count">Requests of all of them.</param>
    /// <param name="cancellationToken">Ends the measurement.</param>
    public async Task<LoadResult> RunAsync(int callers, int count, CancellationToken cancellationToken)
    {
        var samples = new LoadSample[count];
        var next = -1;
        var before = LoadMemory.Now();
        using var process = Process.GetCurrentProcess();
        var (cpu, began) = (process.TotalProcessorTime, Stopwatch.GetTimestamp());
        await Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(() => CallAsync(caller), cancellationToken))).ConfigureAwait(false);
        var elapsed = Stopwatch.GetElapsedTime(began);
        process.Refresh();
        return new LoadResult(callers, samples, elapsed, (process.TotalProcessorTime - cpu).TotalSeconds, before, LoadMemory.Now());

        async Task CallAsync(int caller)
        {
            var random = new Random((seed * 7919) + (callers * 104_729) + caller);
            while (Interlocked.Increment(ref next) is var i && i < count)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(-Math.Log(1 - random.NextDouble()) * pauseMs), cancellationToken).ConfigureAwait(false);
                var which = i % requests.Length;
                // With a salt of its own a request does not find the pages that the same one has left before it: nobody asks the same for ever.
                var request = requests[which] with { Options = requests[which].Options with { CacheSalt = i.ToString(CultureInfo.InvariantCulture) } };
                samples[i] = await LoadCaller.RunAsync(engine, request, cancellationToken).ConfigureAwait(false);
                samples[i].Compare(alone[which]);
            }
        }
    }
}
