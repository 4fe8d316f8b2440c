using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeSpec.Engine;

namespace NativeSpec.Extensions.AI.Tests;

/// <summary>Every member of ChatOptions acts, or is refused by its name. A member that a new version of Microsoft.Extensions.AI brings fails the first test until it is one or the other.</summary>
public sealed class ChatOptionsTests
{
    private const string Model = "m";

    /// <summary>Members that set something, with what they set.</summary>
    private static readonly (string Member, ChatOptions Options, Func<ChatRequest, object?> Found, object? Expected)[] Acting =
    [
        (nameof(ChatOptions.Temperature), new() { Temperature = 0.5f }, request => request.Options.Temperature, 0.5f),
        (nameof(ChatOptions.TopP), new() { TopP = 0.25f }, request => request.Options.TopP, 0.25f),
        (nameof(ChatOptions.TopK), new() { TopK = 3 }, request => request.Options.TopK, 3),
        (nameof(ChatOptions.Seed), new() { Seed = -1 }, request => request.Options.Seed, ulong.MaxValue),
        (nameof(ChatOptions.MaxOutputTokens), new() { MaxOutputTokens = 5 }, request => request.Options.MaxTokens, 5),
        (nameof(ChatOptions.StopSequences), new() { StopSequences = ["x", "y"] }, request => string.Join(',', request.Options.StopStrings), "x,y"),
        (nameof(ChatOptions.FrequencyPenalty), new() { FrequencyPenalty = 1 }, request => request.Options.FrequencyPenalty, 1f),
        (nameof(ChatOptions.PresencePenalty), new() { PresencePenalty = -1 }, request => request.Options.PresencePenalty, -1f),
        (nameof(ChatOptions.Instructions), new() { Instructions = "be brief" }, request => $"{request.Turns[0]}", "ChatTurn { Role = system, Content = be brief, Name = , Reasoning = , ToolCalls = NativeSpec.Chat.ChatToolCall[], ToolCallId =  }"),
        (nameof(ChatOptions.Tools), new() { Tools = [AIFunctionFactory.Create((int a) => a, "f", "does it")] }, request => request.Format.Tools.Single().GetProperty("function").GetProperty("name").GetString(), "f"),
        (nameof(ChatOptions.ToolMode), new() { ToolMode = ChatToolMode.None, Tools = [AIFunctionFactory.Create((int a) => a, "f")] }, request => request.Format.Tools.Count, 0),
        (nameof(ChatOptions.AllowMultipleToolCalls), new() { AllowMultipleToolCalls = false }, request => request.AllowsSeveralCalls, false),
        (nameof(ChatOptions.Reasoning), new() { Reasoning = new() { Effort = ReasoningEffort.None } }, request => request.Format.Variables["enable_thinking"].GetRawText(), "false"),
        (nameof(ChatOptions.Reasoning), new() { Reasoning = new() { Effort = ReasoningEffort.Medium } }, request => request.Format.Variables["reasoning_effort"].GetString(), "medium"),
        (nameof(ChatOptions.Reasoning), new() { Reasoning = new() { Output = ReasoningOutput.None } }, request => request.ShowsReasoning, false),
        (nameof(ChatOptions.RawRepresentationFactory), new() { TopK = 7, Temperature = 1, RawRepresentationFactory = _ => new GenerationOptions { MinP = 0.1f, Temperature = 0 } }, request => (request.Options.MinP, request.Options.Temperature, request.Options.TopK), ((float?)0.1f, (float?)0, (int?)7)),
        (nameof(ChatOptions.ModelId), new() { ModelId = Model }, _ => null, null),
        (nameof(ChatOptions.ResponseFormat), new() { ResponseFormat = ChatResponseFormat.Text }, _ => null, null),
    ];

