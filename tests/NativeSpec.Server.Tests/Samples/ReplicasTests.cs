using System.Net;
using System.Text;
using System.Text.Json;
using NativeSpec.Samples.Replicas;
using NativeSpec.Tests;
using NativeSpec.Tests.Engine;
using NativeSpec.Tokenization;

namespace NativeSpec.Server.Tests.Samples;

/// <summary>The sample: two servers behind a proxy that knows where a conversation's beginning is cached.</summary>
public sealed class ReplicasTests
{
    private static readonly string[] Names = ["first", "second", "third"];

    private TestFolder _folder = null!;
    private Tokenizer _tokenizer = null!;

    [OneTimeSetUp]
    public void LoadTokenizer()
    {
        _folder = new TestFolder();
        _tokenizer = Tokenizer.Load(_folder.Path);
    }

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void AConversation_BeginsAlikeInEachOfItsTurns()
    {
        var first = Start("""{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"}]}""");
        var later = Start("""{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"},{"role":"assistant","content":"Hi"},{"role":"user","content":"And now?"}],"stream":true}""");
        var other = Start("""{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Good-bye"}]}""");
        Assert.That(later, Is.EqualTo(first));
        Assert.That(other, Is.Not.EqualTo(first));
    }

    [Test]
    public void ABeginning_IsTheFirstTokens_AndTheKeyGoesBeforeThem()
    {
        var page = new string('a', 200);
        Assert.That(Start($$"""{"prompt":"{{page}} one"}"""), Is.EqualTo(Start($$"""{"prompt":"{{page}} two"}""")), "what comes after the first 128 tokens does not count");
        Assert.That(Start("""{"prompt":"one","prompt_cache_key":"k"}"""), Is.EqualTo(Start("""{"prompt":"two","prompt_cache_key":"k"}""")));
        Assert.That(Start("""{"prompt":[1,2,3]}"""), Is.Not.Null.And.Not.EqualTo(Start("""{"prompt":[1,2,4]}""")), "tokens are a beginning as well");
        foreach (var none in (string[])["[]", "3", "{}", """{"messages":[]}""", """{"messages":{}}"""])
        {
            Assert.That(Start(none), Is.Null, none);
        }
    }

    [Test]
    public void AServerThatGoes_MovesItsOwnConversationsAlone()
    {
        var conversations = Enumerable.Range(0, 3000).Select(i => Start($$"""{"prompt_cache_key":"{{i}}"}""")!.Hash).ToArray();
        var before = conversations.Select(hash => Best(hash, Names)).ToArray();
        var after = conversations.Select(hash => Best(hash, Names[..2])).ToArray();
        Assert.That(before.Zip(after).Where(pair => pair.First != "third"), Has.All.Matches<(string First, string Second)>(pair => pair.First == pair.Second));
        Assert.That(Names.Select(name => before.Count(one => one == name)), Has.All.InRange(900, 1100), "a third each");

        static string Best(ulong hash, string[] names) => names.MaxBy(name => PrefixAffinePolicy.Rank(hash, name))!;
    }

