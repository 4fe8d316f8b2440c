using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using NativeSpec.Engine;
using NativeSpec.Extensions.AI;
using NativeSpec.Speculation;

// The library, trimmed and compiled ahead of time: loads a model with all kinds of drafters, warms up, writes a text with speculation and without,
// keeps a profile and reads it again, and chats. Ends with 0 if all of that held, and says how long the first token took.
if (args is not [var model])
{
    Console.Error.WriteLine("usage: NativeSpec.AotApp MODEL; models/doc-comments, with its draft and its heads");
    return 2;
}

var profiles = Directory.CreateTempSubdirectory("nativespec-aot-").FullName;
try
{
    var options = new EngineOptions
    {
        DraftModels = [Path.Combine(model, "draft")],
        Medusa = Path.Combine(model, "medusa"),
        ProfileDirectory = profiles,
    };
    var request = new GenerationOptions { MaxTokens = 48, Temperature = 0, Speculation = new SpeculationOptions { Unplanned = true } };
    var stages = new HashSet<LoadStage>();
    using (var engine = await InferenceEngine.LoadAsync(model, options, new Progress<LoadProgress>(step => { lock (stages) { stages.Add(step.Stage); } })))
    {
        var first = TimeSpan.Zero;
        GenerationResult? speculative = null;
        await foreach (var piece in engine.GenerateAsync("namespace System.IO;\nFile.Delete(string path)\n", request))
        {
            first = first == TimeSpan.Zero ? DateTime.Now - Process.GetCurrentProcess().StartTime : first;
            speculative = piece.Result;
        }

        var plain = await engine.CompleteAsync("namespace System.IO;\nFile.Delete(string path)\n", request with { Speculation = SpeculationOptions.Off });
        await engine.WarmUpAsync();
        Require(speculative!.Ids.SequenceEqual(plain.Ids) && speculative.Text == plain.Text, "the text with speculation is that without");
        Require(speculative.Speculation.Accepted > 0 && speculative.Speculation.Drafters.Count == 5, "five drafters were at work, and some were right");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{engine.Backend}: first token {first.TotalMilliseconds:0} ms after the start; {plain.Text.ReplaceLineEndings(" ")}"));
    }

    var file = Directory.GetFiles(profiles).Single();
    var written = File.GetLastWriteTimeUtc(file);
    using (var again = InferenceEngine.Load(model, options))
    {
        Require(File.GetLastWriteTimeUtc(file) == written, "the profile was read: nothing was measured again");
    }

    await ChatAsync(model);
    return 0;
}
finally
{
    Directory.Delete(profiles, recursive: true);
}

// The chat client out of a container: options bound from a configuration, a conversation with calls of tools and results of several kinds.
static async Task ChatAsync(string model)
{
    var configuration = new ConfigurationManager
    {
        ["NativeSpec:ModelPath"] = model,
        ["NativeSpec:MaxSequences"] = "2",
        ["NativeSpec:WarmUp"] = "false",
        ["NativeSpec:ChatTemplate"] = "{{ tools|tojson }}{{ messages|tojson }}",
    };
    var services = new ServiceCollection().AddSingleton<IConfiguration>(configuration);
    services.AddNativeSpec().AddNativeSpecChatClient().UseFunctionInvocation();
    await using var provider = services.BuildServiceProvider();
    var tool = AIFunctionFactory.CreateDeclaration("f", "does it", AIJsonUtilities.CreateJsonSchema(typeof(int)));
    var response = await provider.GetRequiredService<IChatClient>().GetResponseAsync(
        [
            new ChatMessage(ChatRole.User, "q"),
            new ChatMessage(ChatRole.Assistant, [new FunctionCallContent("c", "f", new Dictionary<string, object?> { ["a"] = 1, ["b"] = "x", ["c"] = null })]),
            new ChatMessage(ChatRole.Tool, [new FunctionResultContent("c", 1.5)]),
        ],
        new ChatOptions { Tools = [tool], MaxOutputTokens = 4, Temperature = 0 });
    Require(response.Usage is { OutputTokenCount: 4, InputTokenCount: > 50 } && provider.GetRequiredService<EngineHost>().Options.MaxSequences == 2, "a container has a chat client with the options of the configuration");
}

static void Require(bool holds, string what)
{
    if (!holds)
    {
        throw new InvalidOperationException($"it does not hold that {what}");
    }
}
