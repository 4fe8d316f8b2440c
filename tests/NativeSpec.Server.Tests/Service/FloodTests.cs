using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using NativeSpec.Engine;

namespace NativeSpec.Server.Tests.Service;

/// <summary>Many requests at once, of which some are cancelled, some malformed and some read slowly. NATIVESPEC_FLOOD says how many (1,000).</summary>
public sealed class FloodTests
{
    private const int AtOnce = 64;

    private static readonly int Requests = int.TryParse(Environment.GetEnvironmentVariable("NATIVESPEC_FLOOD"), out var many) ? many : 1000;

    [Test]
    public async Task AFlood_LosesNoPage_CountsEveryRequest_AndKeepsItsMemory()
    {
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { MaxSequences = 8, MaxWaiting = 54, MaxUnreadPieces = 4 });
        await FloodAsync(server, 200); // what is made once is there
        var before = await CountedAsync(server);
        var memory = GC.GetTotalMemory(forceFullCollection: true);
        var outcomes = await FloodAsync(server, Requests);
        var grown = GC.GetTotalMemory(forceFullCollection: true) - memory;
        Assert.That(() => server.Engine.Snapshot() is { UsedPages: 0, Active: 0, Waiting: 0 }, Is.True.After(10_000, 20), "pages and places are free again");
        Assert.That(async () => await server.MetricAsync("nativespec_http_requests_running"), Is.Zero.After(10_000, 50));
        var after = await CountedAsync(server);
        var (ok, malformed, busy, gone) = (after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3]);
        var cancelled = outcomes.GetValueOrDefault("cancelled");

        Assert.Multiple(() =>
        {
            Assert.That(outcomes.Keys, Is.SubsetOf(new[] { "whole", "malformed", "cancelled", "busy" }));
            Assert.That(outcomes["malformed"], Is.EqualTo(Requests / 20));
            Assert.That(outcomes["whole"], Is.GreaterThan(Requests / 2));
            Assert.That(malformed, Is.EqualTo(outcomes["malformed"]));
            // Of the cancelled ones some were never sent, and some were answered before their client left.
            Assert.That(ok + busy + gone, Is.InRange(Requests - outcomes["malformed"] - cancelled, Requests - outcomes["malformed"]), "each that came is counted once");
            Assert.That(ok, Is.InRange(outcomes["whole"], outcomes["whole"] + cancelled));
            Assert.That(busy, Is.InRange(outcomes.GetValueOrDefault("busy"), outcomes.GetValueOrDefault("busy") + cancelled));
            Assert.That(gone, Is.LessThanOrEqualTo(cancelled));
            Assert.That(grown, Is.LessThan(8 << 20), "bytes more than before");
        });
        Assert.That((await server.ChatAsync("")).Status, Is.EqualTo(HttpStatusCode.OK));
        TestContext.Out.WriteLine($"{string.Join(", ", outcomes.Select(outcome => $"{outcome.Value} {outcome.Key}"))}; {grown / 1024} KB more than before");
    }

    /// <summary>Its answer is larger than all buffers on the way, so the engine has to wait for it.</summary>
    [Test]
    public async Task AReaderThatStandsStill_LosesItsPlace_AndNobodyElseWaits()
    {
        const string Body = """{"prompt":"hello","n":4,"max_tokens":3900,"ignore_eos":true,"temperature":0,"logprobs":20,"stream":true}"""; // some 16 MB
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { MaxSequences = 5, MaxUnreadPieces = 4, SlowReaderTimeout = TimeSpan.FromMilliseconds(300) }, maxPositions: 4096);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 4096 };
        await socket.ConnectAsync(IPAddress.Loopback, server.Http.BaseAddress!.Port);
        await socket.SendAsync(Encoding.ASCII.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {Body.Length}\r\n\r\n{Body}"));
        Assert.That(await socket.ReceiveAsync(new byte[1024]), Is.GreaterThan(0)); // and no more

        Assert.That((await server.ChatAsync("")).Status, Is.EqualTo(HttpStatusCode.OK), "others go on");
        Assert.That(() => server.Engine.Snapshot() is { UsedPages: 0, Active: 0 }, Is.True.After(40_000, 20), "its pages are free");

        var rest = new StringBuilder();
        for (var (piece, read) = (new byte[1 << 16], 1); !rest.ToString(Math.Max(0, rest.Length - 20), Math.Min(rest.Length, 20)).Contains("[DONE]", StringComparison.Ordinal) && read > 0;)
        {
            read = await socket.ReceiveAsync(piece).WaitAsync(TimeSpan.FromSeconds(20));
            rest.Append(Encoding.UTF8.GetString(piece, 0, read));
        }

        Assert.That(rest.ToString(), Does.Contain("\"code\":\"slow_reader\""), "and it is told so");
    }

    /// <summary>Requests that were answered, malformed, refused for now, and left by their clients.</summary>
    private static async Task<double[]> CountedAsync(TestServer server)
    {
        double[] counted = new double[4];
        for (var i = 0; i < counted.Length; i++)
        {
            counted[i] = await server.MetricAsync("nativespec_http_requests_total", new[] { "200", "400", "429", "499" }[i]);
        }

        return counted;
    }

    private static async Task<ConcurrentDictionary<string, int>> FloodAsync(TestServer server, int requests)
    {
        ConcurrentDictionary<string, int> outcomes = new();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, requests),
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce },
            async (number, _) => outcomes.AddOrUpdate(await OneAsync(server, number), 1, (_, count) => count + 1));
        return outcomes;
    }

    private static async Task<string> OneAsync(TestServer server, int number)
    {
        var kind = number % 20;
        var body = kind == 0
            ? """{"messages":[{"role":"nobody"}]}"""
            : $$"""{"messages":[{"role":"user","content":"hello {{number}} in the"}],"max_tokens":{{8 + (number % 9)}},"ignore_eos":true,"temperature":{{(number % 3 == 0 ? "0.8" : "0")}},"stream":{{(number % 2 == 0 || kind == 19 ? "true" : "false")}}}""";
        using var cancellation = new CancellationTokenSource();
        if (kind is 7 or 13)
        {
            cancellation.CancelAfter(number % 40);
        }

        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            using var response = await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation.Token);
            var text = kind == 19 ? await ReadSlowlyAsync(response) : await response.Content.ReadAsStringAsync(cancellation.Token);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                await Task.Delay(25); // refusals are quick, and nobody comes back at once
            }

            return response.StatusCode switch
            {
                HttpStatusCode.BadRequest when kind == 0 => "malformed",
                HttpStatusCode.TooManyRequests when response.Headers.RetryAfter is not null => "busy",
                HttpStatusCode.OK when text.Contains("\"finish_reason\":\"length\"", StringComparison.Ordinal) => "whole",
                _ => $"{(int)response.StatusCode}: {text}",
            };
        }
        catch (OperationCanceledException)
        {
            return "cancelled";
        }
    }

    private static async Task<string> ReadSlowlyAsync(HttpResponseMessage response)
    {
        await using var stream = await response.Content.ReadAsStreamAsync();
        var (text, piece) = (new StringBuilder(), new byte[256]);
        for (int read; (read = await stream.ReadAsync(piece)) > 0;)
        {
            text.Append(Encoding.UTF8.GetString(piece, 0, read));
            await Task.Delay(2);
        }

        return text.ToString();
    }
}
