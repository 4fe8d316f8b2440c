using System.Text;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Loading;

/// <summary>Seeded mutations of good files: nothing but <see cref="ModelFormatException"/> comes out, and what is accepted is sound.</summary>
public sealed class LoadingFuzzTests
{
    private const string Config = """
        {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4,
         "num_key_value_heads":2,"vocab_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,"rope_theta":10000.0,"sliding_window":null,"layer_types":["full_attention"],
         "rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":16,"rope_type":"llama3"},"eos_token_id":[2,3]}
        """;

    // What is read and left aside: Python's numbers, a mark, two rope settings, a quantization, ids outside the vocabulary.
    private const string Loose = """
        {"architectures":[],"model_type":"mistral","hidden_size":8.0,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":4,"vocab_size":10,
         "max_position_embeddings":32,"sliding_window":null,"num_key_value_heads":null,"a":[NaN,-Infinity],"b":Infinity,"hidden_act":"swish","eos_token_id":[2,99],
         "quantization_config":{"quant_method":"gptq"},"rope_theta":5.0,"rope_scaling":{"type":"linear","factor":2,"x":1},"rope_parameters":{"rope_theta":7.0}}
        """;

    private static readonly TempFolder Folder = new();

    [OneTimeTearDown]
    public void RemoveFolder() => Folder.Dispose();

    [Test]
    public void SafetensorsFile_MutatedFiles_NeverCrashOrReadOutside()
    {
        SafetensorsTarget.Accepted = 0;
        SafetensorsWriter.Write(Folder["small"], [LoadingTestFiles.Tensor("a", 2), LoadingTestFiles.Tensor("b", 2, 3)], new Dictionary<string, string> { ["format"] = "pt" });
        byte[][] corpus =
        [
            File.ReadAllBytes(Folder["small"]),
            LoadingTestFiles.Safetensors("{}", 0),
            LoadingTestFiles.Safetensors("""{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"x":{"dtype":"U8","shape":[],"data_offsets":[8,9]},"y":{"dtype":"F64","shape":[0],"data_offsets":[9,9]}}""", 9),
        ];

        new Mutator(1, corpus).Run<SafetensorsTarget>(4000);

        Assert.That(SafetensorsTarget.Accepted, Is.InRange(100, 3900), "some are accepted, most are not");
    }

    [Test]
    public void SafetensorsFile_EveryHeaderBitFlipped_NeverCrashesOrReadsOutside()
    {
        var good = LoadingTestFiles.Safetensors("""{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}""", 4);
        for (var bit = 0; bit < (good.Length - 4) * 8; bit++)
        {
            var broken = (byte[])good.Clone();
            broken[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.That(() => SafetensorsTarget.Fuzz(broken), Throws.Nothing, $"bit {bit}");
        }
    }

    [Test]
    public void LlamaConfig_MutatedFiles_AreRefusedOrValid()
    {
        ConfigTarget.Accepted = 0;

        new Mutator(2, Encoding.UTF8.GetBytes(Config), Encoding.UTF8.GetBytes("\uFEFF" + Loose)).Run<ConfigTarget>(6000);

        Assert.That(ConfigTarget.Accepted, Is.InRange(50, 5900));
    }

    [Test]
    public void Kinds_MutatedStarts_AreToldWithoutACrash()
    {
        KindTarget.Told = 0;

        new Mutator(5, "version https://git-lfs.github.com/spec/v1\n"u8.ToArray(), "<!DOCTYPE html><html>"u8.ToArray(), "GGUF\u0003\0\0\0"u8.ToArray(),
            [0xEF, 0xBB, 0xBF, (byte)'{', (byte)'}'], [0x80, 0x02, 0x7D], [0x1F, 0x8B, 8], [0xFF, 0xFE, 0x7B, 0]).Run<KindTarget>(4000);

        Assert.That(KindTarget.Told, Is.InRange(50, 3900));
    }

    [Test]
    public void Json_MutatedPythonNumbers_AreRefusedOrParsed()
    {
        JsonTarget.Accepted = 0;

        new Mutator(6, """{"a":NaN,"b":[Infinity,-Infinity , NaN],"NaN":"Infinity \" NaN","c":{"d":-Infinity}}"""u8.ToArray()).Run<JsonTarget>(6000);

        Assert.That(JsonTarget.Accepted, Is.InRange(50, 5900));
    }

    [Test]
    public void ShardIndex_MutatedFiles_AreRefusedOrNamePlainFiles()
    {
        IndexTarget.Accepted = 0;

        new Mutator(3, """{"metadata":{"total_size":4},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"""u8.ToArray()).Run<IndexTarget>(4000);

        Assert.That(IndexTarget.Accepted, Is.InRange(50, 3900));
    }

    [Test]
    public void GenerationConfig_MutatedFiles_AreRefusedOrValid()
    {
        GenerationTarget.Accepted = 0;

        new Mutator(4, """{"bos_token_id":1,"eos_token_id":[2,3],"do_sample":true,"temperature":0.6,"top_k":5,"top_p":0.9,"max_new_tokens":7}"""u8.ToArray()).Run<GenerationTarget>(4000);

        Assert.That(GenerationTarget.Accepted, Is.InRange(50, 3900));
    }

    private sealed unsafe class SafetensorsTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            File.WriteAllBytes(Folder["fuzz"], input);
            try
            {
                using var file = SafetensorsFile.Open(Folder["fuzz"]);
                Accepted++;
                Check(file, input.Length);
            }
            catch (ModelFormatException e)
            {
                Assert.That(e.Message, Does.StartWith(Folder["fuzz"]));
            }
        }

