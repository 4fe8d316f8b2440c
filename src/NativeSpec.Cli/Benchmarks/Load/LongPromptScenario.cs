using System.Diagnostics;
using NativeSpec.Engine;
using NativeSpec.Engine.Rounds;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>A long prompt arrives while a text is being written, and six requests with short prompts come after it at random times. Each repeat measures in
/// turns the long prompt alone, a short request alone, the text alone, the text beside short requests, and all three, so that whatever else the machine does
/// meets them alike.</summary>
internal sealed class LongPromptScenario : IDisposable
{
    private const int ShortRequests = 6;
    private const int ShortTexts = 8; // tokens that each of them writes

    private readonly LoadSetup _setup;
    private readonly InferenceEngine _engine;
    private readonly LoadPrompts _prompts;
    private readonly Random _random;
    private readonly int _longTokens;
    private readonly List<double> _longAlone = [];
    private readonly List<double> _longAmong = [];
    private readonly List<double> _shortAlone = []; // whole requests
    private readonly List<LoadSample> _all = [];

    public LongPromptScenario(LoadSetup setup)
    {
        _setup = setup;
        _random = new Random(setup.Seed);
        _engine = setup.Load(16, null, 64);
        _prompts = setup.PromptsFor(_engine);
        _longTokens = setup.LongTokensOf(_engine, 3000, after: 1);
    }

    public async Task<ScenarioResult> RunAsync(CancellationToken cancellationToken)
    {
        await AskShortAsync(_random, cancellationToken).ConfigureAwait(false); // warms up
        List<double> shortQuiet = [], shortBusy = [], gapsAlone = [], gapsQuiet = [], gapsBusy = [];
        for (var i = 0; i < _setup.Repeats; i++)
        {
            var alone = await AskLongAsync(_longAlone, cancellationToken).ConfigureAwait(false);
            var stretch = TimeSpan.FromMilliseconds(Math.Clamp(alone.FirstMs, 500, 60_000));
            _shortAlone.Add((await AskShortAsync(_random, cancellationToken).ConfigureAwait(false)).WholeMs);
            await BesideAsync(gapsAlone, null, stretch, () => Task.Delay(TimeSpan.FromMilliseconds(500), cancellationToken), cancellationToken).ConfigureAwait(false);
            await BesideAsync(gapsQuiet, shortQuiet, stretch, () => Task.Delay(stretch, cancellationToken), cancellationToken).ConfigureAwait(false);
            await BesideAsync(gapsBusy, shortBusy, stretch, () => AskLongAsync(_longAmong, cancellationToken), cancellationToken).ConfigureAwait(false);
        }

        await _setup.CompareAsync(_all, cancellationToken).ConfigureAwait(false);
        return Result(Percentiles.Of(shortQuiet), Percentiles.Of(shortBusy), Percentiles.Of(gapsAlone), Percentiles.Of(gapsQuiet), Percentiles.Of(gapsBusy));
    }

    public void Dispose() => _engine.Dispose();

    private ScenarioResult Result(Percentiles shortQuiet, Percentiles shortBusy, Percentiles gapsAlone, Percentiles gapsQuiet, Percentiles gapsBusy)
    {
        // What a round beside the text may take by the engine's own rule: the bound allows short prompts one of these.
        var roundMs = PromptSharing.BesideTexts(gapsAlone.P50 / 1000) * 1000;
        var ownMs = ShortRequests * Percentiles.Of(_shortAlone).P50;
        return ScenarioResult.Of(
        [
            new("long_tokens", _longTokens, ""),
            new("long_alone_ms", Percentiles.Of(_longAlone).P50, "ms"),
            new("long_among_others_ms", Percentiles.Of(_longAmong).P50, "ms"),
            new("long_ratio", Percentiles.Of(_longAmong.Zip(_longAlone, (among, alone) => among / alone)).P50, "×"),
            new("long_ratio_without_what_short_requests_take_alone", Percentiles.Of(_longAmong.Zip(_longAlone, (among, alone) => (among - ownMs) / alone)).P50, "×"),
            new("long_ratio_asked", 1.15, "×"),
            new("short_requests_beside_a_long_prompt", ShortRequests, ""),
            new("short_request_alone_ms", Percentiles.Of(_shortAlone).P50, "ms"),
            new("short_first_token_undisturbed_p50_ms", shortQuiet.P50, "ms"),
            new("short_first_token_undisturbed_p99_ms", shortQuiet.P99, "ms"),
            new("short_first_token_p50_ms", shortBusy.P50, "ms"),
            new("short_first_token_p99_ms", shortBusy.P99, "ms"),
            new("round_budget_ms", roundMs, "ms"),
            new("short_first_token_asked_ms", (2 * shortQuiet.P50) + roundMs, "ms"),
            new("inter_token_alone_p50_ms", gapsAlone.P50, "ms"),
            new("inter_token_alone_p99_ms", gapsAlone.P99, "ms"),
            new("inter_token_undisturbed_p50_ms", gapsQuiet.P50, "ms"),
            new("inter_token_undisturbed_p99_ms", gapsQuiet.P99, "ms"),
            new("inter_token_p50_ms", gapsBusy.P50, "ms"),
            new("inter_token_p99_ms", gapsBusy.P99, "ms"),
            new("inter_token_ratio_p99_to_alone", gapsBusy.P99 / gapsAlone.P99, "×"),
            new("inter_token_ratio_p99", gapsBusy.P99 / gapsQuiet.P99, "×"),
            new("inter_token_ratio_p99_asked", 3, "×"),
        ],
        _all,
        new("Short prompts, first token, ms", ["undisturbed", "with the long prompt"], LoadPanel.Both(shortQuiet, shortBusy)),
        new("A running text, between tokens, ms", ["alone", "with short requests", "with the long prompt too"], LoadPanel.Both(gapsAlone, gapsQuiet, gapsBusy)),
        new($"The long prompt of {_longTokens} tokens, first token, ms", ["alone", "among others"], [("median", [Percentiles.Of(_longAlone).P50, Percentiles.Of(_longAmong).P50])]));
    }

