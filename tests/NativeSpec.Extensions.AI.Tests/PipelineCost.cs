using System.Diagnostics;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Logging.Abstractions;
using NativeSpec.Chat.Replies;
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

    /// <summary>The same without the engine's own time, which other programs on the machine disturb: what handling an answer's pieces takes at best, of an answer that was recorded.</summary>
    [Test]
    public async Task MeasureWithoutTheEngine()
    {
        await BoxModel.Engine.WarmUpAsync();
        var request = ChatRequest.From([new(ChatRole.User, BoxModel.Signature)], new ChatOptions(), BoxModel.Client, "doc-comments");
        var form = BoxModel.Engine.ReplyForm();
        var began = Stopwatch.GetTimestamp();
        var pieces = await BoxModel.Engine.ChatAsync(request.Turns, new() { Temperature = 0, MaxTokens = Tokens, IgnoreEndOfText = true }).ToListAsync();
        var engine = Stopwatch.GetElapsedTime(began).TotalMicroseconds / pieces.Count;
        List<ChatResponseUpdate> Handle()
        {
            List<ChatResponseUpdate> updates = [];
            var (reader, answer) = (new ReplyReader(form), new ChatAnswer(request, "doc-comments"));
            foreach (var piece in pieces)
            {
                answer.Add(reader.Read(piece.Text));
                if ((piece.Result is { } result ? answer.Last(result, 0) : answer.Next(piece)) is { } update)
                {
                    updates.Add(update);
                }
            }

            return updates;
        }

        using var replay = new Replay(Handle());
        using var pipeline = replay.AsBuilder().UseFunctionInvocation().UseOpenTelemetry().UseLogging(NullLoggerFactory.Instance).Build();
        var own = await Best(() => Task.FromResult(Handle().Count)) / pieces.Count;
        var bare = await Best(async () => await replay.GetStreamingResponseAsync("q").CountAsync()) / pieces.Count;
        var around = (await Best(async () => await pipeline.GetStreamingResponseAsync("q").CountAsync()) / pieces.Count) - bare;
        TestContext.Out.WriteLine($"of a piece, which takes the engine {engine:0} us: the client {own:0.00} us, the pipeline around it {around:0.00} us more: {100 * (own + around) / engine:0.00} % together");
    }

    /// <summary>The shortest of many runs, in microseconds.</summary>
    private static async Task<double> Best(Func<Task<int>> run)
    {
        var best = double.MaxValue;
        for (var i = 0; i < 2000; i++)
        {
            var began = Stopwatch.GetTimestamp();
            await run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(began).TotalMicroseconds);
        }

        return best;
    }

    private sealed class Replay(List<ChatResponseUpdate> updates) : IChatClient
    {
        public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) => Task.FromResult(updates.ToChatResponse());

        public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) => updates.ToAsyncEnumerable();

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }

    private static double Quantile(List<double> values, double share) => values.Order().ElementAt((int)(share * (values.Count - 1)));
}
