using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Loading.Llama;
using NativeSpec.Speculation;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tensors;
using NativeSpec.Tests.Tokenization;

namespace NativeSpec.Tests.Golden;

/// <summary>Each family through the whole engine: the text is the same with speculation on and off, by lookup and by a draft of another family.</summary>
public sealed class FamilyTextTests
{
    private static readonly string[] Families = ["mistral-window", "qwen2", "qwen2-window", "qwen3", "granite", "phi3", "phi4-partial-rotary", "phi3-longrope", "smollm3", "llama-rope-yarn"];

    private static readonly int[] Prompt = [.. Enumerable.Range(0, 60).Select(i => 97 + (i * i % 5))];

    private static readonly GenerationOptions Plain = new()
    {
        MaxTokens = 64,
        IgnoreEndOfText = true,
        Seed = 7,
        TopLogProbs = 1,
        Speculation = SpeculationOptions.Off,
    };

    private string _folder = null!;

    [OneTimeSetUp]
    public void Copy()
    {
        _folder = Directory.CreateTempSubdirectory("nativespec-families-").FullName;
        foreach (var family in Families)
        {
            var folder = Directory.CreateDirectory(Path.Combine(_folder, family)).FullName;
            foreach (var file in new[] { "config.json", "model.safetensors" })
            {
                File.Copy(Path.Combine(Golden, family, file), Path.Combine(folder, file));
            }

            TestTokenizers.WriteByteLevel(folder, 320);
        }
    }

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(_folder, recursive: true);

    [Test]
    public async Task CompleteAsync_WithSpeculation_WritesThePlainText([ValueSource(nameof(Families))] string family, [Values("cpu", "native")] string backend, [Values(0f, 0.8f)] float temperature)
    {
        var options = new EngineOptions
        {
            Backend = backend == "cpu" ? BackendKind.Cpu : NativeOrSkip(),
            DraftModels = [Path.Combine(_folder, Families[(Array.IndexOf(Families, family) + 3) % Families.Length])],
            DraftOptions = new DraftModelOptions { Depth = 3, Width = 2, StopBelow = 0 },
        };
        using var engine = InferenceEngine.Load(Path.Combine(_folder, family), options);
        var kind = Plain with { Temperature = temperature };
        var plain = await engine.CompleteAsync(Prompt, kind);
        foreach (var drafter in new[] { "lookup", "draft" })
        {
            var fast = await engine.CompleteAsync(Prompt, kind with { Speculation = new() { Drafters = [drafter], MaxNodes = 12, Unplanned = true } });

            Assert.That(fast.Ids, Is.EqualTo(plain.Ids), drafter);
            Assert.That(fast.LogProbs.Select(l => l.Chosen), Is.EqualTo(plain.LogProbs.Select(l => l.Chosen)), $"{drafter}, bit for bit");
            Assert.That(fast.Speculation.Drafted, Is.Positive, "or nothing was tried");
        }
    }

    /// <summary>Stacked tensors are packed part by part, and the file reads as the model.</summary>
    [Test]
    public void Quantize_StackedTensors_ArePackedUnderTheirPartsNames()
    {
        NativeOrSkip();
        var (from, to) = (Path.Combine(_folder, "phi3"), Path.Combine(_folder, "phi3-q8"));
        CheckpointQuantizer.Write(from, to, WeightFormat.Q8);
        using var packed = LlamaCheckpoint.Open(to);
        Assert.That(packed.Tensors.Layers[1].KProj.Format, Is.EqualTo(WeightFormat.Q8));
        Assert.That(packed.Checkpoint.Tensors.Keys, Has.None.Contains("qkv_proj").And.None.Contains("gate_up_proj"));
    }

    private static BackendKind NativeOrSkip()
    {
        Assume.That(NativeLibraryLoader.WhyMissing, Is.Null);
        return BackendKind.Native;
    }

    private static string Golden => Repository.Find("tests", "NativeSpec.Tests", "Golden");
}
