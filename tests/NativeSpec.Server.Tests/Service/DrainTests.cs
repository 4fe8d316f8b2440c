using System.Net;
using System.Net.Http.Json;
using System.Text;
using NativeSpec.Engine;
using NativeSpec.Tests;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Server.Tests.Service;

/// <summary>A server that is told to end lets those end whom it has accepted.</summary>
public sealed class DrainTests
{
    private const string Long = """{"messages":[{"role":"user","content":"hello"}],"max_tokens":200,"temperature":0,"stream":true}""";

    [Test]
    public async Task SigTerm_InAFlood_LosesNoneThatWasAccepted()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows has no SIGTERM");
        }

        using var folder = new TestFolder(poisoned: false);
        using var server = await ChildProcess.StartAsync(
            "src/NativeSpec.Cli", "serve", "--model", folder.Path, "--chat-template", "plain", "--threads", "1", "--sequences", "4", "--urls", "http://127.0.0.1:0");
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 256 }) { BaseAddress = server.Address };

        // Streams and whole answers; four are being written and the others wait for their turn.
        Task<HttpResponseMessage>[] sent = [.. Enumerable.Range(0, 32).Select(number => SendAsync(http, number % 2 == 0 ? Long : Long.Replace(",\"stream\":true", "", StringComparison.Ordinal)))];
        string metrics;
        do
        {
            await Task.Delay(5);
            metrics = await http.GetStringAsync("metrics");
        }
        while (Value(metrics, "nativespec_http_requests_running ") + Value(metrics, "nativespec_http_requests_total{endpoint=\"/v1/chat/completions\",status=\"200\"} ") < sent.Length);
        await server.TerminateAsync();
        var whileDraining = await StatusAsync(http);
        var accepted = await Task.WhenAll(sent);
        var texts = await Task.WhenAll(accepted.Select(response => response.Content.ReadAsStringAsync()));
        var exitCode = await server.ExitAsync();

        Assert.Multiple(() =>
        {
            Assert.That(accepted.Select(response => response.StatusCode), Is.All.EqualTo(HttpStatusCode.OK));
            Assert.That(Value(metrics, "nativespec_num_requests_waiting{"), Is.GreaterThan(0), "some were waiting when the signal came");
            Assert.That(texts, Is.All.Contain("\"finish_reason\":\"length\""));
            Assert.That(texts.Where((_, number) => number % 2 == 0), Is.All.EndWith("data: [DONE]\n\n"));
            Assert.That(whileDraining, Is.Null.Or.EqualTo(HttpStatusCode.OK).Or.EqualTo(HttpStatusCode.ServiceUnavailable), "before, while or after it drains");
            Assert.That(exitCode, Is.Zero);
        });
    }

    [Test]
    public async Task WhileItDrains_NewRequestsAre503_AndTheRunningOneEnds()
    {
        using ManualResetEventSlim go = new();
        var server = await TestServer.StartTinyAsync(new EngineOptions { Drafters = [new CallbackDrafter { OnPropose = () => go.Wait(TimeSpan.FromSeconds(20)) }] });
        using var running = await SendAsync(server.Http);
        var stopping = server.BeginStop();
        Assert.That(async () => (await server.GetAsync("health/ready")).Status, Is.EqualTo(HttpStatusCode.ServiceUnavailable).After(5000, 20));
        var refused = await server.ChatAsync("");
        var live = await server.GetAsync("health/live");
        go.Set();
        var text = await running.Content.ReadAsStringAsync();
        await stopping;
        await server.DisposeAsync();

        Assert.Multiple(() =>
        {
            Assert.That(refused.Status, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
            Assert.That(refused.RetryAfter, Is.EqualTo("1"));
            Assert.That(refused.Json.GetProperty("error").GetProperty("code").GetString(), Is.EqualTo("draining"));
            Assert.That(live.Status, Is.EqualTo(HttpStatusCode.OK));
            Assert.That(text, Does.EndWith("data: [DONE]\n\n").And.Contain("\"finish_reason\":\"length\""));
        });
    }

    [Test]
    public async Task WhoTakesLongerThanTheDrainMay_IsToldSo()
    {
        using ManualResetEventSlim go = new();
        var rounds = 0;
        var drafter = new CallbackDrafter
        {
            OnPropose = () =>
            {
                if (++rounds > 2)
                {
                    go.Wait(TimeSpan.FromMilliseconds(40));
                }
            },
        };
        var server = await TestServer.StartTinyAsync(new EngineOptions { Drafters = [drafter] }, options => options.DrainTimeout = TimeSpan.FromMilliseconds(100));
        using var running = await SendAsync(server.Http); // 200 rounds of 40 ms
        var stopping = server.BeginStop();
        var text = await running.Content.ReadAsStringAsync();
        await stopping;
        await server.DisposeAsync();
        Assert.That(text, Does.Contain("\"finish_reason\":\"error\"").And.Contain("\"code\":\"draining\"").And.EndWith("data: [DONE]\n\n"));
    }

    private static double Value(string metrics, string beginning)
        => metrics.Split('\n').Where(line => line.StartsWith(beginning, StringComparison.Ordinal)).Sum(line => double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture));

    private static Task<HttpResponseMessage> SendAsync(HttpClient http, string body = Long)
        => http.SendAsync(new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = new StringContent(body, Encoding.UTF8, "application/json") }, HttpCompletionOption.ResponseHeadersRead);

    private static async Task<HttpStatusCode?> StatusAsync(HttpClient http)
    {
        try
        {
            using var response = await http.PostAsJsonAsync("v1/chat/completions", new { messages = new[] { new { role = "user", content = "hello" } }, max_tokens = 1 });
            return response.StatusCode;
        }
        catch (HttpRequestException)
        {
            return null; // it listens no more
        }
    }
}
