using System.Text;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.PyTorch;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tokenization;

namespace NativeSpec.Tests.Loading;

/// <summary>What people find in the place of a model's file: each reader says what it is, and none talks of its own format's details.</summary>
public sealed class FileKindTests
{
    private const string Pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

    private TempFolder _folder = null!;

    public static IEnumerable<TestCaseData> Kinds()
    {
        foreach (var (name, content, fact) in new (string, byte[], string)[]
        {
            ("LFS pointer", Encoding.UTF8.GetBytes(Pointer), "Git LFS pointer"),
            ("LFS pointer with Windows line ends", Encoding.UTF8.GetBytes(Pointer.ReplaceLineEndings("\r\n")), "git lfs pull"),
            ("HTML", "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"u8.ToArray(), "HTML"),
            ("HTML in capitals", "\n <HTML><BODY>404</BODY></HTML>"u8.ToArray(), "HTML"),
            ("HTML behind a mark", "\uFEFF<html><body>"u8.ToArray(), "HTML"),
            ("XML", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"u8.ToArray(), "XML"),
            ("GGUF", [.. "GGUF"u8, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "GGUF"),
            ("gzip", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2], "gzip"),
            ("HDF5", [0x89, .. "HDF\r\n\u001a\n"u8, 0, 0], "HDF5"),
            ("UTF-16", [0xFF, 0xFE, .. Encoding.Unicode.GetBytes("{\"a\": 1, \"b\": 2}")], "UTF-16"),
        })
        {
            yield return new TestCaseData(content, fact).SetArgDisplayNames(name);
        }
    }

    [SetUp]
    public void MakeFolder() => _folder = new TempFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [TestCaseSource(nameof(Kinds))]
    public void EveryReader_OfAnotherKind_SaysWhatItIs(byte[] content, string fact)
    {
        (string Name, Action<string> Read)[] readers =
        [
            ("model.safetensors", path => SafetensorsFile.Open(path).Dispose()),
            ("medusa_lm_head.pt", path => PtFile.Open(path).Dispose()),
            ("config.json", path => LlamaConfig.Read(path)),
            ("generation_config.json", path => GenerationConfig.Read(path, 10)),
            ("model.safetensors.index.json", path => Checkpoint.Open(path).Dispose()),
            ("tokenizer.json", path => Tokenizer.Load(path)),
            ("tokenizer.model", path => Tokenizer.Load(path)),
        ];
        foreach (var (name, read) in readers)
        {
            var error = Assert.Throws<ModelFormatException>(() => read(_folder.Write(name, content)), name);
            Assert.That(error!.Message, Does.StartWith(_folder[name]).And.Contain(fact), name);
            Assert.That(error.Message, Does.Not.Contain("LoadLimits").And.Not.Contain("sentencepiece").And.Not.Contain("start of a value"), name);
            File.Delete(_folder[name]);
        }
    }

    [TestCase("Entry not found")]
    [TestCase("{\"error\":\"Repository not found\"}")]
    public void Weights_ThatAreText_AreShown(string text) =>
        LoadingTestFiles.Refused(() => SafetensorsFile.Open(_folder.Write("model.safetensors", text)), "text that begins", text[..12], "fetch it again");

    [Test]
    public void Configuration_ThatIsText_IsShown() =>
        LoadingTestFiles.Refused(() => LlamaConfig.Read(_folder.Write("config.json", "Entry not found")), "not valid JSON", "text that begins 'Entry not found'");

    [Test]
    public void Tokenizer_ThatIsText_IsShown() =>
        LoadingTestFiles.Refused(() => Tokenizer.Load(_folder.Write("tokenizer.json", "Entry not found")), "text that begins 'Entry not found'", "no tokenizer");

    // The lowest byte of a header's length may be '<' or 'P'.
    [TestCase(0x3C)]
    [TestCase(0x50)]
    [TestCase(0x80)]
    public void Safetensors_WhoseLengthLooksLikeAnotherKind_Opens(int headerBytes)
    {
        var header = Encoding.UTF8.GetBytes("{}".PadRight(headerBytes));

        using var file = SafetensorsFile.Open(_folder.Write("m.safetensors", LoadingTestFiles.Safetensors(header, 0)));

        Assert.That(file.Tensors, Is.Empty);
    }

    [Test]
    public void Tokenizer_OfAFileOfWeights_IsThatOfItsFolder()
    {
        _folder.Write("any.name", LoadingTestFiles.Safetensors("{}", 0));
        _folder.Write("tokenizer.json", Tokenization.TestTokenizers.ByteLevel(Tokenization.TestTokenizers.MinVocabSize).ToJsonString());

        Assert.That(Tokenizer.Load(_folder["any.name"]).Encode("a", addSpecial: false), Is.EqualTo(Tokenizer.Load(_folder.Path).Encode("a", addSpecial: false)));
    }

    [TestCase("tokenizer.json")]
    [TestCase("tokenizer.model")]
    [TestCase("tokenizer_config.json")]
    [Platform(Exclude = "Win")]
    public void Tokenizer_OfAPipe_IsRefusedWithoutWaiting(string name)
    {
        if (name == "tokenizer_config.json")
        {
            _folder.Write("tokenizer.json", Tokenization.TestTokenizers.ByteLevel(Tokenization.TestTokenizers.MinVocabSize).ToJsonString());
        }

        _folder.MakePipe(name);

        LoadingTestFiles.Refused(() => Tokenizer.Load(_folder.Path), _folder[name], "not a regular file");
    }
}
