using NativeSpec.Engine;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;

namespace NativeSpec.Tests.Loading;

/// <summary>What people give in place of a model's folder: each has its own sentence, that says what it is and what to do.</summary>
public sealed class ModelFolderTests
{
    private TempFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void Open_EmptyFolder_IsSaidToBeEmpty() =>
        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder.Path, "is an empty folder", "config.json, model.safetensors");

    [TestCase("adapter_config.json", "LoRA adapter", "merge_and_unload")]
    [TestCase("model_index.json", "pipeline of several models", "not a language model")]
    [TestCase("params.json", "makers' own format", "Hugging Face names")]
    [TestCase("model.Q4_K_M.gguf", "'model.Q4_K_M.gguf', which is not read", "convert the weights")]
    [TestCase("pytorch_model.bin", "'pytorch_model.bin', which is not read", "save_pretrained")]
    [TestCase("other.safetensors", "has no config.json", "fetch config.json too")]
    [TestCase("readme.md", "has no config.json, so it is no model's folder", "tokenizer")]
    public void Open_FolderWithoutConfiguration_IsToldByItsFiles(string name, params string[] facts)
    {
        _folder.Write(name, "{}");

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), [_folder.Path, .. facts]);
        LoadingTestFiles.Refused(() => InferenceEngine.Load(_folder.Path), [_folder.Path, .. facts]);
    }

    [TestCase("model.Q4_K_M.gguf", "not read", "convert")]
    [TestCase("pytorch_model.bin", "not read", "convert")]
    [TestCase("adapter_model.safetensors", "LoRA adapter", "merge")]
    [TestCase("consolidated.safetensors", "makers' own format", "Hugging Face names")]
    [TestCase("model.fp16.safetensors", "'model.fp16.safetensors'", "give the path of the file itself")]
    [TestCase("model.fp16.safetensors.index.json", "'model.fp16.safetensors.index.json'", "give the path of the file itself")]
    [TestCase("readme.md", "has neither model.safetensors nor model.safetensors.index.json", "fetch the weights")]
    public void Open_FolderWithoutWeights_IsToldByItsFiles(string name, params string[] facts)
    {
        _folder.Write("config.json", LoadingTestFiles.TinyConfig().ToJsonString());
        _folder.Write(name, "{}");

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), [_folder.Path, .. facts]);
    }

    [TestCase("checkpoint-500")]
    [TestCase("snapshots/0123abcd")]
    public void Open_FolderAroundAModel_SaysWhereItIs(string inner)
    {
        Directory.CreateDirectory(_folder[inner]);
        _folder.Write(inner + "/config.json", "{}");

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder.Path, $"'{inner.Replace('/', Path.DirectorySeparatorChar)}'", "give the path of that");
    }

    [TestCase("config.json")]
    [TestCase("tokenizer.json")]
    public void Open_OneFileOfAModel_SaysToGiveItsFolder(string name)
    {
        _folder.Write("config.json", LoadingTestFiles.TinyConfig().ToJsonString());
        _folder.Write("tokenizer.json", "{}");

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder[name]), _folder[name], "is one file of a model", _folder.Path);
    }

    [Test]
    public void Open_FileOfAnotherKind_IsNamed()
    {
        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Write("m.gguf", [.. "GGUF"u8, 3, 0, 0, 0])), "m.gguf", "GGUF", "safetensors");
        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Write("pytorch_model.bin", "PK\u0003\u0004")), "pytorch_model.bin", "torch.save", "save_pretrained");
        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Write("notes.txt", "text")), "notes.txt", "is a file; expected a folder");
    }

    [Test]
    public void Open_WeightsWithoutConfigurationBeside_SaysWhatIsMissing()
    {
        SafetensorsWriter.Write(_folder["x.safetensors"], []);

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder["x.safetensors"]), _folder["config.json"], "must lie beside x.safetensors");
    }

    [Test]
    public void Open_ConfigurationThatIsAFolder_IsRefused()
    {
        Directory.CreateDirectory(_folder["config.json"]);
        SafetensorsWriter.Write(_folder["model.safetensors"], []);

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder["config.json"], "folder");
    }

    [TestCase("some-maker/some-model", true)]
    [TestCase("./some-model", false)]
    [TestCase("/nowhere/some-model", false)]
    public void Open_NameOfAModel_SaysThatModelsAreNotLookedUp(string name, bool isName)
    {
        var error = Assert.Throws<ModelFormatException>(() => LlamaCheckpoint.Open(name));

        Assert.That(error!.Message, Does.StartWith(name).And.Contain("does not exist"));
        Assert.That(error.Message.Contains("hf download", StringComparison.Ordinal), Is.EqualTo(isName));
    }

    [Test]
    public void Open_AnotherModelsFolder_NamesItsType()
    {
        _folder.Write("config.json", """{"model_type":"bert","architectures":["BertModel"]}""");

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), "model_type is 'bert'", "supported are llama");
    }

    [TestCase("config.json")]
    [TestCase("generation_config.json")]
    [TestCase("model.safetensors")]
    [Platform(Exclude = "Win")]
    public void Open_PipeInPlaceOfAFile_IsRefusedWithoutWaiting(string name)
    {
        _folder.Write("config.json", LoadingTestFiles.TinyConfig().ToJsonString());
        SafetensorsWriter.Write(_folder["model.safetensors"], []);
        File.Delete(_folder[name]);
        _folder.MakePipe(name);

        LoadingTestFiles.Refused(() => LlamaCheckpoint.Open(_folder.Path), _folder[name], "not a regular file");
    }
}
