using System.Net;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using NativeSpec.Engine;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Server.Tests;

/// <summary>Who may ask, how much at once, and what is said while there is no engine.</summary>
public sealed class AccessTests
{
    private const string Hello = """{"messages":[{"role":"user","content":"hello"}],"max_tokens":2}""";

    [Test]
    public async Task WithKeys_OneOfThemIsAskedFor()
    {
        await using var server = await TestServer.StartTinyAsync(configure: options =>
        {
            options.ApiKeys.Add("first key");
            options.ApiKeys.Add("second key");
        });
        Assert.Multiple(async () =>
        {
            foreach (var wrong in new[] { null, "first", "first key2", "third key" })
            {
                var answer = await server.PostAsync("v1/chat/completions", Hello, wrong);
                Assert.That(answer.Status, Is.EqualTo(HttpStatusCode.Unauthorized), wrong);
                Assert.That(answer.Json.GetProperty("error").GetProperty("code").GetString(), Is.EqualTo("invalid_api_key"), wrong);
            }

            Assert.That((await server.PostAsync("v1/chat/completions", Hello, "first key")).Status, Is.EqualTo(HttpStatusCode.OK));
            Assert.That((await server.PostAsync("v1/chat/completions", Hello, "second key")).Status, Is.EqualTo(HttpStatusCode.OK));
            Assert.That((await server.GetAsync("v1/models")).Status, Is.EqualTo(HttpStatusCode.Unauthorized));
            Assert.That((await server.PostAsync("tokenize", """{"content":"x"}""")).Status, Is.EqualTo(HttpStatusCode.Unauthorized));
            Assert.That((await server.GetAsync("health/ready")).Status, Is.EqualTo(HttpStatusCode.OK), "probes bring no key");
        });
    }

    [TestCase("evil.example", false)]
    [TestCase("evil.example:80", false)]
    [TestCase("localhost", true)]
    [TestCase("LOCALHOST:8080", true)]
    [TestCase("[::1]:8080", true)]
    [TestCase("192.168.0.7", true)]
    public async Task WithoutAKey_ThisMachineAnswersUnderNoOtherName(string host, bool answers)
    {
        await using var server = await TestServer.StartTinyAsync();
        await using var keyed = await TestServer.StartTinyAsync(configure: options => options.ApiKeys.Add("key"));
        foreach (var path in new[] { "v1/models", "metrics" })
        {
            using var response = await AskAsync(server, path);
            Assert.That(response.StatusCode, Is.EqualTo(answers ? HttpStatusCode.OK : HttpStatusCode.Forbidden), path);
            Assert.That(await response.Content.ReadAsStringAsync(), answers ? Is.Not.Empty : Does.Contain("\"code\":\"host_not_allowed\""), path);
        }

        using var withKey = await AskAsync(keyed, "v1/models");
        Assert.That(withKey.StatusCode, Is.EqualTo(HttpStatusCode.OK));

        Task<HttpResponseMessage> AskAsync(TestServer asked, string path)
            => asked.Http.SendAsync(new HttpRequestMessage(HttpMethod.Get, path) { Headers = { Host = host, Authorization = new("Bearer", "key") } });
    }

    [Test]
    public async Task MoreAtOnceThanACallerMayHave_Are429()
    {
        using ManualResetEventSlim go = new();
        var drafter = new CallbackDrafter { OnStart = () => go.Wait(TimeSpan.FromSeconds(20)) };
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { Drafters = [drafter] }, options => options.MaxRequestsPerClient = 2);
        var running = new[] { Stream(server), Stream(server) };
        try
        {
            while (server.Engine.Snapshot() is var engine && engine.Waiting + engine.Active < 2)
            {
                await Task.Delay(5); // until both are there; neither goes on before it is let go
            }

            var refused = await server.ChatAsync("");
            Assert.Multiple(() =>
            {
                Assert.That(refused.Status, Is.EqualTo(HttpStatusCode.TooManyRequests));
                Assert.That(refused.RetryAfter, Is.EqualTo("1"));
                Assert.That(refused.Json.GetProperty("error").GetProperty("type").GetString(), Is.EqualTo("rate_limit_error"));
            });
        }
        finally
        {
            go.Set();
            foreach (var response in running)
            {
                await (await response).Content.ReadAsStringAsync();
            }
        }