    /// <summary>Members with values that are refused.</summary>
    private static readonly (string Member, ChatOptions Options, Type Refusal)[] Refused =
    [
        (nameof(ChatOptions.Temperature), new() { Temperature = -1 }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.Temperature), new() { Temperature = float.NaN }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.TopP), new() { TopP = 1.5f }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.TopK), new() { TopK = -1 }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.MaxOutputTokens), new() { MaxOutputTokens = 0 }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.FrequencyPenalty), new() { FrequencyPenalty = 3 }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.PresencePenalty), new() { PresencePenalty = -3 }, typeof(ArgumentOutOfRangeException)),
        (nameof(ChatOptions.StopSequences), new() { StopSequences = [""] }, typeof(ArgumentException)),
        (nameof(ChatOptions.ModelId), new() { ModelId = "another" }, typeof(ArgumentException)),
        (nameof(ChatOptions.ConversationId), new() { ConversationId = "c" }, typeof(NotSupportedException)),
        (nameof(ChatOptions.ContinuationToken), new() { ContinuationToken = ResponseContinuationToken.FromBytes(new byte[1]) }, typeof(NotSupportedException)),
        (nameof(ChatOptions.ResponseFormat), new() { ResponseFormat = ChatResponseFormat.Json }, typeof(NotSupportedException)),
        (nameof(ChatOptions.ToolMode), new() { ToolMode = ChatToolMode.RequireAny }, typeof(NotSupportedException)),
        (nameof(ChatOptions.ToolMode), new() { ToolMode = ChatToolMode.RequireSpecific("f") }, typeof(NotSupportedException)),
        (nameof(ChatOptions.Tools), new() { Tools = [new HostedWebSearchTool()] }, typeof(NotSupportedException)),
        (nameof(ChatOptions.Reasoning), new() { Reasoning = new() { Output = ReasoningOutput.Summary } }, typeof(NotSupportedException)),
        (nameof(ChatOptions.RawRepresentationFactory), new() { RawRepresentationFactory = _ => "text" }, typeof(NotSupportedException)),
    ];

    /// <summary>Members that are ignored because their documentation says that a client without such a thing does so.</summary>
    private static readonly string[] Ignored = [nameof(ChatOptions.AdditionalProperties), nameof(ChatOptions.AllowBackgroundResponses)];

    [Test]
    public void EveryMember_ActsOrIsRefused()
        => Assert.That(
            typeof(ChatOptions).GetProperties().Select(property => property.Name),
            Is.SubsetOf(Acting.Select(each => each.Member).Concat(Refused.Select(each => each.Member)).Concat(Ignored).ToArray()));

    [Test]
    public void Member_ThatActs_SetsWhatItSays([Range(0, 17)] int index)
    {
        Assert.That(Acting, Has.Length.EqualTo(18));
        var (member, options, found, expected) = Acting[index];

        Assert.That(found(ChatRequest.From([new(ChatRole.User, "q")], options, BoxModel.Client, Model)), Is.EqualTo(expected), member);
    }

    [Test]
    public void Member_ThatIsRefused_IsNamed([Range(0, 16)] int index)
    {
        Assert.That(Refused, Has.Length.EqualTo(17));
        var (member, options, refusal) = Refused[index];

        var error = Assert.Throws(refusal, () => BoxModel.Client.GetResponseAsync("q", options).GetAwaiter().GetResult());

        Assert.That(error!.Message, Does.Contain($"ChatOptions.{member}"));
    }

    [Test]
    public void Tools_WithATemplateThatHasNoPlaceForThem_AreRefused()
    {
        using var folder = new ScriptedFolder([ScriptedFolder.Answer, "text"]);
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { ChatTemplate = "chatml", ProfileDirectory = null, Threads = 1 });
        using var client = new NativeSpecChatClient(engine);
        Assert.That(
            () => client.GetResponseAsync("q", new() { Tools = [AIFunctionFactory.Create((int a) => a, "f")] }),
            Throws.TypeOf<NotSupportedException>().With.Message.Contains("ChatOptions.Tools").And.Message.Contains("template"));
    }

    [TestCase(typeof(DataContent))]
    [TestCase(typeof(UriContent))]
    [TestCase(typeof(HostedFileContent))]
    public void Content_ThatIsNoText_IsRefusedByName(Type type)
    {
        AIContent content = type.Name switch
        {
            nameof(DataContent) => new DataContent(new byte[] { 1 }, "image/png"),
            nameof(UriContent) => new UriContent("https://example.org/a.png", "image/png"),
            _ => new HostedFileContent("file"),
        };

        Assert.That(() => BoxModel.Client.GetResponseAsync(new ChatMessage(ChatRole.User, [content])), Throws.TypeOf<NotSupportedException>().With.Message.Contains(type.Name));
    }

    [Test]
    public void Options_AreNotChanged()
    {
        var options = new ChatOptions { Instructions = "i", StopSequences = ["s"] };
        var before = JsonSerializer.Serialize(options, AIJsonUtilities.DefaultOptions);

        _ = ChatRequest.From([new(ChatRole.User, "q")], options, BoxModel.Client, Model);

        Assert.That(JsonSerializer.Serialize(options, AIJsonUtilities.DefaultOptions), Is.EqualTo(before));
    }
}