    private async Task<LoadSample> AskLongAsync(List<double> firsts, CancellationToken cancellationToken)
    {
        var sample = await _setup.AskAsync(_engine, _prompts.Make(_longTokens, _random), 1, cancellationToken).ConfigureAwait(false);
        firsts.Add(sample.FirstMs);
        _all.Add(sample);
        return sample;
    }

    private Task<LoadSample> AskShortAsync(Random random, CancellationToken cancellationToken)
        => _setup.AskAsync(_engine, _prompts.Make(LoadSetup.ShortPrompt, random), ShortTexts, cancellationToken);

    /// <summary>Writes a text, and makes short requests where <paramref name="shorts"/> is there to take their times, while something is done.</summary>
    /// <param name="gaps">Receives the times between the text's pieces.</param>
    /// <param name="shorts">Receives the times to the first tokens of short requests.</param>
    /// <param name="stretch">The time during which these come, each at random.</param>
    /// <param name="meanwhile">What is done.</param>
    /// <param name="cancellationToken">Ends the measurement.</param>
    private async Task BesideAsync(List<double> gaps, List<double>? shorts, TimeSpan stretch, Func<Task> meanwhile, CancellationToken cancellationToken)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        int[] prompt = _prompts.Make(LoadSetup.ShortPrompt, _random);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var stream = Task.Run(() => WriteAsync(prompt, gaps, begun, end.Token), cancellationToken);
        await Task.WhenAny(begun.Task, stream).ConfigureAwait(false);
        var asking = Enumerable.Range(0, shorts is null ? 0 : ShortRequests).Select(_ => AskShortAfterAsync(_random.NextDouble() * stretch, new Random(_random.Next()))).ToArray();
        await Task.WhenAll([meanwhile(), .. asking]).ConfigureAwait(false);
        await end.CancelAsync().ConfigureAwait(false);
        await stream.ConfigureAwait(false);
        foreach (var asked in asking)
        {
            var sample = await asked.ConfigureAwait(false);
            shorts?.Add(sample.FirstMs);
            _all.Add(sample);
        }

        async Task<LoadSample> AskShortAfterAsync(TimeSpan pause, Random random)
        {
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
            return await AskShortAsync(random, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Writes texts of the whole context until the end, and notes the times between their pieces.</summary>
    private async Task WriteAsync(int[] prompt, List<double> gaps, TaskCompletionSource begun, CancellationToken end)
    {
        var request = _setup.Request(prompt, _engine.MaxContext - prompt.Length);
        while (!end.IsCancellationRequested)
        {
            var last = 0L;
            try
            {
                await foreach (var piece in _engine.GenerateAsync(request.Prompt, request.Options, end).ConfigureAwait(false))
                {
                    var now = Stopwatch.GetTimestamp();
                    if (last > 0 && piece.Ids.Count > 0)
                    {
                        gaps.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
                    }

                    last = now;
                    begun.TrySetResult();
                }
            }
            catch (OperationCanceledException) when (end.IsCancellationRequested)
            {
            }
        }
    }
}
