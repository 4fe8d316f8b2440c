using System.Text.Json;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.Llama;

/// <summary>What is written is read back.</summary>
public sealed class LlamaConfigWriterTests
{
    private static readonly LlamaConfig Plain = new()
    {
        HiddenSize = 8,
        IntermediateSize = 12,
        NumHiddenLayers = 2,
        NumAttentionHeads = 4,
        NumKeyValueHeads = 2,
        HeadDim = 6, // not hidden_size / num_attention_heads
        VocabSize = 10,
        MaxPositionEmbeddings = 32,
        RmsNormEps = 3e-6f,
        RopeTheta = 250_000,
    };

    private static IEnumerable<TestCaseData> Configs()
    {
        TestCaseData Case(string name, LlamaConfig config) => new TestCaseData(config).SetArgDisplayNames(name);
        yield return Case("plain", Plain);
        yield return Case("Mistral", Plain with { ModelType = "mistral" });
        yield return Case("tied, with biases", Plain with { TieWordEmbeddings = true, AttentionBias = true, MlpBias = true });
        yield return Case("one end", Plain with { BosTokenId = 1, EosTokenIds = [2] });
        yield return Case("several ends", Plain with { BosTokenId = 0, EosTokenIds = [2, 3, 7] });
        yield return Case("linear rope", Plain with { RopeScaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 4.5 } });
        yield return Case("Llama 3 rope", Plain with
        {
            RopeScaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1.5, HighFreqFactor = 5, OriginalMaxPositionEmbeddings = 4096 },
        });
    }

    private readonly TemporaryConfig _file = new();

    [OneTimeTearDown]
    public void Delete() => _file.Dispose();

    [TestCaseSource(nameof(Configs))]
    public void Write_AnyConfiguration_IsReadBackAsItWas(LlamaConfig config)
    {
        config.Write(_file.Path, DType.BF16);

        var read = LlamaConfig.Read(_file.Path);

        Assert.That(read with { EosTokenIds = config.EosTokenIds }, Is.EqualTo(config));
        Assert.That(read.EosTokenIds, Is.EqualTo(config.EosTokenIds));
    }

    [TestCase(DType.F32, "float32")]
    [TestCase(DType.F16, "float16")]
    [TestCase(DType.BF16, "bfloat16")]
    public void Write_AnElementType_HasTorchsName(DType weights, string name)
    {
        Plain.Write(_file.Path, weights);

        using var json = JsonDocument.Parse(File.ReadAllBytes(_file.Path));
        Assert.That(json.RootElement.GetProperty("torch_dtype").GetString(), Is.EqualTo(name));
    }

    [Test]
    public void Write_AnElementTypeThatNoModelHas_IsRefused()
        => Assert.That(() => Plain.Write(_file.Path, DType.I64), Throws.ArgumentException.With.Message.Contains("I64").And.Message.Contains("BF16"));

    [Test]
    public void Write_AnImpossibleConfiguration_IsRefusedByField()
        => Assert.That(() => (Plain with { VocabSize = 0 }).Write(_file.Path, DType.F32), Throws.ArgumentException.With.Message.Contains("vocab_size is 0"));

    private sealed class TemporaryConfig : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-config-");

        public string Path => System.IO.Path.Combine(_folder.FullName, "config.json");

        public void Dispose() => _folder.Delete(recursive: true);
    }
}
