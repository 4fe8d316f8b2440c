using System.Diagnostics;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>A long prompt arrives while a text is being written and short prompts come one after the other. Each repeat measures in turns the long
/// prompt alone, the text alone, the text beside short prompts, and all three, so that whatever else the machine does meets them alike.</summary>
internal sealed class LongPromptScenario : IDisposable
{
    private const int ShortTexts = 8;

    private readonly LoadSetup _setup;
    private readonly InferenceEngine _engine;
    private readonly LoadPrompts _prompts;
    private readonly Random _random;
    private readonly int _longTokens;
    private readonly List<double> _longAlone = [];
    private readonly List<double> _longAmong = [];
    private readonly List<LoadSample> _all = [];
    private double _pauseMs;

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
        await AskShortAsync(_random, cancellationToken).ConfigureAwait(false);
        List<double> warm = [];
        for (var i = 0; i < 8; i++)
        {
            warm.Add((await AskShortAsync(_random, cancellationToken).ConfigureAwait(false)).FirstMs);
        }

        _pauseMs = Math.Max(2 * Percentiles.Of(warm).P50, 1);
        List<double> shortQuiet = [], shortBusy = [], gapsAlone = [], gapsQuiet = [], gapsBusy = [];
        for (var i = 0; i < _setup.Repeats; i++)
        {
            var alone = await AskLongAsync(_longAlone, cancellationToken).ConfigureAwait(false);
            var stretch = TimeSpan.FromMilliseconds(Math.Clamp(alone.FirstMs, 500, 5000));
            await BesideAsync(gapsAlone, null, () => Task.Delay(stretch, cancellationToken), cancellationToken).ConfigureAwait(false);
            await BesideAsync(gapsQuiet, shortQuiet, () => Task.Delay(stretch, cancellationToken), cancellationToken).ConfigureAwait(false);
            await BesideAsync(gapsBusy, shortBusy, () => AskLongAsync(_longAmong, cancellationToken), cancellationToken).ConfigureAwait(false);
        }

        await _setup.CompareAsync(_all, cancellationToken).ConfigureAwait(false);
        return Result(Percentiles.Of(shortQuiet), Percentiles.Of(shortBusy), shortBusy.Count, Percentiles.Of(gapsAlone), Percentiles.Of(gapsQuiet), Percentiles.Of(gapsBusy));
    }

    public void Dispose() => _engine.Dispose();

    private ScenarioResult Result(Percentiles shortQuiet, Percentiles shortBusy, int shorts, Percentiles gapsAlone, Percentiles gapsQuiet, Percentiles gapsBusy) => ScenarioResult.Of(
    [
        new("long_tokens", _longTokens, ""),
        new("long_alone_ms", Percentiles.Of(_longAlone).P50, "ms"),
        new("long_among_others_ms", Percentiles.Of(_longAmong).P50, "ms"),
        new("long_ratio", Percentiles.Of(_longAmong.Zip(_longAlone, (among, alone) => among / alone)).P50, "×"),
        new("short_first_token_undisturbed_p50_ms", shortQuiet.P50, "ms"),
        new("short_first_token_undisturbed_p99_ms", shortQuiet.P99, "ms"),
        new("short_first_token_p50_ms", shortBusy.P50, "ms"),
        new("short_first_token_p99_ms", shortBusy.P99, "ms"),
        new("short_ratio_p50", shortBusy.P50 / shortQuiet.P50, "×"),
        new("short_requests", shorts, ""),
        new("inter_token_alone_p99_ms", gapsAlone.P99, "ms"),
        new("inter_token_undisturbed_p50_ms", gapsQuiet.P50, "ms"),
        new("inter_token_undisturbed_p99_ms", gapsQuiet.P99, "ms"),
        new("inter_token_p50_ms", gapsBusy.P50, "ms"),
        new("inter_token_p99_ms", gapsBusy.P99, "ms"),
        new("inter_token_ratio_p99", gapsBusy.P99 / gapsQuiet.P99, "×"),
    ],
    _all,
    new("Short prompts, first token, ms", ["undisturbed", "with the long prompt"], LoadPanel.Both(shortQuiet, shortBusy)),
    new("A running text, between tokens, ms", ["alone", "with short prompts", "with the long prompt too"], LoadPanel.Both(gapsAlone, gapsQuiet, gapsBusy)),
    new($"The long prompt of {_longTokens} tokens, first token, ms", ["alone", "among others"], [("median", [Percentiles.Of(_longAlone).P50, Percentiles.Of(_longAmong).P50])]));

    private async Task<LoadSample> AskLongAsync(List<double> firsts, CancellationToken cancellationToken)
    {
        var sample = await _setup.AskAsync(_engine, _prompts.Make(_longTokens, _random), 1, cancellationToken).ConfigureAwait(false);
        firsts.Add(sample.FirstMs);
        _all.Add(sample);
        return sample;
    }

    private Task<LoadSample> AskShortAsync(Random random, CancellationToken cancellationToken)
        => _setup.AskAsync(_engine, _prompts.Make(LoadSetup.ShortPrompt, random), ShortTexts, cancellationToken);

    /// <summary>Writes a text, and asks with short prompts where <paramref name="shorts"/> is there to take their times, while something is done.</summary>
    private async Task BesideAsync(List<double> gaps, List<double>? shorts, Func<Task> meanwhile, CancellationToken cancellationToken)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        int[] prompt = _prompts.Make(LoadSetup.ShortPrompt, _random);
        var random = new Random(_random.Next());
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var stream = Task.Run(() => WriteAsync(prompt, gaps, begun, end.Token), cancellationToken);
        await Task.WhenAny(begun.Task, stream).ConfigureAwait(false);
        List<LoadSample> asked = [];
        var asking = shorts is null ? Task.CompletedTask : Task.Run(() => AskShortsAsync(random, asked, end.Token), cancellationToken);
        await meanwhile().ConfigureAwait(false);
        await end.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(stream, asking).ConfigureAwait(false);
        shorts?.AddRange(asked.Select(sample => sample.FirstMs));
        _all.AddRange(asked);
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

    /// <summary>One that is under way at the end is waited for, and counts: it has waited longest.</summary>
    private async Task AskShortsAsync(Random random, List<LoadSample> asked, CancellationToken end)
    {
        try
        {
            while (true)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(-Math.Log(1 - random.NextDouble()) * _pauseMs), end).ConfigureAwait(false);
                asked.Add(await AskShortAsync(random, CancellationToken.None).ConfigureAwait(false));
            }
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
        }
    }
}
