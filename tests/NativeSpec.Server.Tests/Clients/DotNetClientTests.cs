using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using Microsoft.Extensions.AI;
using NativeSpec.Engine;
using NativeSpec.Tests.Engine;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Responses;
using AiMessage = Microsoft.Extensions.AI.ChatMessage;
using ChatFinishReason = OpenAI.Chat.ChatFinishReason;

namespace NativeSpec.Server.Tests.Clients;

/// <summary>The OpenAI client for .NET, and Microsoft.Extensions.AI on top of it, against the model in the box.</summary>
public sealed class DotNetClientTests
{
    private static readonly OpenAI.Chat.ChatMessage[] Question = [new SystemChatMessage("You are a helpful assistant."), new UserChatMessage("Tell me a short story about a river.")];
    private static readonly AiMessage[] AiQuestion = [new(ChatRole.System, "You are a helpful assistant."), new(ChatRole.User, "Tell me a short story about a river.")];

    private TestServer _server = null!;
    private OpenAIClient _client = null!;
    private ChatClient _chat = null!;

    [OneTimeSetUp]
    public async Task Start()
    {
        _server = await TestServer.StartBoxAsync();
        _client = ClientOf(_server);
        _chat = _client.GetChatClient(_server.Model);
    }

    [OneTimeTearDown]
    public async Task Stop() => await _server.DisposeAsync();

    [Test]
    public async Task Models_AreListed()
    {
        var models = (await _client.GetOpenAIModelClient().GetModelsAsync()).Value;
        Assert.That(models.Single().Id, Is.EqualTo("doc-comments"));
        Assert.That((await _client.GetOpenAIModelClient().GetModelAsync("doc-comments")).Value.Id, Is.EqualTo("doc-comments"));
    }

    [Test]
    public async Task Chat_IsTheSameWholeAndStreamed()
    {
        ChatCompletion whole = await _chat.CompleteChatAsync(Question, Greedy());
        var text = new StringBuilder();
        ChatTokenUsage? usage = null;
        ChatFinishReason? finish = null;
        await foreach (var update in _chat.CompleteChatStreamingAsync(Question, Greedy()))
        {
            text.Append(string.Concat(update.ContentUpdate.Select(part => part.Text)));
            usage ??= update.Usage;
            finish ??= update.FinishReason;
        }

        Assert.Multiple(() =>
        {
            Assert.That(text.ToString(), Is.EqualTo(whole.Content[0].Text).And.Not.Empty);
            Assert.That(finish, Is.EqualTo(whole.FinishReason));
            Assert.That(usage!.OutputTokenCount, Is.EqualTo(whole.Usage.OutputTokenCount));
            Assert.That(whole.Usage.TotalTokenCount, Is.EqualTo(whole.Usage.InputTokenCount + whole.Usage.OutputTokenCount));
        });
    }

    [Test]
    public async Task Options_StopSeedLogProbsPrediction()
    {
        var text = (await _chat.CompleteChatAsync(Question, Greedy())).Value.Content[0].Text;
        var stop = text.Substring(text.Length / 2, 3);
        var stopping = Greedy();
        stopping.StopSequences.Add(stop);
        ChatCompletion stopped = await _chat.CompleteChatAsync(Question, stopping);

        var logProbs = Greedy();
        (logProbs.IncludeLogProbabilities, logProbs.TopLogProbabilityCount) = (true, 3);
        ChatCompletion measured = await _chat.CompleteChatAsync(Question, logProbs);

        ChatCompletionOptions Seeded() => new() { Temperature = 1, Seed = 1234, MaxOutputTokenCount = 24 };
        var predicted = Greedy();
        predicted.OutputPrediction = ChatOutputPrediction.CreateStaticContentPrediction(text);
        ChatCompletion withPrediction = await _chat.CompleteChatAsync(Question, predicted);

        var (one, other) = (await _chat.CompleteChatAsync(Question, Seeded()), await _chat.CompleteChatAsync(Question, Seeded()));
        Assert.Multiple(() =>
        {
            Assert.That(stopped.Content[0].Text, Is.EqualTo(text[..text.IndexOf(stop, StringComparison.Ordinal)]));
            Assert.That(stopped.FinishReason, Is.EqualTo(ChatFinishReason.Stop));
            Assert.That(measured.ContentTokenLogProbabilities, Has.Count.EqualTo(measured.Usage.OutputTokenCount).And.Count.GreaterThan(10));
            Assert.That(measured.ContentTokenLogProbabilities.All(token => token.LogProbability <= 0 && token.TopLogProbabilities.Count == 3));
            Assert.That(one.Value.Content[0].Text, Is.EqualTo(other.Value.Content[0].Text));
            Assert.That(withPrediction.Content[0].Text, Is.EqualTo(text));
            Assert.That(withPrediction.Usage.OutputTokenDetails.AcceptedPredictionTokenCount, Is.GreaterThan(0));
        });
    }

