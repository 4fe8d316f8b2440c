using System.Diagnostics;
using System.Text;
using System.Text.Json;
using NativeSpec.Engine;

namespace NativeSpec.Server.Tests.Service;

/// <summary>What HTTP costs: the same texts of the model in the box from the engine and over a connection, in turns, in one process. Server, client and engine share the machine.</summary>
[Explicit("a measurement; run it alone: --filter FullyQualifiedName=NativeSpec.Server.Tests.Service.HttpCostBenchmark.Measure")]
public sealed class HttpCostBenchmark
{
    private const int Tokens = 200, Turns = 40;

    [Test]
    public async Task Measure()
    {
        await using var server = await TestServer.StartBoxAsync();
        await MeasureAsync(server, 1);
        await MeasureAsync(server, 8);
    }

    private static async Task MeasureAsync(TestServer server, int atOnce)
    {
        var prompts = Enumerable.Range(0, atOnce).Select(i => $"namespace MyCompany.Collections;\nRingBuffer<T>.CopyTo(T[] array{i}, int index)\n").ToArray();
        List<(double Rate, double First)> engine = [], http = [];
        for (var turn = 0; turn < Turns + 5; turn++)
        {
            var (one, other) = turn % 2 == 0
                ? (await RunAsync(prompts, prompt => EngineAsync(server, prompt)), await RunAsync(prompts, prompt => HttpAsync(server, prompt)))
                : Swap(await RunAsync(prompts, prompt => HttpAsync(server, prompt)), await RunAsync(prompts, prompt => EngineAsync(server, prompt)));
            if (turn >= 5)
            {
                engine.Add(one);
                http.Add(other);
            }
        }

        TestContext.Out.WriteLine(FormattableString.Invariant(
            $"{atOnce} at once, median of {Turns}: engine {Median(engine, run => run.Rate):0} tokens/s, first token {Median(engine, run => run.First):0.00} ms; HTTP {Median(http, run => run.Rate):0} tokens/s, first token {Median(http, run => run.First):0.00} ms; HTTP costs {100 * (1 - Ratio(engine, http)):0.0} % and {Median(http, run => run.First) - Median(engine, run => run.First):0.00} ms"));
    }

    private static (T, T) Swap<T>(T a, T b) => (b, a);

    // The median of the turns' own ratios: what disturbs a turn disturbs both of its halves.
    private static double Ratio(List<(double Rate, double First)> engine, List<(double Rate, double First)> http)
        => Median([.. engine.Zip(http, (one, other) => (other.Rate / one.Rate, 0.0))], run => run.Rate);

    private static double Median(List<(double Rate, double First)> runs, Func<(double Rate, double First), double> of) => runs.Select(of).Order().ElementAt(runs.Count / 2);

    private static async Task<(double Rate, double First)> RunAsync(string[] prompts, Func<string, Task<double>> run)
    {
        var began = Stopwatch.GetTimestamp();
        var first = await Task.WhenAll(prompts.Select(run));
        return (prompts.Length * Tokens / Stopwatch.GetElapsedTime(began).TotalSeconds, first.Average());
    }

    private static async Task<double> EngineAsync(TestServer server, string prompt)
    {
        var began = Stopwatch.GetTimestamp();
        var first = 0.0;
        await foreach (var piece in server.Engine.GenerateAsync(prompt, new GenerationOptions { MaxTokens = Tokens, Temperature = 0, IgnoreEndOfText = true }))
        {
            _ = piece;
            first = first == 0 ? Stopwatch.GetElapsedTime(began).TotalMilliseconds : first;
        }

        return first;
    }

    private static async Task<double> HttpAsync(TestServer server, string prompt)
    {
        var began = Stopwatch.GetTimestamp();
        var first = 0.0;
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/completions")
        {
            Content = new StringContent($$"""{"prompt":{{JsonSerializer.Serialize(prompt)}},"max_tokens":{{Tokens}},"temperature":0,"ignore_eos":true,"stream":true}""", Encoding.UTF8, "application/json"),
        };
        using var response = await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync());
        while (await lines.ReadLineAsync() is { } line)
        {
            first = first == 0 && line.StartsWith("data: ", StringComparison.Ordinal) ? Stopwatch.GetElapsedTime(began).TotalMilliseconds : first;
        }

        return first;
    }
}
