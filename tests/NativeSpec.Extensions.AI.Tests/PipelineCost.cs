using System.Diagnostics;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging.Abstractions;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>A measurement, which runs only where it is asked for by name: what a chat through the client, and through a pipeline around it, costs beside one through the engine itself.
/// The three take turns, and each text is the same.</summary>
[Explicit("a measurement")]
public sealed class PipelineCost
{
    private const int Turns = 41, Tokens = 256;

    [Test]
    public async Task Measure()
    {
        var engine = BoxModel.Engine;
        await engine.WarmUpAsync();
        using var pipeline = BoxModel.Client.AsBuilder().UseFunctionInvocation().UseOpenTelemetry().UseLogging(NullLoggerFactory.Instance).Build();
        var generation = new GenerationOptions { Temperature = 0, MaxTokens = Tokens, IgnoreEndOfText = true };
        var options = new ChatOptions { RawRepresentationFactory = _ => generation };
        Func<Task<int>>[] ways =
        [
            async () => await engine.ChatAsync([new("user", BoxModel.Signature)], generation).Select(piece => piece.Text.Length).SumAsync(),
            async () => await BoxModel.Client.GetStreamingResponseAsync(BoxModel.Signature, options).Select(update => update.Text.Length).SumAsync(),
            async () => await pipeline.GetStreamingResponseAsync(BoxModel.Signature, options).Select(update => update.Text.Length).SumAsync(),
        ];
        var seconds = ways.Select(_ => new List<double>()).ToArray();
        for (var turn = -5; turn < Turns; turn++)
        {
            for (var i = 0; i < ways.Length; i++)
            {
                var way = (i + turn + 6) % ways.Length; // nobody always comes first
                var began = Stopwatch.GetTimestamp();
                Assert.That(await ways[way](), Is.GreaterThan(Tokens));
                if (turn >= 0)
                {
                    seconds[way].Add(Stopwatch.GetElapsedTime(began).TotalSeconds);
                }
            }
        }

        TestContext.Out.WriteLine($"engine: {Tokens / Quantile(seconds[0], 0.5):0} tokens/s (median of {Turns})");
        foreach (var (name, way) in new[] { ("client", 1), ("client with UseFunctionInvocation, UseOpenTelemetry and UseLogging", 2) })
        {
            var ratios = seconds[way].Zip(seconds[0], (its, engines) => its / engines).ToList();
            TestContext.Out.WriteLine($"{name}: {Quantile(ratios, 0.5):0.000} times the engine's time (middle half {Quantile(ratios, 0.25):0.000} to {Quantile(ratios, 0.75):0.000})");
        }
    }

    private static double Quantile(List<double> values, double share) => values.Order().ElementAt((int)(share * (values.Count - 1)));
}
