using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Cli.Benchmarks.Load;

/// <summary>What all scenarios need.</summary>
/// <param name="Load">Loads an engine: requests at once, tokens of the cache (null for enough), requests that may wait.</param>
/// <param name="PromptsFor">Makes the prompts for an engine.</param>
/// <param name="LongTokens">Tokens of a long prompt, where somebody has asked for so many.</param>
/// <param name="Options">How texts are written; <see cref="GenerationOptions.MaxTokens"/> is set.</param>
/// <param name="Repeats">Measurements, of which medians count.</param>
/// <param name="Seed">Of everything that is drawn.</param>
internal sealed record LoadSetup(
    Func<int, long?, int, InferenceEngine> Load, Func<InferenceEngine, LoadPrompts> PromptsFor, int? LongTokens, GenerationOptions Options, int Repeats, int Seed)
{
    /// <summary>Tokens of the prompts that come beside long ones.</summary>
    public const int ShortPrompt = 30;

    /// <summary>A request for some tokens.</summary>
    public LoadRequest Request(int[] prompt, int maxTokens, LoadKind kind = LoadKind.Short)
        => new(kind, prompt, Options with { MaxTokens = maxTokens, Seed = Options.Seed ?? 1 });

    /// <summary>Makes a request and reads its answer.</summary>
    public Task<LoadSample> AskAsync(InferenceEngine engine, int[] prompt, int maxTokens, CancellationToken cancellationToken)
        => LoadCaller.RunAsync(engine, Request(prompt, maxTokens), cancellationToken);

    /// <summary>Writes texts one by one, without speculation, with an engine that has not seen any of them: what all others are compared with.</summary>
    public async Task<int[][]> WriteAloneAsync(IReadOnlyList<LoadRequest> requests, CancellationToken cancellationToken)
    {
        using var engine = Load(1, null, 1);
        var texts = new int[requests.Count][];
        for (var i = 0; i < texts.Length; i++)
        {
            var options = requests[i].Options with { Speculation = SpeculationOptions.Off };
            texts[i] = [.. (await engine.CompleteAsync(requests[i].Prompt, options, cancellationToken).ConfigureAwait(false)).Ids];
        }

        return texts;
    }

    /// <summary>Compares samples with their texts written alone.</summary>
    public async Task CompareAsync(IReadOnlyList<LoadSample> samples, CancellationToken cancellationToken)
    {
        var alone = await WriteAloneAsync([.. samples.Select(sample => sample.Request)], cancellationToken).ConfigureAwait(false);
        for (var i = 0; i < alone.Length; i++)
        {
            samples[i].Compare(alone[i]);
        }
    }

    /// <summary>Tokens of a long prompt that leaves room for others after it: what was asked for, or else <paramref name="most"/> where the context is so long.</summary>
    /// <exception cref="UsageException">There is no room for what was asked for.</exception>
    public int LongTokensOf(InferenceEngine engine, int most, int after)
    {
        var room = engine.MaxContext - after;
        return room < 1 ? throw new UsageException($"a context of {engine.MaxContext} has no room for a prompt and {after} tokens after it")
            : LongTokens is null ? Math.Min(most, room)
            : LongTokens <= room ? LongTokens.Value
            : throw new UsageException($"--long-tokens is {LongTokens}; beside {after} tokens that follow, the context of {engine.MaxContext} has room for {room}");
    }
}