    [Test]
    public async Task Tools_MayBeOffered_AndMayNotBeRequired()
    {
        var options = Greedy();
        options.Tools.Add(ChatTool.CreateFunctionTool("get_weather", "Weather of a city", BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}}}""")));
        ChatCompletion without = await _chat.CompleteChatAsync(Question, Greedy());
        ChatCompletion answer = await _chat.CompleteChatAsync(Question, options);
        Assert.That(answer.Usage.InputTokenCount, Is.GreaterThan(without.Usage.InputTokenCount + 10), "the model sees them"); // what calls look like is in ToolEndpointTests
        Assert.That(answer.FinishReason, Is.EqualTo(ChatFinishReason.Length).Or.EqualTo(ChatFinishReason.Stop));

        options.ToolChoice = ChatToolChoice.CreateRequiredChoice();
        var refused = Assert.ThrowsAsync<ClientResultException>(() => _chat.CompleteChatAsync(Question, options));
        Assert.That(refused.Status, Is.EqualTo(400));
        Assert.That(refused.Message, Does.Contain("grammar"));
    }

    [Test]
    public void Errors_HaveTheirMessages()
    {
        var unknown = Assert.ThrowsAsync<ClientResultException>(() => _client.GetChatClient("no-such-model").CompleteChatAsync(Question, Greedy()));
        Assert.That((unknown.Status, unknown.Message), Is.EqualTo((404, unknown.Message)));
        Assert.That(unknown.Message, Does.Contain("no-such-model"));
        var tooLong = Assert.ThrowsAsync<ClientResultException>(() => _chat.CompleteChatAsync([new UserChatMessage(string.Concat(Enumerable.Repeat("word ", 2000)))], Greedy()));
        Assert.That(tooLong.GetRawResponse()!.Content.ToString(), Does.Contain("context_length_exceeded"));
        Assert.ThrowsAsync<ClientResultException>(async () =>
        {
            await foreach (var update in _client.GetChatClient("no-such-model").CompleteChatStreamingAsync(Question, Greedy()))
            {
                _ = update;
            }
        });
    }

    [Test]
    public async Task AClientThatLeaves_GivesItsPagesBack()
    {
        var options = Greedy();
        options.MaxOutputTokenCount = 300;
        using var cancellation = new CancellationTokenSource();
        try
        {
            await foreach (var update in _chat.CompleteChatStreamingAsync(Question, options, cancellation.Token))
            {
                _ = update;
                await cancellation.CancelAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // left
        }

        Assert.That(() => _server.Engine.Snapshot().UsedPages, Is.Zero.After(5000, 20));
    }

    [Test]
    public async Task MeAi_ReadsTextUsageAndFinish()
    {
        var client = _chat.AsIChatClient();
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 24, TopP = 0.9f, Seed = 5, FrequencyPenalty = 0.1f, PresencePenalty = 0.1f, StopSequences = ["\0never"] };
        var whole = await client.GetResponseAsync(AiQuestion, options);
        List<ChatResponseUpdate> updates = [];
        await foreach (var update in client.GetStreamingResponseAsync(AiQuestion, options))
        {
            updates.Add(update);
        }

        var streamed = updates.ToChatResponse();
        Assert.Multiple(() =>
        {
            Assert.That(whole.ModelId, Is.EqualTo("doc-comments"));
            Assert.That(streamed.Text, Is.EqualTo(whole.Text));
            Assert.That(streamed.FinishReason, Is.EqualTo(whole.FinishReason));
            Assert.That(streamed.Messages, Has.Count.EqualTo(1));
            Assert.That(updates.SelectMany(update => update.Contents).OfType<UsageContent>().Count(), Is.EqualTo(1));
            Assert.That(whole.Usage!.TotalTokenCount, Is.EqualTo(whole.Usage.InputTokenCount + whole.Usage.OutputTokenCount));
        });
    }

    [Test]
    public async Task Responses_AreTheSameWholeAndStreamed()
    {
        var client = _client.GetResponsesClient();
        CreateResponseOptions Options(bool streams) => new()
        {
            Model = "doc-comments",
            Temperature = 0,
            MaxOutputTokenCount = 24,
            StoredOutputEnabled = false,
            StreamingEnabled = streams,
            InputItems = { ResponseItem.CreateUserMessageItem("Tell me a short story about a river.") },
        };
        var whole = (await client.CreateResponseAsync(Options(false))).Value.GetOutputText();
        var text = new StringBuilder();
        var ended = false;
        await foreach (var update in await client.CreateResponseStreamingAsync(Options(true)))
        {
            text.Append((update as StreamingResponseOutputTextDeltaUpdate)?.Delta);
            ended |= update is StreamingResponseCompletedUpdate or StreamingResponseIncompleteUpdate;
        }

        Assert.That((text.ToString(), ended), Is.EqualTo((whole, true)));
        Assert.That((await client.AsIChatClient("doc-comments").GetResponseAsync(AiQuestion, new ChatOptions { Temperature = 0, MaxOutputTokens = 24 })).Text, Is.Not.Empty);
    }

    [Test]
    public async Task AFailureInTheMiddle_IsAnExceptionForEveryClient()
    {
        var rounds = 0;
        var drafter = new CallbackDrafter { OnPropose = () => _ = ++rounds % 3 == 0 ? throw new InvalidOperationException("as it is to be") : 0 };
        await using var server = await TestServer.StartTinyAsync(new EngineOptions { Drafters = [drafter] });
        var chat = ClientOf(server).GetChatClient("tiny");

        var raw = await server.ChatAsync(""","stream":true,"max_tokens":20""");
        Assert.That(raw.Events[^1].GetProperty("error").GetProperty("type").GetString(), Is.EqualTo("server_error"));
        Assert.That(raw.Events[^1].GetProperty("choices")[0].GetProperty("finish_reason").GetString(), Is.EqualTo("error"));
        Assert.That(raw.Text, Does.EndWith("data: [DONE]\n\n"));
        Assert.That(raw.Text, Does.Not.Contain("as it is to be"), "what failed inside is for the log");

        Assert.That(async () => await Read(chat.CompleteChatStreamingAsync(Question, Greedy())), Throws.Exception);
        Assert.That(async () => await Read(chat.AsIChatClient().GetStreamingResponseAsync(AiQuestion, new ChatOptions { Temperature = 0, MaxOutputTokens = 20 })), Throws.Exception);
        Assert.That((await server.MetricAsync("nativespec_http_requests_total", "/v1/chat/completions", "500")), Is.EqualTo(3));
        Assert.That(() => server.Engine.Snapshot().UsedPages, Is.Zero.After(5000, 20));
    }

    private static async Task Read<T>(IAsyncEnumerable<T> updates)
    {
        await foreach (var update in updates)
        {
            _ = update;
        }
    }

    private static OpenAIClient ClientOf(TestServer server)
        => new(new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = server.BaseUrl, RetryPolicy = new ClientRetryPolicy(0), NetworkTimeout = TimeSpan.FromSeconds(60) });

    private static ChatCompletionOptions Greedy() => new() { Temperature = 0, MaxOutputTokenCount = 24 };
}
