using System.Text;
using System.Text.Json;
using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Tests.Speculation;

/// <summary>What the trace and the statistics say is what happened.</summary>
public sealed class SpeculationTraceTests
{
    private static readonly int[] Prompt = [104, 101, 32, 104, 101, 32, 116, 104, 101, 32];

    private static readonly GenerationOptions Options = new()
    {
        MaxTokens = 40,
        Seed = 7,
        Temperature = 0,
        LogitBias = new Dictionary<int, float> { [TestFolder.PoisonedToken] = -100, [TestFolder.TokenizersEndOfText] = -100 },
    };

    private TestFolder _folder = null!;
    private InferenceEngine _engine = null!;

    [OneTimeSetUp]
    public void Load()
    {
        _folder = new TestFolder();
        _engine = InferenceEngine.Load(_folder.Path, new EngineOptions { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 2 }), DraftModels = [_folder.Path], DraftOptions = new DraftModelOptions { Depth = 3, StopBelow = 0 } });
    }

    [OneTimeTearDown]
    public void Delete()
    {
        _engine.Dispose();
        _folder.Dispose();
    }

    [Test]
    public async Task Lines_OfARequest_AddUpToItsTextAndStatistics([Values] bool followsCost)
    {
        var (result, lines) = await Trace(followsCost);
        var (stats, nodes) = (result.Speculation, lines.SelectMany(line => Array(line, "nodes")).ToArray());
        var candidates = nodes.Where(node => Int(node, "depth") > 0).ToArray();

        Assert.That(lines.Select(line => Int(line, "round")), Is.EqualTo(Enumerable.Range(1, stats.Rounds)));
        Assert.That(lines.SelectMany(line => Array(line, "emitted")).Select(token => token.GetInt32()), Is.EqualTo(result.Ids.Skip(1)));
        Assert.That(candidates.Count(node => Flag(node, "accepted")), Is.EqualTo(stats.Accepted));
        Assert.That(candidates.Count(node => Flag(node, "computed") && !Flag(node, "probe")), Is.EqualTo(stats.Drafted));
        Assert.That(candidates.Count(node => Flag(node, "probe")), Is.EqualTo(stats.Probes));
        foreach (var drafter in stats.Drafters)
        {
            var its = candidates.Where(node => Array(node, "drafters").Any(d => d.GetProperty("name").GetString() == drafter.Name)).ToArray();
            Assert.That((its.Length, its.Count(node => Flag(node, "computed")), its.Count(node => Flag(node, "accepted"))), Is.EqualTo((drafter.Proposed, drafter.Drafted, drafter.Accepted)), drafter.Name);
        }
    }

    [Test]
    public async Task Line_HoldsATreeWhoseAcceptedPathIsTheEmittedText()
    {
        var (result, lines) = await Trace(followsCost: false);
        foreach (var line in lines)
        {
            var nodes = Array(line, "nodes").ToArray();
            var path = nodes.Where(node => Flag(node, "accepted")).ToArray();
            int[] emitted = [.. Array(line, "emitted").Select(token => token.GetInt32())];
            Assert.That(path.Skip(1).Select(node => Int(node, "token")), Is.EqualTo(emitted.Take(path.Length - 1)));
            Assert.That(nodes.Select((node, i) => Int(node, "parent") < i), Has.All.True);
            var root = Int(line, "position") - 1; // the text's last token
            Assert.That(Int(nodes[0], "token"), Is.EqualTo(root < Prompt.Length ? Prompt[root] : result.Ids[root - Prompt.Length]));
        }

        Assert.That(result.Speculation.Accepted, Is.GreaterThan(10), "a draft that is the model itself");
    }

    [Test]
    public async Task Ranks_JudgeWhatWasProposed()
    {
        var stats = (await Trace(followsCost: false)).Result.Speculation;
        Assert.That(stats.AcceptedPerPosition.Sum(), Is.EqualTo(stats.Accepted));
        Assert.That(stats.Emitted, Is.EqualTo(stats.Accepted + stats.Rounds));
        foreach (var drafter in stats.Drafters)
        {
            var all = drafter.Ranks.SelectMany(depth => depth).ToArray();
            Assert.That(drafter.AcceptedPerPosition.Sum(), Is.EqualTo(drafter.Accepted), drafter.Name);
            Assert.That(all.Sum(count => count.Judged), Is.AtMost(drafter.Proposed), drafter.Name);
            Assert.That(all.Select(count => count.Right <= count.Judged), Has.All.True, drafter.Name);
        }

        var draft = stats.Drafters.Single(d => d.Name == "draft");
        Assert.That(draft.Ranks[0][0].Right, Is.AtLeast(draft.Ranks[0][0].Judged / 3), "it is the model itself");
    }

    private async Task<(GenerationResult Result, JsonElement[] Lines)> Trace(bool followsCost)
    {
        using var output = new MemoryStream();
        using var trace = new SpeculationTrace(output, _engine.Tokenizer);
        var result = await _engine.CompleteAsync(Prompt, Options with { Speculation = new() { Unplanned = !followsCost, Trace = trace } });
        var lines = Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return (result, [.. lines.Select(line => JsonDocument.Parse(line).RootElement)]);
    }

    private static JsonElement.ArrayEnumerator Array(JsonElement element, string field) => element.GetProperty(field).EnumerateArray();

    private static int Int(JsonElement element, string field) => element.GetProperty(field).GetInt32();

    private static bool Flag(JsonElement element, string field) => element.GetProperty(field).GetBoolean();
}
