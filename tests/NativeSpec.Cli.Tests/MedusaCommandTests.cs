using System.Runtime.InteropServices;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Tests.Loading.PyTorch;

namespace NativeSpec.Cli.Tests;

/// <summary>Medusa heads from a PyTorch file to a text, by commands alone. The heads are made for stories260k: each says what the model's own
/// output matrix says, which is right wherever a token is followed by itself or its like.</summary>
public sealed class MedusaCommandTests
{
    private const int Heads = 3;

    private string _folder = null!;
    private string _model = null!;
    private string _file = null!;

    [OneTimeSetUp]
    public void WriteHeads()
    {
        _folder = Directory.CreateTempSubdirectory("nativespec-heads-").FullName;
        _model = SharedModels.Folder("stories260k");
        _file = Path.Combine(_folder, "medusa_lm_head.pt");
        using var model = LlamaCheckpoint.Open(_model);
        var (hidden, vocab) = (model.Config.HiddenSize, model.Config.VocabSize);
        var tensors = Enumerable.Range(0, Heads).SelectMany(h => new[]
        {
            PtTestTensor.Float($"{h}.0.linear.weight", $"{3 * h}", hidden, hidden),
            PtTestTensor.Float($"{h}.0.linear.bias", $"{(3 * h) + 1}", hidden),
            PtTestTensor.Float($"{h}.1.weight", $"{(3 * h) + 2}", vocab, hidden),
        });
        var vocabulary = Bytes(model);
        var storages = Enumerable.Range(0, Heads).SelectMany(_ => new[] { new byte[4 * hidden * hidden], new byte[4 * hidden], vocabulary });
        File.WriteAllBytes(_file, PtTestFiles.Archive(PickleWriter.StateDict([.. tensors]), [.. storages]));
    }

    [OneTimeTearDown]
    public void DeleteHeads() => Directory.Delete(_folder, recursive: true);

    [Test]
    public async Task Convert_APyTorchFile_WritesTheSameHeadsAsSafetensors()
    {
        var written = Path.Combine(_folder, "converted");
        var run = await CliRun.Of("convert", "--medusa", _file, "--out", written);

        Assert.That((run.Code, run.Error), Is.EqualTo((0, "")));
        Assert.That(run.Out, Does.Contain($"{Heads} heads"));
        using var before = MedusaCheckpoint.Open(_file);
        using var after = MedusaCheckpoint.Open(written);
        Assert.That(after.Heads.Heads.Select(head => Floats(head.Vocab!)), Is.EqualTo(before.Heads.Heads.Select(head => Floats(head.Vocab!))));
        Assert.That((await Generate("--medusa", written)).Ints("ids"), Is.EqualTo((await Generate("--medusa", _file)).Ints("ids")));
    }

    [Test]
    public async Task Generate_WithHeads_WritesThePlainTextInADynamicAndInAStaticTree([Values] bool isStatic, [Values("0", "0.8")] string temperature)
    {
        var tree = Path.Combine(_folder, "tree.json");
        File.WriteAllText(tree, "[[0], [1], [2], [0, 0], [0, 1], [1, 0], [0, 0, 0]]");
        var plain = await Generate("--temperature", temperature, "--speculate", "off");
        var fast = await Generate(["--temperature", temperature, "--medusa", _file, "--speculate", "medusa", "--unplanned", .. isStatic ? ["--tree", tree] : Array.Empty<string>()]);

        Assert.That(fast.Ints("ids"), Is.EqualTo(plain.Ints("ids")));
        var medusa = fast.GetProperty("speculation").GetProperty("drafters").EnumerateArray().Single();
        Assert.That(medusa.Text("name"), Is.EqualTo("medusa"));
        Assert.That(medusa.Number("drafted"), Is.GreaterThan(100));
        Assert.That(medusa.GetProperty("judged").GetArrayLength(), Is.InRange(1, Heads));
    }

    [Test]
    public async Task Generate_ATreeDeeperThanTheHeads_IsRefusedAtOnce()
    {
        var run = await CliRun.Of("generate", "--model", _model, "--prompt", "Once", "--medusa", _file, "--tree", "mc_sim_7b_63");
        Assert.That(run.Code, Is.Not.Zero);
        Assert.That(run.Error, Does.Contain("there are 3 heads"));
    }

    private static byte[] Bytes(LlamaCheckpoint model) => MemoryMarshal.AsBytes(Floats(model.Tensors.LmHead).AsSpan()).ToArray();

    private static unsafe float[] Floats(NativeSpec.Tensors.TensorView view) => new ReadOnlySpan<float>((void*)view.Data, (int)(view.ByteLength / 4)).ToArray();

    private async Task<System.Text.Json.JsonElement> Generate(params string[] args)
        => (await CliRun.Of(["generate", "--model", _model, "--prompt", "Once upon a time", "--seed", "5", "--max-tokens", "60", "--json", .. args])).Json();
}
