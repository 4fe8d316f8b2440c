using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;
using NativeSpec.Tests.Loading.PyTorch;
using static NativeSpec.Tests.Loading.Medusa.MedusaTestHeads;

namespace NativeSpec.Tests.Loading.Medusa;

/// <summary>Heads in every layout that is known, and conversion to Medusa's own.</summary>
public sealed class MedusaCheckpointTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_MedusasOwnLayout_CountsHeadsAndBlocksFromTheTensors([Values(0, 1, 2)] int layers, [Values(1, 5)] int heads)
    {
        // The published configurations say 2 heads where the files hold 5.
        _folder.Write("config.json", $$"""{"medusa_num_heads": 2, "medusa_num_layers": {{layers}}, "base_model_name_or_path": "lmsys/vicuna-7b-v1.3"}""");
        using var checkpoint = Open(V1(heads, layers));

        var found = checkpoint.Heads;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((found.HiddenSize, found.Rows, found.Heads.Count, found.TokenMap), Is.EqualTo((Hidden, (int?)Vocab, heads, (IReadOnlyList<int>?)null)));
            for (var h = 0; h < heads; h++)
            {
                Assert.That(First(found.Heads[h].Vocab), Is.EqualTo(200 + h));
                Assert.That(found.Heads[h].Blocks.Select(block => First(block.Weight)), Is.EqualTo(Enumerable.Range(10 * h, layers)));
                Assert.That(found.Heads[h].Blocks.Select(block => First(block.Bias)), Is.EqualTo(Enumerable.Range(100 + (10 * h), layers)));
            }
        }
    }

    [Test]
    public void Open_APtFile_IsTheSame([Values(true, false)] bool byFolder)
    {
        var path = _folder.Write("medusa_lm_head.pt", PtTestFiles.Floats(("0.0.linear.weight", [4, 4]), ("0.0.linear.bias", [4]), ("0.1.weight", [6, 4])));
        using var checkpoint = MedusaCheckpoint.Open(byFolder ? _folder.Path : path);

        Assert.That((checkpoint.Heads.HiddenSize, checkpoint.Heads.Rows, checkpoint.Heads.Heads[0].Blocks.Count), Is.EqualTo((4, (int?)6, 1)));
        Assert.That(checkpoint.Heads.Heads[0].Blocks[0].Bias!.ToString(), Is.EqualTo("F32 [4]"));
    }

    [Test]
    public void Open_HeadsWithoutVocabulary_UseTheModels()
    {
        _folder.Write("config.json", """{"version": "2", "medusa_num_layers": 1}""");
        using var checkpoint = Open(V1(hasVocab: false));

        Assert.That(checkpoint.Heads.Rows, Is.Null);
        Assert.That(checkpoint.Heads.IsVocabShared);
        Assert.That(checkpoint.Heads.Heads.Select(head => head.Blocks.Count), Is.EqualTo(new[] { 1, 1, 1 }));
    }

    [Test]
    public void Open_OneModuleRepeatedAndStoredOnce_StandsForAllBlocks([Values(true, false)] bool hasVocab)
    {
        // A writer that keeps one of several equal tensors: of blocks 0 to 2 there is block 0.
        _folder.Write("config.json", """{"medusa_num_layers": 3}""");
        var tensors = V1(1, 3, hasVocab: hasVocab).Where(tensor => !tensor.Name.StartsWith("0.1.", StringComparison.Ordinal) && !tensor.Name.StartsWith("0.2.", StringComparison.Ordinal));
        using var checkpoint = Open([.. tensors]);

        Assert.That(checkpoint.Heads.Heads[0].Blocks.Select(block => First(block.Weight)), Is.EqualTo(new[] { 0f, 0, 0 }));
    }

    [Test]
    public void Open_AMedusa2Model_TakesTheHeadsAndLeavesTheModel()
    {
        var model = LoadingTestFiles.Tensors(LlamaConfig.Read(_folder.Write("config.json", LoadingTestFiles.TinyConfig().ToJsonString())));
        SafetensorsTensor[] heads = [Filled("medusa_head.0.0.linear.weight", 1, 8, 8), Filled("medusa_head.0.1.weight", 2, 10, 8)];
        SafetensorsWriter.Write(_folder["model.safetensors"], [.. model, .. heads]);

        using var opened = MedusaCheckpoint.Open(_folder.Path);
        using var llama = LlamaCheckpoint.Open(_folder.Path);
        var inside = MedusaCheckpoint.FromModel(llama.Checkpoint)!;

        using (Assert.EnterMultipleScope())
        {
            Assert.That((opened.Heads.Heads.Count, opened.Heads.Rows), Is.EqualTo((1, (int?)10)));
            Assert.That(First(inside.Heads[0].Vocab), Is.EqualTo(2));
            Assert.That(() => inside.RequireFit(llama.Config, llama.Config.VocabSize), Throws.Nothing);
        }
    }

    [Test]
    public void FromModel_AModelWithoutHeads_IsNull()
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], LoadingTestFiles.Tensors(LlamaConfig.Read(_folder.Write("config.json", LoadingTestFiles.TinyConfig().ToJsonString()))));
        using var llama = LlamaCheckpoint.Open(_folder.Path);
        Assert.That(MedusaCheckpoint.FromModel(llama.Checkpoint), Is.Null);
        LoadingTestFiles.Refused(() => MedusaCheckpoint.Open(_folder.Path), "is a model without tensors medusa_head.");
    }

    [Test]
    public void Open_VllmsLayout_IsRead([Values("", "medusa_heads.")] string prefix, [Values(1, 2)] int layers)
    {
        _folder.Write("config.json", $$"""{"model_type": "medusa", "hidden_size": 4, "vocab_size": 6, "num_heads": 2, "num_hidden_layers": {{layers}}, "truncated_vocab_size": 6}""");
        using var checkpoint = Open(Vllm(2, layers, prefix), "model.safetensors");

        Assert.That(checkpoint.Heads.Heads.Select(head => First(head.Vocab)), Is.EqualTo(new[] { 200f, 201 }));
        Assert.That(checkpoint.Heads.Heads[1].Blocks.Select(block => First(block.Weight)), Is.EqualTo(Enumerable.Range(10, layers)));
        Assert.That(checkpoint.Heads.Heads[1].Blocks[0].Bias, Is.Null);
    }

    [Test]
    public void Open_VllmsTokenMap_NamesTheRows()
    {
        using var checkpoint = Open([.. Vllm(rows: 3), TokenMap(5, 0, 2)]);
        Assert.That(checkpoint.Heads.TokenMap, Is.EqualTo(new[] { 5, 0, 2 }));
    }

    [Test]
    public void Open_ATokenMapBesideFullMatrices_IsNotNeeded()
    {
        using var checkpoint = Open([.. Vllm(), TokenMap(5, 0, 2)]);
        Assert.That(checkpoint.Heads.TokenMap, Is.Null);
    }

    [Test]
    public void Open_VllmsSharedMatrix_IsThatOfAllHeads([Values(true, false)] bool underItsOwnName)
    {
        _folder.Write("config.json", """{"model_type": "medusa", "original_lm_head": true}""");
        List<SafetensorsTensor> tensors = [.. Vllm().Where(tensor => tensor.Name.StartsWith("blocks", StringComparison.Ordinal))];
        tensors.Add(Filled(underItsOwnName ? "lm_head.weight" : "lm_heads.0.weight", 7, Vocab, Hidden));
        using var checkpoint = Open(tensors);

        Assert.That(checkpoint.Heads.IsVocabShared);
        Assert.That(checkpoint.Heads.Heads.Select(head => First(head.Vocab)), Is.EqualTo(new[] { 7f, 7 }));
    }

    [Test]
    public void Open_TensorRtLlmsLayout_IsRead()
    {
        using var checkpoint = Open([.. Enumerable.Range(0, 2).SelectMany(h => new[]
        {
            Filled($"medusa_heads.{h}.medusa_layers.0.linear.weight", h, 4, 4), Filled($"medusa_heads.{h}.medusa_layers.0.linear.bias", 100 + h, 4),
            Filled($"medusa_heads.{h}.lm_head.weight", 200 + h, 6, 4),
        })]);

        Assert.That(checkpoint.Heads.Heads.Select(head => (First(head.Blocks[0].Weight), First(head.Blocks[0].Bias), First(head.Vocab))), Is.EqualTo(new[] { (0f, 100f, 200f), (1, 101, 201) }));
    }

    [TestCase("v1")]
    [TestCase("v2")]
    [TestCase("vllm")]
    [TestCase("map")]
    public void Convert_AnyLayout_IsReadBackTheSame(string layout)
    {
        List<SafetensorsTensor> tensors = layout switch
        {
            "v1" => V1(2, 2),
            "v2" => V1(2, 1, hasVocab: false),
            "vllm" => Vllm(3),
            _ => [.. Vllm(2, rows: 2), TokenMap(3, 1)],
        };
        SafetensorsWriter.Write(_folder["model.safetensors"], tensors);
        using var before = MedusaCheckpoint.Open(_folder.Path);

        MedusaCheckpoint.Convert(_folder.Path, _folder["out"]);

        using var after = MedusaCheckpoint.Open(_folder["out"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Bytes(after.Heads), Is.EqualTo(Bytes(before.Heads)));
            Assert.That((after.Heads.HiddenSize, after.Heads.Rows), Is.EqualTo((before.Heads.HiddenSize, before.Heads.Rows)));
            Assert.That(after.Heads.TokenMap, Is.EqualTo(before.Heads.TokenMap));
            Assert.That(File.ReadAllText(_folder["out/config.json"]), Does.Contain($"\"medusa_num_heads\": {before.Heads.Heads.Count}"));
        }
    }

    [Test]
    public void Convert_APtFileIntoItsFolder_KeepsTheConfiguration()
    {
        _folder.Write("medusa_lm_head.pt", PtTestFiles.Floats(("0.0.linear.weight", [4, 4]), ("0.1.weight", [6, 4])));
        var config = _folder.Write("config.json", """{"medusa_num_heads": 2}""");

        MedusaCheckpoint.Convert(_folder.Path, _folder.Path);

        Assert.That(File.ReadAllText(config), Is.EqualTo("""{"medusa_num_heads": 2}"""));
        using var file = SafetensorsFile.Open(_folder[MedusaCheckpoint.FileName]);
        Assert.That(file.Tensors.Keys, Is.EquivalentTo(new[] { "0.0.linear.weight", "0.1.weight" }));
    }

    private static IEnumerable<byte[]> Bytes(MedusaHeads heads) => heads.Heads
        .SelectMany(head => head.Blocks.SelectMany(block => new[] { block.Weight, block.Bias }).Append(head.Vocab)).OfType<TensorView>().Select(view => view.Bytes.ToArray());

    private MedusaCheckpoint Open(List<SafetensorsTensor> tensors, string name = MedusaCheckpoint.FileName)
    {
        SafetensorsWriter.Write(_folder[name], tensors);
        return MedusaCheckpoint.Open(_folder.Path);
    }
}