        private static void Check(SafetensorsFile file, int length)
        {
            long inside = 0;
            var sum = 0;
            foreach (var view in file.Tensors.Values)
            {
                var offset = view.Data - file.MapStart;
                if (file.CopiedBytes == 0)
                {
                    Assert.That(offset >= 10 && offset + view.ByteLength <= length, Is.True, $"{view} lies at {offset} of {length} bytes");
                }

                Assert.That(view.ByteLength == 0 || view.Data % view.DType.Size() == 0, Is.True, $"{view} is aligned");
                inside += view.ByteLength;
                foreach (var b in view.Bytes)
                {
                    sum += b;
                }
            }

            var header = *(long*)file.MapStart;
            Assert.That(8 + header + inside, Is.EqualTo(length), $"header and tensors cover the file (sum {sum})");
        }
    }

    private sealed class KindTarget : IFuzzTarget
    {
        public static int Told { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            var start = input[..Math.Min(input.Length, FileKind.Bytes)];
            Told += FileKind.Find(start) is null ? 0 : 1;
            Assert.That(FileKind.FindText(start)?.Any(char.IsControl) ?? false, Is.False);
            _ = FileKind.IsSafetensors(start);
        }
    }

    private sealed class JsonTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            try
            {
                using var document = JsonText.ParseObject("x.json", input.ToArray());
                Accepted++;
                foreach (var member in document.RootElement.EnumerateObject())
                {
                    Assert.That(JsonText.Describe(member.Value), Is.Not.Empty);
                }
            }
            catch (ModelFormatException e)
            {
                Assert.That(e.Message, Does.StartWith("x.json"));
            }
        }
    }

    private sealed class ConfigTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            try
            {
                LlamaConfigReader.Parse("config.json", input.ToArray(), LoadLimits.Default).Validate();
                Accepted++;
            }
            catch (ModelFormatException)
            {
                // Refused, as it may be.
            }
        }
    }

    private sealed class IndexTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            try
            {
                var index = ShardIndex.Parse("index.json", input.ToArray(), LoadLimits.Default);
                Accepted++;
                Assert.That(index.Shards.All(shard => Path.GetFileName(shard) == shard && shard is not ("." or "..")), Is.True);
            }
            catch (ModelFormatException)
            {
                // Refused, as it may be.
            }
        }
    }

    private sealed class GenerationTarget : IFuzzTarget
    {
        public static int Accepted { get; set; }

        public static void Fuzz(ReadOnlySpan<byte> input)
        {
            try
            {
                var config = GenerationConfig.Parse("generation_config.json", input.ToArray(), 10);
                Accepted++;
                Assert.That(config.EosTokenIds.All(id => id is >= 0 and < 10) && config.BosTokenId is null or (>= 0 and < 10), Is.True);
                Assert.That(config.Temperature is null or >= 0 && config.TopP is null or (>= 0 and <= 1), Is.True);
            }
            catch (ModelFormatException)
            {
                // Refused, as it may be.
            }
        }
    }
}
