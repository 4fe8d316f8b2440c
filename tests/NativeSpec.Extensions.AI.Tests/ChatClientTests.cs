using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using NativeSpec.Chat;
using NativeSpec.Engine;
using NativeSpec.Speculation;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>What everything that is built on IChatClient relies on, with the model in the box.</summary>
public sealed class ChatClientTests
{
    private static readonly ChatOptions Greedy = new() { Temperature = 0, MaxOutputTokens = 24 };

    private static NativeSpecChatClient Client => BoxModel.Client;

    [Test]
    public async Task Stream_EveryUpdate_HasOneResponseAndOneMessage_AndTheLastTheUsage()
    {
        var updates = await Client.GetStreamingResponseAsync(BoxModel.Signature, Greedy).ToListAsync();

        Assert.That(updates.Select(update => (update.ResponseId, update.MessageId, update.Role, update.ModelId, update.CreatedAt)).Distinct().Count(), Is.EqualTo(1));
        Assert.That(updates[0].MessageId, Is.Not.Empty);
        Assert.That(updates[0].Role, Is.EqualTo(ChatRole.Assistant));
        Assert.That(updates[0].ConversationId, Is.Null);
        Assert.That(updates.SelectMany(update => update.Contents).OfType<UsageContent>().Count(), Is.EqualTo(1));
        Assert.That(updates[^1].Contents.OfType<UsageContent>().Count(), Is.EqualTo(1));
        Assert.That(updates.Select(update => update.FinishReason).Where(reason => reason is not null), Is.EqualTo(new ChatFinishReason?[] { ChatFinishReason.Length }));
        Assert.That(updates[^1].FinishReason, Is.Not.Null);
    }

    [Test]
    public async Task Usage_IsThatOfTheEngine()
    {
        var response = await Client.GetResponseAsync(BoxModel.Signature, Greedy);

        var result = (GenerationResult)response.RawRepresentation!;
        var usage = response.Usage!;
        Assert.That((usage.InputTokenCount, usage.OutputTokenCount), Is.EqualTo((result.PromptTokens, 24)));
        Assert.That(usage.InputTokenCount + usage.OutputTokenCount, Is.EqualTo(usage.TotalTokenCount));
        Assert.That(usage.CachedInputTokenCount, Is.EqualTo(result.CachedTokens));
        Assert.That(usage.ReasoningTokenCount, Is.Zero);
        Assert.That(usage.AdditionalCounts![NativeSpecChatClient.DraftedTokens], Is.EqualTo(result.Speculation.Drafted));
        Assert.That(usage.AdditionalCounts[NativeSpecChatClient.AcceptedTokens], Is.EqualTo(result.Speculation.Accepted));
        Assert.That(usage.AdditionalCounts[NativeSpecChatClient.Rounds], Is.EqualTo(result.Timings.Rounds));
        Assert.That(response.Text, Is.EqualTo(result.Text));
    }

    [Test]
    public async Task Usage_OfASecondTurn_HasTheTokensOfTheFirstAsCached()
    {
        ChatMessage[] messages = [new(ChatRole.System, string.Join(' ', Enumerable.Repeat("Write documentation comments for what you are shown.", 12))), new(ChatRole.User, BoxModel.Signature)];
        var first = await Client.GetResponseAsync(messages, Greedy);

        var second = await Client.GetResponseAsync([.. messages, .. first.Messages, new(ChatRole.User, "And now?")], Greedy);

        Assert.That(second.Usage!.CachedInputTokenCount, Is.GreaterThanOrEqualTo(first.Usage!.InputTokenCount!.Value / 64 * 64).And.LessThan(second.Usage.InputTokenCount!.Value));
    }

    [Test]
    public async Task History_OfAResponse_CanBeGivenBack()
    {
        List<ChatMessage> history = [new(ChatRole.User, "one")];
        var response = await Client.GetResponseAsync(history, Greedy);
        history.AddMessages(response);
        history.Add(new ChatMessage(ChatRole.User, "two"));

        var next = await Client.GetResponseAsync(history, Greedy);

        Assert.That(history.Select(message => message.Role), Is.EqualTo(new[] { ChatRole.User, ChatRole.Assistant, ChatRole.User }));
        Assert.That(next.Messages.Single().Role, Is.EqualTo(ChatRole.Assistant));
        Assert.That(next.Usage!.InputTokenCount, Is.GreaterThan(response.Usage!.InputTokenCount!.Value));
    }

