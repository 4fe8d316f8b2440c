using System.Text.Json.Nodes;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading.Llama;

public sealed class LlamaCheckpointTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_Checkpoint_BindsEveryWeightByName()
    {
        Write(LoadingTestFiles.TinyConfig());

        using var model = LlamaCheckpoint.Open(_folder.Path);

        var layer = model.Tensors.Layers[1];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(model.Tensors.Embedding.ToString(), Is.EqualTo("F32 [10, 8]"));
            Assert.That(model.Tensors.FinalNorm.Name, Is.EqualTo("model.norm.weight"));
            Assert.That(model.Tensors.LmHead.Name, Is.EqualTo("lm_head.weight"));
            Assert.That(model.Tensors.Layers, Has.Count.EqualTo(2));
            Assert.That(layer.InputNorm.Name, Is.EqualTo("model.layers.1.input_layernorm.weight"));
            Assert.That(layer.PostAttentionNorm.Name, Is.EqualTo("model.layers.1.post_attention_layernorm.weight"));
            Assert.That(new[] { layer.QProj, layer.KProj, layer.VProj, layer.OProj }.Select(t => t.ToString()), Is.EqualTo(["F32 [8, 8]", "F32 [4, 8]", "F32 [4, 8]", "F32 [8, 8]"]));
            Assert.That(new[] { layer.GateProj, layer.UpProj, layer.DownProj }.Select(t => t.ToString()), Is.EqualTo(["F32 [12, 8]", "F32 [12, 8]", "F32 [8, 12]"]));
            Assert.That(layer.QBias ?? layer.OBias ?? layer.GateBias, Is.Null);
            Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32)));
            Assert.That(model.KvBytesPerToken(DType.F32), Is.EqualTo(2 * 2 * 2 * 2 * 4));
            Assert.That(model.EosTokenIds, Is.EqualTo([2]));
            Assert.That(model.Generation.EosTokenIds, Is.Empty);
        }
    }

    [Test]
    public void Open_PathOfTheFile_IsTheSame()
    {
        Write(LoadingTestFiles.TinyConfig());

        using var model = LlamaCheckpoint.Open(_folder["model.safetensors"]);

        Assert.That(model.Tensors.Layers, Has.Count.EqualTo(2));
    }

    [Test]
    public void Open_Sharded_BindsAcrossFiles()
    {
        var config = LoadingTestFiles.TinyConfig();
        Write(config);
        File.Delete(_folder["model.safetensors"]);
        var map = new JsonObject();
        foreach (var (tensors, i) in LoadingTestFiles.Tensors(LlamaConfig.Read(_folder["config.json"])).Chunk(7).Select((chunk, i) => (chunk, i)))
        {
            SafetensorsWriter.Write(_folder[$"model-{i}.safetensors"], tensors);
            Array.ForEach(tensors, t => map[t.Name] = $"model-{i}.safetensors");
        }

        _folder.Write("model.safetensors.index.json", new JsonObject { ["weight_map"] = map }.ToJsonString());

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Checkpoint.Files, Has.Count.EqualTo(3));
        Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32)));
    }

    [TestCase(false)]
    [TestCase(true)]
    public void Open_TiedEmbeddings_OutputIsTheEmbedding(bool storedAgain)
    {
        var config = LoadingTestFiles.TinyConfig();
        config["tie_word_embeddings"] = true;
        Write(config, tensors => tensors.AddRange(storedAgain ? [LoadingTestFiles.Tensor("lm_head.weight", 10, 8)] : []));

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Tensors.LmHead, Is.SameAs(model.Tensors.Embedding));
        Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32)));
    }

    [Test]
    public void Open_Biases_AreBound()
    {
        var config = LoadingTestFiles.TinyConfig();
        config["attention_bias"] = true;
        config["mlp_bias"] = true;
        Write(config);

        using var model = LlamaCheckpoint.Open(_folder.Path);

        var layer = model.Tensors.Layers[0];
        Assert.That(new[] { layer.QBias, layer.KBias, layer.VBias, layer.OBias, layer.GateBias, layer.UpBias, layer.DownBias }.Select(t => t!.ElementCount),
            Is.EqualTo([8L, 4, 4, 8, 12, 12, 8]));
        Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32)));
    }

    [TestCase(DType.F32)]
    [TestCase(DType.BF16)]
    public void Open_TiedButDifferentHead_IsUsedAndNoted(DType dtype)
    {
        var config = LoadingTestFiles.TinyConfig();
        config["tie_word_embeddings"] = true;
        var head = new byte[80 * dtype.Size()];
        head[^1] = 1;
        Write(config, tensors => tensors.Add(SafetensorsTensor.FromBytes("lm_head.weight", dtype, [10, 8], head)));

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Tensors.LmHead.Name, Is.EqualTo("lm_head.weight"));
        Assert.That(model.Config.TieWordEmbeddings, Is.False, "so that it is counted");
        Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32) - (80 * (4 - dtype.Size()))));
        Assert.That(model.Notes, Has.One.Contains("lm_head.weight differs from the embedding"));
    }

    [Test]
    public void Open_TiedTableUnderTheHeadsName_IsBoth()
    {
        var config = LoadingTestFiles.TinyConfig();
        config["tie_word_embeddings"] = true;
        Write(config, tensors => Replace(tensors, "model.embed_tokens.weight", LoadingTestFiles.Tensor("lm_head.weight", 10, 8)));

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Tensors.LmHead, Is.SameAs(model.Tensors.Embedding));
        Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32)));
    }

    [Test]
    public void Open_UntiedTableUnderTheHeadsName_IsRefused()
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => tensors.RemoveAll(t => t.Name == "model.embed_tokens.weight"));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), "1 tensors are missing: 'model.embed_tokens.weight'");
    }

    [Test]
    public void Open_TiedHeadThatDiffersInItsLastByte_IsUsed()
    {
        var config = LoadingTestFiles.TinyConfig();
        config["tie_word_embeddings"] = true;
        var values = Enumerable.Repeat(0.5f, 80).ToArray();
        values[^1] = 0.25f;
        Write(config, tensors => tensors.Add(SafetensorsTensor.FromFloats("lm_head.weight", [10, 8], values)));

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Tensors.LmHead, Is.Not.SameAs(model.Tensors.Embedding));
    }

    [Test]
    public void Open_TiedHeadOfAnotherShape_IsRefused()
    {
        var config = LoadingTestFiles.TinyConfig();
        config["tie_word_embeddings"] = true;
        Write(config, tensors => tensors.Add(LoadingTestFiles.Tensor("lm_head.weight", 9, 8)));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), "'lm_head.weight'", "config.json asks for [10, 8]");
    }

    [Test]
    public void Open_LeftoverQuantization_IsNotedBesidePlainWeights()
    {
        var config = LoadingTestFiles.TinyConfig();
        config["quantization_config"] = JsonNode.Parse("""{"quant_method":"bitsandbytes","load_in_4bit":true}""");
        Write(config);

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Notes, Has.One.Contains("'bitsandbytes'"));
    }

    [TestCase("model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.qweight", DType.I32)]
    [TestCase("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight", DType.U8)]
    [TestCase("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight", DType.F8E4M3)]
    public void Open_QuantizedWeights_AreRefusedWithTheirMethod(string gone, string name, DType dtype)
    {
        var config = LoadingTestFiles.TinyConfig();
        config["quantization_config"] = JsonNode.Parse("""{"quant_method":"gptq","bits":4}""");
        Write(config, tensors =>
        {
            var size = tensors.Find(t => t.Name == gone)!.Shape.ToArray();
            tensors.RemoveAll(t => t.Name == gone);
            tensors.Add(SafetensorsTensor.FromBytes(name, dtype, size, new byte[size[0] * size[1] * dtype.Size()]));
        });

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), name, "quantization 'gptq'", "quantized weights are not read");
    }

    [Test]
    public void Open_EndsOfText_AreThoseOfBothFiles()
    {
        Write(LoadingTestFiles.TinyConfig());
        _folder.Write("generation_config.json", """{"eos_token_id":[4,3],"temperature":0.6}""");

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.EosTokenIds, Is.EqualTo([2, 3, 4]));
        Assert.That(model.Generation.Temperature, Is.EqualTo(0.6f));
    }

    [Test]
    public void Open_EndOutsideTheVocabulary_IsLeftOutWithANote()
    {
        Write(LoadingTestFiles.TinyConfig());
        _folder.Write("generation_config.json", """{"eos_token_id":128009}""");

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.EosTokenIds, Is.EqualTo([2]));
        Assert.That(model.Notes, Has.One.Contains("128009").And.One.Contains("generation_config.json"));
    }

    [Test]
    public void Open_StaleIndexThatTheModelNeeds_IsNamedWithTheMissingTensor()
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => tensors.RemoveAll(t => t.Name == "model.norm.weight"));
        File.Move(_folder["model.safetensors"], _folder["1.safetensors"]);
        _folder.Write("model.safetensors.index.json", """{"weight_map":{"model.norm.weight":"1.safetensors"}}""");

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), "1 tensors are missing: 'model.norm.weight'", "index.json: places 1 tensors");
    }

    [Test]
    public void Open_RotaryTablesAndMedusaHeads_DoNotDisturb()
    {
        Write(LoadingTestFiles.TinyConfig(), tensors =>
        {
            tensors.Add(LoadingTestFiles.Tensor("model.layers.0.self_attn.rotary_emb.inv_freq", 1));
            tensors.Add(LoadingTestFiles.Tensor("medusa_head.0.0.linear.weight", 8, 8));
        });

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Checkpoint.Tensors, Contains.Key("medusa_head.0.0.linear.weight"));
        Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(DType.F32)), "the extras are not the model's");
    }

    [Test]
    public void Open_MissingTensors_AreListed()
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => tensors.RemoveAll(t => t.Name.Contains("mlp", StringComparison.Ordinal)));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder.Path, "6 tensors are missing", "'model.layers.0.mlp.gate_proj.weight'", "and 2 more");
    }

    [Test]
    public void Open_UntiedWithoutOutputMatrix_IsRefused()
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => tensors.RemoveAll(t => t.Name == "lm_head.weight"));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), "1 tensors are missing: 'lm_head.weight'");
    }

    [TestCase("model.layers.0.self_attn.q_norm.weight")]
    [TestCase("model.layers.0.self_attn.q_proj.bias")]
    [TestCase("model.layers.2.input_layernorm.weight")]
    [TestCase("transformer.wte.weight")]
    public void Open_TensorThatWouldBeLeftOut_IsRefused(string name)
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => tensors.Add(LoadingTestFiles.Tensor(name, 8)));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder["model.safetensors"], $"'{name}'", "left out");
    }

    [TestCase("model.embed_tokens.weight", "config.json asks for [10, 8]")]
    [TestCase("model.layers.1.mlp.down_proj.weight", "config.json asks for [8, 12]")]
    [TestCase("model.layers.1.self_attn.v_proj.weight", "config.json asks for [4, 8]")]
    [TestCase("model.norm.weight", "config.json asks for [8]")]
    public void Open_WrongShape_IsRefused(string name, string expected)
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => Replace(tensors, LoadingTestFiles.Tensor(name, 3, 5)));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder["model.safetensors"], $"'{name}'", "is F32 [3, 5]", expected);
    }

    [TestCase(DType.F64)]
    [TestCase(DType.I8)]
    [TestCase(DType.F8E4M3)]
    public void Open_WrongDType_IsRefused(DType dtype)
    {
        const string Name = "model.layers.0.self_attn.k_proj.weight";
        Write(LoadingTestFiles.TinyConfig(), tensors => Replace(tensors, SafetensorsTensor.FromBytes(Name, dtype, [4, 8], new byte[32 * dtype.Size()])));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder["model.safetensors"], $"'{Name}'", $"is {dtype} [4, 8]", "F32, F16 or BF16");
    }

    [TestCase(DType.F32, 0x7FC00000u)]
    [TestCase(DType.F32, 0xFF800000u)]
    [TestCase(DType.F16, 0x7C00u)]
    [TestCase(DType.F16, 0xFE00u)]
    [TestCase(DType.BF16, 0xFF80u)]
    [TestCase(DType.BF16, 0x7FC1u)]
    public void Open_NormThatIsNotFinite_IsRefused(DType dtype, uint bits)
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => Replace(tensors, Norm(dtype, bits)));

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder["model.safetensors"], "'model.norm.weight'", "element 7 is not finite");
    }

    [TestCase(DType.F32, 0x7F7FFFFFu)]
    [TestCase(DType.F16, 0x7BFFu)]
    [TestCase(DType.BF16, 0x7F7Fu)]
    public void Open_LargestFiniteNorm_IsAccepted(DType dtype, uint bits)
    {
        Write(LoadingTestFiles.TinyConfig(), tensors => Replace(tensors, Norm(dtype, bits)));

        using var model = LlamaCheckpoint.Open(_folder.Path);

        Assert.That(model.Tensors.FinalNorm.DType, Is.EqualTo(dtype));
    }

    [Test]
    public void Open_NoConfig_IsRefused()
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], []);

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder["config.json"], "does not exist");
    }

    [Test]
    public void Open_NoFolder_IsRefused() => LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder["none"]), _folder["none"], "does not exist", "config.json");

    [TestCase("stories260k", DType.F32, 512, 172)]
    [TestCase("stories-xs", DType.F32, 512, 192)]
    [TestCase("shakespeare-2m", DType.BF16, 259, 512)]
    public void Open_PublishedCheckpoint_IsZeroCopyAndComplete(string name, DType dtype, int vocab, int intermediate)
    {
        using var model = LlamaCheckpoint.Open(SharedFiles.Require("models", name));

        using (Assert.EnterMultipleScope())
        {
            Assert.That((model.Config.VocabSize, model.Config.IntermediateSize, model.Tensors.Layers.Count), Is.EqualTo((vocab, intermediate, 5)));
            Assert.That(model.Tensors.Embedding.DType, Is.EqualTo(dtype));
            Assert.That(model.WeightBytes, Is.EqualTo(model.Config.WeightBytes(dtype)));
            Assert.That(model.Checkpoint.Files.Sum(file => file.CopiedBytes), Is.Zero);
            Assert.That(model.EosTokenIds, Is.EqualTo([2]));
        }
    }

    private void Write(JsonObject config, Action<List<SafetensorsTensor>>? change = null)
    {
        _folder.Write("config.json", config.ToJsonString());
        var tensors = LoadingTestFiles.Tensors(LlamaConfig.Read(_folder["config.json"]));
        change?.Invoke(tensors);
        SafetensorsWriter.Write(_folder["model.safetensors"], tensors);
    }

    private static void Replace(List<SafetensorsTensor> tensors, SafetensorsTensor replacement) => Replace(tensors, replacement.Name, replacement);

    private static void Replace(List<SafetensorsTensor> tensors, string name, SafetensorsTensor replacement) =>
        tensors[tensors.FindIndex(t => t.Name == name)] = replacement;

    // The last of the eight elements has these bits, the others are 0.
    private static SafetensorsTensor Norm(DType dtype, uint bits)
    {
        var bytes = new byte[8 * dtype.Size()];
        BitConverter.GetBytes(bits).AsSpan(0, dtype.Size()).CopyTo(bytes.AsSpan(7 * dtype.Size()));
        return SafetensorsTensor.FromBytes("model.norm.weight", dtype, [8], bytes);
    }
}