    /// <summary>Whole programs: conversations stay with their server and find their beginning cached; one server is killed in the middle of an answer.</summary>
    [Test]
    public async Task TwoServers_KeepConversations_AndOneThatIsKilledHarmsItsOwnAnswersAlone()
    {
        var model = Repository.Find("models", "doc-comments");
        var serve = (string[])["serve", "--model", model, "--chat-template", "plain", "--threads", "1", "--urls", "http://127.0.0.1:0"];
        var starting = (Task<ChildProcess>[])[ChildProcess.StartAsync("src/NativeSpec.Cli", serve), ChildProcess.StartAsync("src/NativeSpec.Cli", serve)];
        using ChildProcess first = await starting[0], second = await starting[1];
        const string Destination = "--ReverseProxy:Clusters:servers:Destinations:";
        using var proxy = await ChildProcess.StartAsync(
            "samples/Replicas", "--Model", model, "--urls", "http://127.0.0.1:0", "--contentRoot", Repository.Find("samples", "Replicas"),
            $"{Destination}first:Address={first.Address}", $"{Destination}second:Address={second.Address}");
        using var client = new HttpClient { BaseAddress = proxy.Address, Timeout = TimeSpan.FromMinutes(1) };

        // Of each conversation the second turn finds the first one's whole pages, so both went to one server; together they use both.
        Dictionary<ChildProcess, string> mine = [];
        var before = (First: 0, Second: 0);
        for (var conversation = 0; conversation < 8; conversation++)
        {
            var begins = $"namespace Company{conversation};\n" + string.Concat(Enumerable.Repeat($"Ring{conversation}Buffer.CopyTo(T[] array, int index)\n", 12));
            await AskAsync(client, begins);
            Assert.That(await AskAsync(client, begins, "Copies.", "And List<T>.Clear()?"), Is.GreaterThanOrEqualTo(128), $"cached tokens of conversation {conversation}");
            var now = (First: await RequestsAsync(first), Second: await RequestsAsync(second));
            Assert.That((now.First - before.First, now.Second - before.Second), Is.EqualTo((2, 0)).Or.EqualTo((0, 2)), "both turns went to one server");
            mine[now.First > before.First ? first : second] = begins;
            before = now;
        }

        Assert.That(mine, Has.Count.EqualTo(2), "both servers have conversations");

        using var request = Chat([mine[first]], ""","max_tokens":1500,"stream":true,"ignore_eos":true""");
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await using var stream = await response.Content.ReadAsStreamAsync();
        using var reader = new StreamReader(stream);
        Assert.That(await reader.ReadLineAsync(), Does.StartWith("data: "));
        first.Kill();
        string? rest = null;
        Exception? broken = null;
        try
        {
            rest = await reader.ReadToEndAsync();
        }
        catch (Exception error) when (error is IOException or HttpRequestException)
        {
            broken = error;
        }

        Assert.That(broken is not null || !rest!.Contains("[DONE]", StringComparison.Ordinal), "an answer that breaks off does not look whole");

        // What clients do with 502: again. The next choice of these conversations is the other server.
        HttpStatusCode status;
        var tries = 0;
        do
        {
            using var again = await client.SendAsync(Chat([mine[first]]));
            status = again.StatusCode;
        }
        while (status is HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable && ++tries < 20);

        Assert.That(status, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await AskAsync(client, mine[second]), Is.GreaterThanOrEqualTo(128), "the other server's conversations are where they were");
    }

    private ConversationStart? Start(string json)
    {
        using var body = JsonDocument.Parse(json);
        return ConversationStart.Of(body.RootElement, _tokenizer);
    }

    private static HttpRequestMessage Chat(string[] turns, string members = ""","max_tokens":4""")
    {
        var messages = string.Join(',', turns.Select((text, index) => $$"""{"role":"{{(index % 2 == 0 ? "user" : "assistant")}}","content":{{JsonSerializer.Serialize(text)}}}"""));
        return new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = new StringContent($$"""{"messages":[{{messages}}]{{members}}}""", Encoding.UTF8, "application/json") };
    }

    /// <summary>Asks, and says how many of the prompt's tokens were in the server's prefix cache.</summary>
    private static async Task<int> AskAsync(HttpClient client, params string[] turns)
    {
        using var response = await client.SendAsync(Chat(turns));
        var text = await response.Content.ReadAsStringAsync();
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), text);
        using var json = JsonDocument.Parse(text);
        return json.RootElement.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();
    }

    /// <summary>Chats that a server has answered.</summary>
    private static async Task<int> RequestsAsync(ChildProcess server)
    {
        using var client = new HttpClient { BaseAddress = server.Address };
        return (int)(await client.GetStringAsync("metrics")).Split('\n').Where(line => line.StartsWith("nativespec_http_requests_total{endpoint=\"/v1/chat/completions\"", StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture));
    }
}