    [Test]
    public async Task Messages_WithNothingInThem_AreTurns()
    {
        var response = await Client.GetResponseAsync([new(ChatRole.System, []), new(ChatRole.User, []), new(ChatRole.Assistant, []), new(ChatRole.User, "hi")], Greedy);

        var prompt = BoxModel.Engine.ChatTemplates.Render([new("system", ""), new("user", ""), new("assistant", ""), new("user", "hi")]);
        Assert.That(response.Usage!.InputTokenCount, Is.EqualTo(prompt.Encode(BoxModel.Engine.Tokenizer).Length));
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task Cache_TheSamePrompt_IsAnsweredOnce(bool streams)
    {
        var calls = 0;
        using var client = Client.AsBuilder()
            .UseDistributedCache(new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions())))
            .Use(async (messages, options, next, cancellationToken) =>
            {
                calls++;
                await next(messages, options, cancellationToken);
            })
            .Build();
        var options = new ChatOptions { Temperature = 1, MaxOutputTokens = 12 };
        async Task<string> Ask(string text) => streams ? (await client.GetStreamingResponseAsync(text, options).ToChatResponseAsync()).Text : (await client.GetResponseAsync(text, options)).Text;

        var (first, second, other) = (await Ask("a"), await Ask("a"), await Ask("b"));

