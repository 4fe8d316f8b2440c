using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>Situations that a service meets, with what they are to be compared with.</summary>
internal static class LoadScenarios
{
    private const int NewTokens = 20;

    /// <summary>A conversation goes on: the second prompt is the first, its answer and something new. The same prompt is written by a fresh engine too.</summary>
    public static async Task<ScenarioResult> SecondTurnAsync(LoadSetup setup, CancellationToken cancellationToken)
    {
        int longTokens;
        List<double> firsts = [], seconds = [], colds = [];
        List<LoadSample> turns = [];
        using (var engine = setup.Load(4, null, 64))
        {
            var (prompts, random) = (setup.PromptsFor(engine), new Random(setup.Seed));
            longTokens = setup.LongTokensOf(engine, 2000, after: 3 * NewTokens);
            await setup.AskAsync(engine, prompts.Make(LoadSetup.ShortPrompt, random), NewTokens, cancellationToken).ConfigureAwait(false);
            for (var i = 0; i < setup.Repeats; i++)
            {
                var prompt = prompts.Make(longTokens, random);
                var first = await setup.AskAsync(engine, prompt, NewTokens, cancellationToken).ConfigureAwait(false);
                int[] next = [.. prompt, .. first.Ids, .. prompts.Make(NewTokens, random)];
                var second = await setup.AskAsync(engine, next, NewTokens, cancellationToken).ConfigureAwait(false);
                firsts.Add(first.FirstMs);
                seconds.Add(second.FirstMs);
                turns.Add(second);
            }
        }

        using (var fresh = setup.Load(1, null, 64))
        {
            foreach (var turn in turns)
            {
                colds.Add((await setup.AskAsync(fresh, turn.Request.Prompt, NewTokens, cancellationToken).ConfigureAwait(false)).FirstMs);
            }
        }

        await setup.CompareAsync(turns, cancellationToken).ConfigureAwait(false);
        double first50 = Percentiles.Of(firsts).P50, second50 = Percentiles.Of(seconds).P50, cold50 = Percentiles.Of(colds).P50;
        return ScenarioResult.Of(
        [
            new("conversation_tokens", longTokens, ""),
            new("first_turn_first_token_ms", first50, "ms"),
            new("second_turn_first_token_ms", second50, "ms"),
            new("second_turn_of_a_fresh_engine_first_token_ms", cold50, "ms"),
            new("second_to_first", Percentiles.Of(seconds.Zip(firsts, (second, first) => second / first)).P50, "×"),
        ],
        turns,
        new LoadPanel($"A conversation of {longTokens} tokens, first token, ms", ["first turn", "second turn", "of a fresh engine"], [("median", [first50, second50, cold50])]));
    }

    /// <summary>Long requests at once, and a cache that holds the tokens of an eighth of them (rounded down, but of one at least), and a round's candidates for each: texts grow until there are no pages left.</summary>
    public static async Task<ScenarioResult> ExhaustedAsync(LoadSetup setup, int requests, CancellationToken cancellationToken)
    {
        var maxTokens = 4 * setup.Options.MaxTokens!.Value;
        var longTokens = setup.LongTokens ?? 256;
        using var engine = setup.Load(requests, Math.Max(requests / 8, 1) * (long)(longTokens + maxTokens), requests);
        var (prompts, random) = (setup.PromptsFor(engine), new Random(setup.Seed));
        setup.LongTokensOf(engine, longTokens, after: maxTokens);
        var asked = Enumerable.Range(0, requests).Select(_ => setup.Request(prompts.Make(longTokens, random), maxTokens, LoadKind.Long)).ToArray();
        var alone = await setup.WriteAloneAsync(asked, cancellationToken).ConfigureAwait(false);
        var run = new LoadRun(engine, asked, alone, pauseMs: 1, setup.Seed);
        var result = await run.RunAsync(requests, requests, cancellationToken).ConfigureAwait(false);
        return ScenarioResult.Of(
        [
            new("requests", requests, ""),
            new("tokens_of_a_request", longTokens + maxTokens, ""),
            new("kv_tokens", engine.KvTokens, ""),
            new("preemptions", engine.Scheduler.Preemptions, ""),
            new("seconds", result.Elapsed.TotalSeconds, "s"),
            new("tokens_per_second", result.TokensPerSecond, "tokens/s"),
            new("first_token_p50_ms", result.First(LoadKind.Long).P50, "ms"),
            new("first_token_p99_ms", result.First(LoadKind.Long).P99, "ms"),
        ],
        result.Samples,
        new LoadPanel($"{requests} requests at once and too few pages, first token, ms", [""], LoadPanel.Both(result.First(LoadKind.Long))));
    }

    /// <summary>Four times as many requests at once as are taken: the rest is refused, and those that are taken are served.</summary>
    public static async Task<ScenarioResult> FloodAsync(LoadSetup setup, CancellationToken cancellationToken)
    {
        const int Sequences = 16, MaxWaiting = 48, Callers = 4 * (Sequences + MaxWaiting);
        using var engine = setup.Load(Sequences, null, MaxWaiting);
        var (prompts, random) = (setup.PromptsFor(engine), new Random(setup.Seed));
        var asked = Enumerable.Range(0, Sequences).Select(_ => setup.Request(prompts.Make(LoadSetup.ShortPrompt, random), setup.Options.MaxTokens!.Value)).ToArray();
        var alone = await setup.WriteAloneAsync(asked, cancellationToken).ConfigureAwait(false);
        var run = new LoadRun(engine, asked, alone, pauseMs: 0, setup.Seed);
        var result = await run.RunAsync(Callers, Callers, cancellationToken).ConfigureAwait(false);
        var refused = result.Samples.Where(sample => sample.Error == nameof(EngineBusyException)).ToArray();
        var served = result.Samples.Except(refused).ToArray();
        Percentiles refusal = Percentiles.Of(refused.Select(sample => sample.WholeMs)), first = Percentiles.Of(served.Select(sample => sample.FirstMs));
        return ScenarioResult.Of(
        [
            new("requests", Callers, ""),
            new("taken_at_once", Sequences + MaxWaiting, ""),
            new("served", served.Length, ""),
            new("refused", refused.Length, ""),
            new("refusal_p50_ms", refusal.P50, "ms"),
            new("refusal_p99_ms", refusal.P99, "ms"),
            new("first_token_p50_ms", first.P50, "ms"),
            new("first_token_p99_ms", first.P99, "ms"),
        ],
        served,
        new LoadPanel("Time until a request was refused, ms", [""], LoadPanel.Both(refusal)),
        new LoadPanel("First token of those that were taken, ms", [""], LoadPanel.Both(first)));
    }
}