        Assert.That((await server.ChatAsync("")).Status, Is.EqualTo(HttpStatusCode.OK), "when they have ended there is room again");
    }

    [Test]
    public async Task MoreThanTheEngineTakes_Are429()
    {
        using ManualResetEventSlim go = new();
        var drafter = new CallbackDrafter { OnPropose = () => go.Wait(TimeSpan.FromSeconds(20)) };
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { Drafters = [drafter], MaxSequences = 1, MaxWaiting = 0 });
        using var running = await Stream(server);
        var refused = await server.ChatAsync("");
        var refusedStream = await server.ChatAsync(""","stream":true""");
        go.Set();
        Assert.Multiple(() =>
        {
            Assert.That(refused.Status, Is.EqualTo(HttpStatusCode.TooManyRequests), refused.Text);
            Assert.That(refused.Json.GetProperty("error").GetProperty("code").GetString(), Is.EqualTo("engine_busy"));
            Assert.That(refusedStream.Status, Is.EqualTo(HttpStatusCode.TooManyRequests), "also where a stream was asked for");
        });
    }

    [Test]
    public async Task ATokenThatComesTooLate_Is503()
    {
        using ManualResetEventSlim go = new();
        var drafter = new CallbackDrafter { OnPropose = () => go.Wait(TimeSpan.FromSeconds(20)) };
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { Drafters = [drafter], MaxSequences = 1 }, options => options.FirstTokenTimeout = TimeSpan.FromMilliseconds(50));
        using var running = await Stream(server);
        var late = server.ChatAsync("");
        await Task.Delay(100);
        go.Set(); // the engine looks between two rounds
        Assert.That((await late).Status, Is.EqualTo(HttpStatusCode.ServiceUnavailable), (await late).Text);
        Assert.That((await late).Json.GetProperty("error").GetProperty("code").GetString(), Is.EqualTo("first_token_timeout"));
    }

    [Test]
    public async Task WithoutAModel_TheServerLives_AndIsNotReady()
    {
        await using var server = await TestServer.StartBrokenAsync();
        var chat = await server.ChatAsync("");
        Assert.Multiple(async () =>
        {
            Assert.That((await server.GetAsync("health/live")).Status, Is.EqualTo(HttpStatusCode.OK));
            Assert.That((await server.GetAsync("health/ready")).Status, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
            Assert.That((await server.GetAsync("health")).Json.GetProperty("error").GetProperty("code").GetString(), Is.EqualTo("model_failed"));
            Assert.That(chat.Status, Is.EqualTo(HttpStatusCode.ServiceUnavailable));
            Assert.That(chat.RetryAfter, Is.EqualTo("1"));
        });
    }

    [TestCase("ftp://127.0.0.1:1")]
    [TestCase("https://127.0.0.1:1")]
    [TestCase("8080")]
    public void APlaceThatIsNone_IsRefused(string url)
        => Assert.That(() => ServerHost.Create("model", new EngineOptions(), [url]), Throws.ArgumentException.With.Message.Contains(url));

    [Test]
    public void AHostOfOnesOwn_StopsNoSoonerThanTheDrain()
    {
        foreach (var (own, expected) in new[] { (30, 65), (300, 300) })
        {
            using var services = new ServiceCollection().Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(own))
                .AddNativeSpecServer(options => options.DrainTimeout = TimeSpan.FromSeconds(60)).BuildServiceProvider();
            Assert.That(services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout, Is.EqualTo(TimeSpan.FromSeconds(expected)));
        }
    }

    [Test]
    public void OptionsOutOfRange_AreRefused()
        => Assert.That(() => ServerHost.Create("model", new EngineOptions(), [], options => options.MaxChoices = 0), Throws.ArgumentException.With.Message.Contains("MaxChoices is 0"));

    /// <summary>Begins a stream and returns when its first token is there: the engine stands in its drafter then.</summary>
    private static Task<HttpResponseMessage> Stream(TestServer server)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions")
        {
            Content = new StringContent("""{"messages":[{"role":"user","content":"hello"}],"max_tokens":4,"temperature":0,"stream":true}""", Encoding.UTF8, "application/json"),
        };
        return server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }
}