        Assert.That(second, Is.EqualTo(first));
        Assert.That(other, Is.Not.EqualTo(first));
        Assert.That(calls, Is.EqualTo(2));
    }

    [Test]
    public async Task Reducer_ThatSummarises_WorksWithTheClient()
    {
#pragma warning disable MEAI001 // reducers may yet change
        using var client = Client.AsBuilder().UseChatReducer(new SummarizingChatReducer(Client, targetCount: 1, threshold: 0)).Build();
#pragma warning restore MEAI001
        ChatMessage[] messages = [.. Enumerable.Range(0, 6).Select(i => new ChatMessage(i % 2 == 0 ? ChatRole.User : ChatRole.Assistant, $"message {i}")), new(ChatRole.User, "last")];

        var response = await client.GetResponseAsync(messages, Greedy);

        Assert.That(response.Usage!.OutputTokenCount, Is.EqualTo(24));
    }

    [Test]
    public async Task OpenTelemetry_OfThePipeline_SeesModelUsageAndFinish()
    {
        List<Activity> activities = [];
        List<string> instruments = [];
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "test-telemetry",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activities.Add,
        };
        ActivitySource.AddActivityListener(listener);
        using var meters = new MeterListener { InstrumentPublished = (instrument, meter) => { if (instrument.Meter.Name == "test-telemetry") { meter.EnableMeasurementEvents(instrument); } } };
        meters.SetMeasurementEventCallback<double>((instrument, _, _, _) => instruments.Add(instrument.Name));
        meters.SetMeasurementEventCallback<int>((instrument, _, _, _) => instruments.Add(instrument.Name));
        meters.Start();
        using var client = Client.AsBuilder().UseOpenTelemetry(sourceName: "test-telemetry").Build();

        var response = await client.GetStreamingResponseAsync(BoxModel.Signature, Greedy).ToChatResponseAsync();

        var tags = activities.Single().TagObjects.ToDictionary(tag => tag.Key, tag => tag.Value);
        Assert.That(tags["gen_ai.provider.name"], Is.EqualTo("nativespec"));
        Assert.That(tags["gen_ai.response.model"], Is.EqualTo("doc-comments"));
        Assert.That(tags["gen_ai.usage.output_tokens"], Is.EqualTo(24));
        Assert.That(tags["gen_ai.usage.input_tokens"], Is.EqualTo(response.Usage!.InputTokenCount));
        Assert.That(tags["gen_ai.response.finish_reasons"]?.ToString(), Does.Contain("length"));
        Assert.That(instruments, Does.Contain("gen_ai.client.operation.duration").And.Contain("gen_ai.client.token.usage"));
    }

    [TestCase(0f, null)]
    [TestCase(0.8f, 5L)]
    [TestCase(0.8f, -5L)]
    public async Task Ids_AreThoseOfTheEngine_WithSpeculationAndWithout(float temperature, long? seed)
    {
        var options = new ChatOptions { Temperature = temperature, Seed = seed, MaxOutputTokens = 60 };
        var plain = options.Clone();
        plain.RawRepresentationFactory = _ => new GenerationOptions { Speculation = SpeculationOptions.Off };
        var all = options.Clone();
        all.RawRepresentationFactory = _ => new GenerationOptions { Speculation = new() { Unplanned = true } };

        var direct = await BoxModel.Engine.CompleteChatAsync(
            [new ChatTurn("system", "Be brief."), new ChatTurn("user", BoxModel.Signature)], new() { Temperature = temperature, Seed = unchecked((ulong?)seed), MaxTokens = 60, Speculation = SpeculationOptions.Off });
        ChatMessage[] messages = [new(ChatRole.System, "Be brief."), new(ChatRole.User, BoxModel.Signature)];
        var ids = new List<IReadOnlyList<int>>();
        foreach (var each in new[] { options, plain, all })
        {
            ids.Add(((GenerationResult)(await Client.GetResponseAsync(messages, each)).RawRepresentation!).Ids);
        }

        Assert.That(ids, Has.All.EqualTo(direct.Ids));
        Assert.That(direct.Ids, Has.Count.GreaterThan(20));
    }

    [Test]
    public async Task Chats_SixtyFourAtOnce_AreThoseOfOneAfterTheOther()
    {
        ChatOptions Options(int i) => new() { Temperature = i % 2 == 0 ? 0 : 0.9f, Seed = i, MaxOutputTokens = 8 + (i % 9) };
        ChatMessage[] Messages(int i) => [new(ChatRole.System, $"Number {i % 5}."), new(ChatRole.User, $"namespace N{i};\nType{i % 7}.Method{i}(int a)\n")];
        var single = new List<string>();
        for (var i = 0; i < 64; i++)
        {
            single.Add((await Client.GetResponseAsync(Messages(i), Options(i))).Text);
        }

        var together = await Task.WhenAll(Enumerable.Range(0, 64).Select(i => Task.Run(async () => (await Client.GetStreamingResponseAsync(Messages(i), Options(i)).ToChatResponseAsync()).Text)));

        Assert.That(together, Is.EqualTo(single));
        Assert.That(single.Distinct().Count(), Is.GreaterThan(20));
    }

    [Test]
    public async Task Cancel_WhileWriting_ThrowsAndFreesTheRequest()
    {
        using var cancel = new CancellationTokenSource();
        var updates = Client.GetStreamingResponseAsync(BoxModel.Signature, new() { MaxOutputTokens = 400, Temperature = 1 }, cancel.Token).GetAsyncEnumerator();
        await using (updates)
        {
            Assert.That(await updates.MoveNextAsync(), Is.True);
            await cancel.CancelAsync();
            Assert.That(
                async () =>
                {
                    while (await updates.MoveNextAsync())
                    {
                    }
                },
                Throws.InstanceOf<OperationCanceledException>(), "an answer that is cut off must not look like a whole one");
        }

        Assert.That(() => BoxModel.Engine.Snapshot() is { Active: 0, Waiting: 0 }, Is.True.After(10_000, 10));
    }

    [Test]
    public void Cancel_BeforeTheCall_Throws()
        => Assert.That(() => Client.GetResponseAsync("hi", Greedy, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());

    [Test]
    public void GetService_GivesWhatThereIs()
    {
        var client = Client;

        Assert.That(client.GetService<ChatClientMetadata>(), Has.Property("ProviderName").EqualTo("nativespec").And.Property("DefaultModelId").EqualTo("doc-comments").And.Property("ProviderUri").Null);
        Assert.That(client.GetService<InferenceEngine>(), Is.SameAs(BoxModel.Engine));
        Assert.That(client.GetService<NativeSpecChatClient>(), Is.SameAs(client));
        Assert.That(client.GetService<IChatClient>(), Is.SameAs(client));
        Assert.That(client.GetService<string>(), Is.Null);
        Assert.That(client.GetService<NativeSpecChatClient>("key"), Is.Null);
        Assert.That(() => client.GetService(null!), Throws.ArgumentNullException);
        Assert.That(() => client.GetStreamingResponseAsync((IEnumerable<ChatMessage>)null!), Throws.ArgumentNullException);
    }

    [Test]
    public void Prompt_ThatIsTooLong_IsTheEnginesException()
        => Assert.That(() => Client.GetResponseAsync(string.Concat(Enumerable.Repeat("word ", 20_000)), Greedy), Throws.TypeOf<ContextLengthException>());

    [Test]
    public void SpecialTokens_TypedAnywhere_AreText()
    {
        var tokenizer = BoxModel.Engine.Tokenizer;
        foreach (var id in Enumerable.Range(0, tokenizer.VocabSize).Where(tokenizer.IsSpecial))
        {
            var text = $"a{tokenizer.TokenText(id)}b";
            ChatMessage[] messages =
            [
                new(ChatRole.System, text), new(ChatRole.User, text), new(ChatRole.Assistant, [new TextContent(text), new FunctionCallContent(text, text, new Dictionary<string, object?> { [text] = text })]),
                new(ChatRole.Tool, [new FunctionResultContent(text, text)]), new(new ChatRole(text), text) { AuthorName = text },
            ];
            var templates = BoxModel.Engine.ChatTemplates.With("{{ messages|tojson }}{% for m in messages %}{{ m.role }}{{ m.content }}{{ m.name }}{% endfor %}");

            var ids = templates.Render([.. ConversationMapping.Turns(messages, text)]).Encode(tokenizer);

            Assert.That(ids, Has.None.Matches<int>(tokenizer.IsSpecial));
        }
    }
}
