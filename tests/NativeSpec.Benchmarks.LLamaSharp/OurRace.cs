using System.Diagnostics;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Benchmarks.LLamaSharp;

/// <summary>Our engine: a caller for each stream, speculation off.</summary>
internal static class OurRace
{
    public static async Task<Race> RunAsync(RaceOptions options)
    {
        using var engine = InferenceEngine.Load(options.Model, new EngineOptions { Threads = options.Threads, Weights = options.Weights, MaxSequences = options.Streams, Drafters = [] });
        await engine.WarmUpAsync();
        var began = Stopwatch.GetTimestamp();
        var texts = await Task.WhenAll(options.Prompts(engine.Config.VocabSize).Select(prompt => Task.Run(() => WriteAsync(engine, prompt, options.Tokens))));
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        return new Race($"NativeSpec, {engine.Backend}", seconds, [.. texts.SelectMany(text => text.GapsMs)], [.. texts.Select(text => text.Ids.ToArray())]);
    }

    private static async Task<(List<int> Ids, List<double> GapsMs)> WriteAsync(InferenceEngine engine, int[] prompt, int tokens)
    {
        var options = new GenerationOptions { MaxTokens = tokens, Temperature = 0, IgnoreEndOfText = true, Speculation = SpeculationOptions.Off };
        var (ids, gaps, last) = (new List<int>(), new List<double>(), 0L);
        await foreach (var piece in engine.GenerateAsync(prompt, options))
        {
            if (piece.Ids.Count == 0)
            {
                continue;
            }

            var now = Stopwatch.GetTimestamp();
            if (ids.Count > 0)
            {
                gaps.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
            }

            last = now;
            ids.AddRange(piece.Ids);
        }

        return (ids, gaps);
    }
}
