using System.Globalization;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;

namespace NativeSpec.Cli.Tests;

public sealed class InspectCommandTests
{
    private TestFolder _folder = null!;

    [OneTimeSetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [OneTimeTearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public async Task Json_DescribesTheCheckpoint()
    {
        var json = (await CliRun.Of("inspect", "--model", _folder.Path, "--context", "100", "--json")).Json();

        var config = TestConfigs.Tiny with { TieWordEmbeddings = false };
        Assert.That(json.Number("parameters"), Is.EqualTo(config.ParameterCount));
        Assert.That(json.GetProperty("config").Number("hidden_size"), Is.EqualTo(config.HiddenSize));
        Assert.That(json.GetProperty("tokenizer").Text("description"), Does.Contain("byte-level"));
        Assert.That(json.GetProperty("tensors").GetArrayLength(), Is.EqualTo(3 + (9 * config.NumHiddenLayers)));
        var tensor = json.GetProperty("tensors").EnumerateArray().Single(t => t.Text("name") == "model.layers.1.mlp.down_proj.weight");
        Assert.That(tensor.Text("dtype"), Is.EqualTo("F32"));
        Assert.That(tensor.Ints("shape"), Is.EqualTo([config.HiddenSize, config.IntermediateSize]));
        var memory = json.GetProperty("memory");
        Assert.That(memory.Number("weights_bytes"), Is.EqualTo(4 * config.ParameterCount));
        Assert.That(memory.Number("kv_bytes"), Is.EqualTo(256 * memory.Number("kv_bytes_per_token")), "the text, a round's candidates and the rest of a page, in pages of 64 tokens");
        Assert.That(memory.Number("total_bytes"), Is.EqualTo(memory.Number("weights_bytes") + memory.Number("kv_bytes") + memory.Number("buffers_bytes")));
    }

    [Test]
    public async Task KeysAndValuesAsBF16_TakeHalfTheMemoryAndOnADeviceWhatTheyTakeThere([Values(DType.F32, DType.BF16)] DType weights)
    {
        using var folder = new TestFolder(dtype: weights);
        async Task<(double PerToken, double All, double OnDevice)> Take(params string[] kv)
        {
            var json = (await CliRun.Of(["inspect", "--model", folder.Path, "--context", "100", "--json", .. kv])).Json();
            return (json.GetProperty("memory").Number("kv_bytes_per_token"), json.GetProperty("memory").Number("kv_bytes"), json.GetProperty("cuda_memory").Number("kv_bytes"));
        }

        var (usual, f32, bf16) = (await Take(), await Take("--kv", "f32"), await Take("--kv", "bf16"));

        var isWhole = weights == DType.F32; // on a device, keys and values are what the weights are
        Assert.That(f32, Is.EqualTo((usual.PerToken, usual.All, isWhole ? usual.OnDevice : 2 * usual.OnDevice)), "F32 is usual on the processor");
        Assert.That(bf16, Is.EqualTo((usual.PerToken / 2, usual.All / 2, isWhole ? usual.OnDevice / 2 : usual.OnDevice)));
    }

    [Test]
    public async Task ForPeople_HasTheSameFactsInTables()
    {
        var run = await CliRun.Of("inspect", "--model", _folder.Path);

        Assert.That(run.Code, Is.Zero);
        Assert.That(run.Out, Does.Contain("model.layers.2.self_attn.q_proj.weight").And.Contain("48 × 48").And.Contain("byte-level"));
    }

    [Test]
    public async Task WithoutATokenizer_TellsTheProblemAndTheRest()
    {
        using var bare = new TestFolder();
        File.Delete(Path.Combine(bare.Path, "tokenizer.json"));

        var json = (await CliRun.Of("inspect", "--model", bare.Path, "--json")).Json();

        Assert.That(json.GetProperty("tokenizer").Text("problem"), Does.Contain("tokenizer.json"));
        Assert.That(json.Number("parameters"), Is.Positive);
    }

    [Test]
    public async Task Ids_GivesTopTokensThatAgreeWithTheLogits()
    {
        var json = (await CliRun.Of("inspect", "--model", _folder.Path, "--ids", "5,6,7", "--top", "3", "--logits", "300", "--json")).Json();

        var logits = json.GetProperty("logits").EnumerateArray().Select(value => value.GetSingle()).ToArray();
        Assert.That(logits, Has.Length.EqualTo(300));
        var total = logits.Sum(logit => Math.Exp(logit));
        var top = json.GetProperty("top").EnumerateArray().ToArray();
        Assert.That(top.Select(t => t.GetProperty("logit").GetSingle()), Is.EqualTo(logits.OrderDescending().Take(3)));
        foreach (var token in top)
        {
            Assert.That(logits[(int)token.Number("id")], Is.EqualTo(token.GetProperty("logit").GetSingle()));
            Assert.That(token.Number("prob"), Is.EqualTo(Math.Exp(token.Number("logit")) / total).Within(1e-6));
            Assert.That(token.Number("logprob"), Is.EqualTo(Math.Log(token.Number("prob"))).Within(1e-5));
        }
    }

    [TestCase("300", "300")]
    [TestCase("-1", "-1")]
    public async Task AnIdOutsideTheVocabulary_IsRefusedByNumber(string id, string named)
    {
        var run = await CliRun.Of("inspect", "--model", _folder.Path, "--ids=" + id);

        Assert.That(run.Code, Is.Not.Zero);
        Assert.That(run.Error, Does.Contain(named));
    }

    [TestCase("stories260k", 2e-3)]
    [TestCase("stories-xs", 2e-3)]
    [TestCase("shakespeare-2m", 3e-2)]
    public async Task RealCheckpoint_Ids_GivesTheExpectedLogits(string name, double tolerance)
    {
        var (folder, expected) = (SharedModels.Folder(name), SharedModels.Expected(name));

        var json = (await CliRun.Of("inspect", "--model", folder, "--ids", string.Join(',', expected.Ints("prompt_ids")), "--top", "5", "--logits", "8", "--json")).Json();

        var first8 = expected.GetProperty("logits_first8").EnumerateArray().Select(value => value.GetDouble());
        Assert.That(json.GetProperty("logits").EnumerateArray().Select(value => value.GetDouble()), Is.EqualTo(first8).Within(tolerance));
        var best = json.GetProperty("top")[0];
        Assert.That(best.Number("id"), Is.EqualTo(expected.GetProperty("argmax")[0].GetDouble()));
        Assert.That(best.Number("logit"), Is.EqualTo(expected.GetProperty("argmax")[1].GetDouble()).Within(tolerance));
        Assert.That(float.Parse(best.GetProperty("logit").GetRawText(), CultureInfo.InvariantCulture).ToString("R", CultureInfo.InvariantCulture), Is.EqualTo(best.GetProperty("logit").GetRawText()));
    }
}
