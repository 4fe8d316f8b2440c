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
        yield return Case("Mistral with a window", Plain with { ModelType = "mistral", SlidingWindow = 7 });
        yield return Case("Qwen2", Plain with { ModelType = "qwen2", QkvBias = true });
        yield return Case("Qwen2 with windowed layers", Plain with { ModelType = "qwen2", QkvBias = true, SlidingWindow = 9, WindowedLayers = [false, true] });
        yield return Case("Qwen3", Plain with { ModelType = "qwen3", QkNorm = true, AttentionBias = true });
        yield return Case("SmolLM3", Plain with { ModelType = "smollm3", RotatedLayers = [true, false], RopeTheta = 5e6 });
        yield return Case("Granite", Plain with
        {
            ModelType = "granite",
            EmbeddingMultiplier = 12,
            ResidualMultiplier = 0.22f,
            AttentionMultiplier = 0.015625f,
            LogitsScaling = 8,
        });
        yield return Case("Phi-3", Plain with
        {
            ModelType = "phi3",
            HeadDim = 8,
            PartialRotaryFactor = 0.75,
            SlidingWindow = 20,
            RopeScaling = new RopeScaling
            {
                Kind = RopeScalingKind.LongRope,
                Factor = 4,
                OriginalMaxPositionEmbeddings = 8,
                ShortFactors = [1, 1.05, 1.1],
                LongFactors = [2, 3, 4.5],
                AttentionFactor = 1.2,
            },
        });
        yield return Case("YaRN", Plain with
        {
            RopeScaling = new RopeScaling
            {
                Kind = RopeScalingKind.Yarn,
                Factor = 4,
                OriginalMaxPositionEmbeddings = 8,
                BetaFast = 16,
                BetaSlow = 2,
                Truncate = false,
                Mscale = 0.7,
                MscaleAllDim = 1,
            },
        });
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

        Assert.That(
            read with { EosTokenIds = config.EosTokenIds, RotatedLayers = config.RotatedLayers, WindowedLayers = config.WindowedLayers }, Is.EqualTo(config));
        Assert.That((read.RotatedLayers, read.WindowedLayers), Is.EqualTo((config.RotatedLayers, config.WindowedLayers)));
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
    public void Write_WhatTheModelTypeCannotSay_IsRefused()
    {
        LlamaConfig[] configs =
        [
            Plain with { QkNorm = true }, Plain with { QkvBias = true }, Plain with { SlidingWindow = 5 }, Plain with { RotatedLayers = [true, false] },
            Plain with { ResidualMultiplier = 0.5f }, Plain with { ModelType = "mistral", WindowedLayers = [true, false], SlidingWindow = 5 },
            Plain with { ModelType = "qwen2" }, Plain with { ModelType = "gpt2" }, Plain with { ModelType = "qwen3", QkNorm = true, MlpBias = true },
        ];
        foreach (var config in configs)
        {
            Assert.That(() => config.Write(_file.Path, DType.F32), Throws.ArgumentException.With.Message.Contains(config.ModelType));
        }
    }

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
