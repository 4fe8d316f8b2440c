using NativeSpec.Loading.Medusa;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;
using static NativeSpec.Tests.Loading.Medusa.MedusaTestHeads;

namespace NativeSpec.Tests.Loading.Medusa;

/// <summary>Heads that are not whole, or do not belong to the model, are refused with the facts.</summary>
public sealed class MedusaRefusalTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_HeadsThatAreNotWhole_AreRefused()
    {
        using (Assert.EnterMultipleScope())
        {
            Refused([], "holds no Medusa head");
            Refused([TokenMap(1)], "holds no Medusa head");
            Refused(Without(V1(), "1."), "holds heads 0, 2: head 1 is missing");
            Refused(Without(V1(), "1.1.weight"), "holds 3 heads; head 1 has no vocabulary matrix, head 0 has one");
            Refused(Without(V1(), "1.0.linear.weight"), "block 0 of head 1 has no weight");
            Refused(Without(V1(2, 3), "1.1.linear"), "block 1 of head 1 has no weight; a head has 3 blocks");
            Refused([.. V1(), Filled("0.1.linear.weight", 0, 4, 4)], "'0.1.linear.weight' is one block too many: a head has 1");
            Refused([.. V1(), Filled("0.2.weight", 0, 6, 4)], "'0.2.weight' puts the vocabulary matrix of head 0 behind another number of blocks");
            Refused([Filled("0.0.linear.bias", 0, 4)], "holds no matrix");
        }
    }

    [Test]
    public void Open_TensorsOfTheWrongShapeOrType_AreRefused()
    {
        using (Assert.EnterMultipleScope())
        {
            Refused([.. Without(V1(), "2.1.weight"), Filled("2.1.weight", 0, 6, 5)], "'2.1.weight' is F32 [6, 5]; expected [6, 4]");
            Refused([.. Without(V1(), "2.1.weight"), Filled("2.1.weight", 0, 7, 4)], "'2.1.weight' is F32 [7, 4]; expected [6, 4]");
            Refused([.. Without(V1(), "1.0.linear.weight"), Filled("1.0.linear.weight", 0, 4, 5)], "'1.0.linear.weight' is F32 [4, 5]; expected [4, 4]");
            Refused([.. Without(V1(), "1.0.linear.bias"), Filled("1.0.linear.bias", 0, 1)], "'1.0.linear.bias' is F32 [1]; expected [4]");
            Refused([.. Without(V1(), "1.0.linear.bias"), Filled("1.0.linear.bias", float.NaN, 4)], "'1.0.linear.bias' element 0 is not finite");
            Refused([.. Without(V1(), "1.1.weight"), SafetensorsTensor.FromBytes("1.1.weight", DType.I8, [6, 4], new byte[24])], "'1.1.weight' is I8 [6, 4]; weights must be");
            Refused([Filled("0.0.weight", 0, 6)], "'0.0.weight' is F32 [6]; expected a matrix");
        }
    }

    [Test]
    public void Open_NamesThatAreNotOfHeads_AreRefused()
    {
        using (Assert.EnterMultipleScope())
        {
            foreach (var name in new[] { "x", "0.weight", "-1.0.linear.weight", "00.0.linear.weight", "64.0.linear.weight", "0.0.linear.scale", "99999999999.1.weight", "0.0.0.linear.weight", "blocks.0.layers.0", "medusa_head" })
            {
                Refused([.. V1(), Filled(name, 0, 4, 4)], $"'{name}' is not part of a Medusa head");
            }

            Refused([.. V1(), Filled("blocks.0.layers.0.weight", 0, 4, 4)], "'blocks.0.layers.0.weight'", "the same part of the same head", "'0.0.linear.weight'");
            Refused([.. Vllm(), Filled("lm_head.weight", 0, 6, 4)], "would be the vocabulary matrix of all heads");
        }
    }

    [Test]
    public void Open_TokenMapsThatAreNone_AreRefused()
    {
        using (Assert.EnterMultipleScope())
        {
            Refused([.. Vllm(rows: 2), TokenMap(0, -1)], "element 1 is -1, which is no token");
            Refused([.. Vllm(rows: 2), TokenMap(0, long.MaxValue)], "element 1 is 9223372036854775807");
            Refused([.. Vllm(rows: 2), TokenMap(0, 1, 2)], "'token_map' is I64 [3]; expected I64 or I32, one token for each of the 2 rows");
            Refused([.. Vllm(rows: 2), Filled("token_map", 0, 2)], "'token_map' is F32 [2]");
        }
    }

    [TestCase("""{"hidden_size": 8}""", "hidden state of 4; config.json says hidden_size 8")]
    [TestCase("""{"vocab_size": 7}""", "predict 6 tokens; config.json says vocab_size 7")]
    [TestCase("""{"medusa_num_layers": 2}""", "'0.1.weight' says that a head has 1 blocks; config.json says 2")]
    [TestCase("""{"medusa_num_layers": "one"}""", "medusa_num_layers is \"one\"")]
    [TestCase("[]", "must be a JSON object")]
    public void Open_AConfigurationThatSaysOtherwise_IsRefused(string config, string fact)
    {
        _folder.Write("config.json", config);
        Refused(V1(), fact);
    }

    [Test]
    public void Open_NothingThere_IsRefused()
    {
        LoadingTestFiles.Refused(() => MedusaCheckpoint.Open(_folder["nowhere"]), "does not exist");
        LoadingTestFiles.Refused(() => MedusaCheckpoint.Open(_folder.Path), "has none of medusa_lm_head.safetensors");
        LoadingTestFiles.Refused(() => MedusaCheckpoint.Open(_folder["nowhere.pt"]), "does not exist");
    }

    [Test]
    public void RequireFit_AnotherModel_IsRefused()
    {
        var model = TestConfigs.Tiny with { HiddenSize = 4, VocabSize = 6 };
        SafetensorsWriter.Write(_folder["a.safetensors"], V1());
        SafetensorsWriter.Write(_folder["b.safetensors"], [.. Vllm(rows: 2), TokenMap(0, 5)]);
        using var heads = MedusaCheckpoint.Open(_folder["a.safetensors"]);
        using var mapped = MedusaCheckpoint.Open(_folder["b.safetensors"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => heads.Heads.RequireFit(model, tokens: 6), Throws.Nothing);
            Assert.That(() => mapped.Heads.RequireFit(model, tokens: 6), Throws.Nothing);
            LoadingTestFiles.Refused(() => heads.Heads.RequireFit(model with { HiddenSize = 8 }, tokens: 6), "hidden state of 4; the model's has 8", "another model");
            LoadingTestFiles.Refused(() => heads.Heads.RequireFit(model with { VocabSize = 7 }, tokens: 7), "predict 6 tokens", "the model has 7");
            LoadingTestFiles.Refused(() => mapped.Heads.RequireFit(model with { VocabSize = 5 }, tokens: 5), "token_map holds token 5; the model has 5");
        }
    }

    private static List<SafetensorsTensor> Without(List<SafetensorsTensor> tensors, string prefix) =>
        [.. tensors.Where(tensor => !tensor.Name.StartsWith(prefix, StringComparison.Ordinal))];

    private void Refused(IReadOnlyList<SafetensorsTensor> tensors, params string[] facts)
    {
        SafetensorsWriter.Write(_folder[MedusaCheckpoint.FileName], tensors);
        LoadingTestFiles.Refused(() => MedusaCheckpoint.Open(_folder.Path).Dispose(), facts);
    }
}
