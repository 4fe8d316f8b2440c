using System.Text.Json;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Tests.Backends;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Golden;

/// <summary>Random checkpoints against the reference library's values: every setting that changes the forward, on every backend.</summary>
[TestFixtureSource(nameof(Backends))]
public sealed class GoldenCheckpointTests(TestBackend backend)
{
    private static IEnumerable<TestBackend> Backends => TestBackend.Levels.Concat(TestBackend.RoundedKv.DistinctBy(backend => backend.Name.Split(' ')[0])).Concat(TestBackend.Cuda).Concat(TestBackend.CudaF32Kv);

    private static readonly string[] Prompts = ["short", "long"];

    public static IEnumerable<string> Supported =>
    [
        "llama", "llama-tied-headdim32", "llama-biases", "llama-rope-llama3", "llama-rope-linear", "llama-rope-yarn", "mistral-full", "mistral-window", "qwen2",
        "qwen2-window", "qwen3", "granite", "phi3", "phi4-partial-rotary", "phi3-longrope", "smollm3",
    ];

    [Test]
    public void Forward_AfterAPrompt_HasTheReferencesLogitsAndGreedyTokens([ValueSource(nameof(Supported))] string name, [ValueSource(nameof(Prompts))] string prompt)
    {
        var expected = Expected(name).GetProperty("prompts").GetProperty(prompt);
        using var checkpoint = LlamaCheckpoint.Open(Path.Combine(Folder, name));
        // LongRoPE's list goes by the context here, and by the length of the text in the reference.
        using var run = new ModelRun(backend.Create(), checkpoint.Config, checkpoint.Tensors, context: prompt == "short" ? 64 : 256);
        var sequence = run.Open();

        var logits = run.Append(sequence, Ids(expected, "prompt_ids"), chunk: 64)[^1];
        var wanted = expected.GetProperty("logits").EnumerateArray().Select(value => value.GetSingle()).ToArray();
        var scale = wanted.Max(Math.Abs);
        Assert.That(logits, Is.EqualTo(wanted).Within(Math.Max(2e-4, backend.LogitError) * scale));

        foreach (var id in Ids(expected, "greedy_ids"))
        {
            // Where rows are rounded, one that is as high but for the rounding may be the highest.
            Assert.That(logits.Max() - logits[id], Is.LessThanOrEqualTo(2 * backend.LogitError * scale), $"{Array.IndexOf(logits, logits.Max())} instead of {id}");
            logits = run.Append(sequence, [id])[^1];
        }
    }

    private static JsonElement Expected(string name)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, name, "expected.json")));
        return document.RootElement.Clone();
    }

    private static int[] Ids(JsonElement expected, string field) => [.. expected.GetProperty(field).EnumerateArray().Select(id => id.GetInt32())];

    private static string Folder { get; } = Repository.Find("tests", "NativeSpec.Tests", "Golden");
}

/// <summary>What this engine does not compute is refused by name, before anything is computed wrongly.</summary>
public sealed class GoldenRefusalTests
{
    [TestCase("gemma2")]
    [TestCase("gemma3")]
    [TestCase("mixtral")]
    [TestCase("olmo2")]
    [TestCase("qwen3-moe")]
    public void Read_AnotherFamily_IsRefusedByName(string name)
    {
        var file = Refused(name);
        using var document = JsonDocument.Parse(File.ReadAllText(file));
        var type = document.RootElement.GetProperty("model_type").GetString();

        Assert.That(() => LlamaConfig.Read(file), Throws.TypeOf<ModelFormatException>().With.Message.Contains(type));
    }

    [Test]
    public void Read_ARotationThatDependsOnHowThePromptIsCut_IsRefused()
        => Assert.That(
            () => LlamaConfig.Read(Refused("llama-rope-dynamic")),
            Throws.TypeOf<ModelFormatException>().With.Message.Contains("dynamic"));

    private static string Refused(string name) => Repository.Find("tests", "NativeSpec.Tests", "Golden", "refused", name, "config.json");
}
