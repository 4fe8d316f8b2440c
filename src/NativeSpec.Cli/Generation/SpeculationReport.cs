using System.Globalization;
using System.Text.Json;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Generation;

/// <summary>What speculation did, for people and for programs.</summary>
internal static class SpeculationReport
{
    /// <summary>The object <c>speculation</c>.</summary>
    public static void Write(Utf8JsonWriter json, SpeculationStats stats)
    {
        json.WriteStartObject("speculation");
        json.WriteBoolean("lossy", stats.IsLossy);
        json.WriteNumber("rounds", stats.Rounds);
        json.WriteNumber("drafted", stats.Drafted);
        json.WriteNumber("accepted", stats.Accepted);
        json.WriteNumber("emitted", stats.Emitted);
        json.WriteNumber("probes", stats.Probes);
        json.WriteMeasured("tokens_per_round", stats.TokensPerRound);
        json.WriteMeasured("acceptance_rate", stats.AcceptanceRate);
        json.WriteIds("accepted_per_position", stats.AcceptedPerPosition);
        json.WriteMeasured("draft_ms", stats.DraftTime.TotalMilliseconds);
        json.WriteMeasured("verify_ms", stats.VerifyTime.TotalMilliseconds);
        json.WriteMeasured("plan_ms", stats.PlanTime.TotalMilliseconds);
        json.WriteStartArray("drafters");
        foreach (var drafter in stats.Drafters)
        {
            Write(json, drafter);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>A line per drafter that was asked, and what all of them gave; nothing where nothing was drafted for.</summary>
    public static IEnumerable<string> Lines(SpeculationStats stats)
    {
        if (stats.Drafters.Count == 0 || stats.Rounds == 0)
        {
            yield break;
        }

        yield return string.Create(CultureInfo.InvariantCulture,
            $"[{(stats.IsLossy ? "LOSSY typical acceptance: " : "")}{stats.TokensPerRound:0.00} tokens a round in {stats.Rounds} rounds; {stats.Accepted} of {stats.Drafted} candidates accepted ({string.Join(", ", stats.AcceptedPerPosition)} by position); draft {stats.DraftTime.TotalMilliseconds:0.0} ms, verify {stats.VerifyTime.TotalMilliseconds:0.0} ms, plan {stats.PlanTime.TotalMilliseconds:0.0} ms]");
        foreach (var drafter in stats.Drafters.Where(drafter => drafter.Rounds > 0))
        {
            yield return string.Create(CultureInfo.InvariantCulture,
                $"[  {drafter.Name}: asked in {drafter.Rounds} rounds, proposed {drafter.Proposed}, computed {drafter.Drafted}, accepted {drafter.Accepted} in {drafter.Time.TotalMilliseconds:0.0} ms]");
        }
    }

    /// <summary>A drafter's share in several texts.</summary>
    public static DrafterStats Sum(IEnumerable<DrafterStats> texts)
        => texts.Aggregate((a, b) => a with
        {
            Rounds = a.Rounds + b.Rounds,
            Proposed = a.Proposed + b.Proposed,
            Drafted = a.Drafted + b.Drafted,
            Accepted = a.Accepted + b.Accepted,
            AcceptedPerPosition = Add(a.AcceptedPerPosition, b.AcceptedPerPosition, (x, y) => x + y, 0),
            Ranks = Add(a.Ranks, b.Ranks, (x, y) => Add(x, y, (m, n) => new RankCount(m.Judged + n.Judged, m.Right + n.Right), default), []),
            Time = a.Time + b.Time,
        });

    /// <summary>One drafter.</summary>
    public static void Write(Utf8JsonWriter json, DrafterStats drafter)
    {
        json.WriteStartObject();
        json.WriteString("name", drafter.Name);
        json.WriteNumber("rounds", drafter.Rounds);
        json.WriteNumber("proposed", drafter.Proposed);
        json.WriteNumber("drafted", drafter.Drafted);
        json.WriteNumber("accepted", drafter.Accepted);
        json.WriteMeasured("acceptance_rate", (double)drafter.Accepted / drafter.Drafted);
        json.WriteMeasured("accepted_per_round", (double)drafter.Accepted / drafter.Rounds);
        json.WriteIds("accepted_per_position", drafter.AcceptedPerPosition);
        json.WriteStartArray("judged");
        foreach (var depth in drafter.Ranks)
        {
            json.WriteStartArray();
            foreach (var rank in depth)
            {
                json.WriteStartArray();
                json.WriteNumberValue(rank.Right);
                json.WriteNumberValue(rank.Judged);
                json.WriteEndArray();
            }

            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.WriteMeasured("ms", drafter.Time.TotalMilliseconds);
        json.WriteEndObject();
    }

    private static T[] Add<T>(IReadOnlyList<T> a, IReadOnlyList<T> b, Func<T, T, T> add, T none)
        => [.. Enumerable.Range(0, Math.Max(a.Count, b.Count)).Select(i => add(i < a.Count ? a[i] : none, i < b.Count ? b[i] : none))];
}
