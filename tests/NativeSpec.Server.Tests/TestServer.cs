using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Tests;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Server.Tests;

/// <summary>A server on a free port of this machine, with Kestrel and all.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly TestFolder? _folder;

    private TestServer(WebApplication app, TestFolder? folder)
    {
        (_app, _folder) = (app, folder);
        Http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 256 }) { BaseAddress = new Uri(app.Urls.Single() + "/"), Timeout = TimeSpan.FromSeconds(60) };
    }

    public HttpClient Http { get; }

    /// <summary>Where OpenAI's protocol begins.</summary>
    public Uri BaseUrl => new(Http.BaseAddress!, "v1");

    public EngineHost Host => _app.Services.GetRequiredService<EngineHost>();

    public InferenceEngine Engine => Host.Engine!;

    public string Model => Engine.Name;

    /// <summary>A server of a small random model, which is one of bytes.</summary>
    public static Task<TestServer> StartTinyAsync(EngineOptions? engine = null, Action<NativeSpecServerOptions>? configure = null, int maxPositions = 512)
    {
        var folder = new TestFolder(maxPositions: maxPositions, poisoned: false);
        return StartAsync(folder.Path, (engine ?? new EngineOptions()) with { Name = "tiny" }, configure, folder);
    }

    /// <summary>A server of the model in the box.</summary>
    public static Task<TestServer> StartBoxAsync(Action<NativeSpecServerOptions>? configure = null)
        => StartAsync(Repository.Find("models", "doc-comments"), new EngineOptions(), configure);

    /// <summary>A server of a folder of somebody else's.</summary>
    public static Task<TestServer> StartFolderAsync(string folder, string chatTemplate) => StartAsync(folder, new EngineOptions { ChatTemplate = chatTemplate, ProfileDirectory = null }, null);

    /// <summary>A server of a folder that is no model.</summary>
    public static Task<TestServer> StartBrokenAsync() => StartAsync(Repository.Find("docs"), new EngineOptions(), null, waits: false);

    private static async Task<TestServer> StartAsync(string model, EngineOptions engine, Action<NativeSpecServerOptions>? configure, TestFolder? folder = null, bool waits = true)
    {
        var app = ServerHost.Create(model, engine with { ChatTemplate = engine.ChatTemplate ?? "plain", Threads = 1 }, ["http://127.0.0.1:0"], configure, warmUp: false);
        await app.StartAsync();
        var server = new TestServer(app, folder);
        try
        {
            _ = await server.Host.LoadedAsync(CancellationToken.None);
        }
        catch (Exception) when (!waits)
        {
            // as it is to be
        }

        return server;
    }

    public async Task<Answer> PostAsync(string path, string json, string? key = null, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, contentType) };
        if (key is not null)
        {
            request.Headers.Authorization = new("Bearer", key);
        }

        using var response = await Http.SendAsync(request);
        return new Answer(response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers.RetryAfter?.ToString());
    }

    public Task<Answer> ChatAsync(string members, string user = "hello in the") => PostAsync("v1/chat/completions", $$"""{"messages":[{"role":"user","content":{{JsonSerializer.Serialize(user)}}}],"temperature":0,"max_tokens":12{{members}}}""");

    public async Task<Answer> GetAsync(string path)
    {
        using var response = await Http.GetAsync(path);
        return new Answer(response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers.RetryAfter?.ToString());
    }

    /// <summary>The sum of a metric's lines whose labels have these words.</summary>
    public async Task<double> MetricAsync(string name, params string[] words)
        => (await GetAsync("metrics")).Text.Split('\n')
            .Where(line => line.StartsWith(name + '{', StringComparison.Ordinal) || line.StartsWith(name + ' ', StringComparison.Ordinal))
            .Where(line => words.All(word => line.Contains($"\"{word}\"", StringComparison.Ordinal)))
            .Sum(line => double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>Begins to stop the server, as SIGTERM does.</summary>
    public Task BeginStop()
    {
        _app.Lifetime.StopApplication();
        return _app.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
        _folder?.Dispose();
    }
}

/// <summary>What a server said.</summary>
internal sealed record Answer(HttpStatusCode Status, string Text, string? RetryAfter)
{
    public JsonElement Json
    {
        get
        {
            using var document = JsonDocument.Parse(Text);
            return document.RootElement.Clone();
        }
    }

    /// <summary>The first text of a whole answer.</summary>
    public JsonElement Choice => Json.GetProperty("choices")[0];

    public string Content => Choice.GetProperty("message").GetProperty("content").GetString()!;

    public int[] Ids => [.. Choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())];

    /// <summary>The events of a stream, without the one that ends it.</summary>
    public JsonElement[] Events
    {
        get
        {
            var lines = Text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(block => block.Split('\n').Single(line => line.StartsWith("data: ", StringComparison.Ordinal))["data: ".Length..]).ToArray();
            return [.. lines.Where(line => line != "[DONE]").Select(line => JsonDocument.Parse(line).RootElement)];
        }
    }

    /// <summary>The streamed text of a choice.</summary>
    public string Streamed(int choice = 0) => string.Concat(Events.SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray())
        .Where(one => one.GetProperty("index").GetInt32() == choice && one.TryGetProperty("delta", out var delta) && delta.TryGetProperty("content", out _))
        .Select(one => one.GetProperty("delta").GetProperty("content").GetString()));

    /// <summary>The member that an error names.</summary>
    public string? Parameter => Json.GetProperty("error").GetProperty("param").GetString();
}
