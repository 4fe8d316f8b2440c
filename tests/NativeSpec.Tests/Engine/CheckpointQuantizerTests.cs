using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Engine;

/// <summary>Packed checkpoints: written, read, used in place, and refused where they are not what they say.</summary>
public sealed class CheckpointQuantizerTests
{
    private static readonly LlamaConfig Even = TestConfigs.Tiny with { HiddenSize = 64, IntermediateSize = 160, HeadDim = 16, TieWordEmbeddings = false };

    private string _folder = null!;

    [SetUp]
    public void MakeFolder()
    {
        Assume.That(NativeLibraryLoader.WhyMissing, Is.Null);
        _folder = Directory.CreateTempSubdirectory("nativespec-quantizer-").FullName;
    }

    [TearDown]
    public void DeleteFolder()
    {
        if (_folder is not null)
        {
            Directory.Delete(_folder, recursive: true);
        }
    }

    private string Output => Path.Combine(_folder, "packed");

    /// <summary>Tied, with heads of 12 whose stacked q·k·v lanes move to other panels; and untied with even widths, used in place.</summary>
    [Test]
    public void Write_ThenOpen_ComputesTheBitsOfPackingWhileLoading([Values] bool even, [Values(WeightFormat.Q8, WeightFormat.Q4)] WeightFormat format)
    {
        var config = even ? Even : TestConfigs.Tiny;
        using var source = Source(config);
        using var whileLoading = new ModelRun(Native(format), config, source.Tensors);
        var expected = whileLoading.Append(whileLoading.Open(), [1, 2, 3, 4], chunk: 4);

        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, format);

        using var packed = LlamaCheckpoint.Open(Output);
        Assert.That(packed.Format, Is.EqualTo(format));
        Assert.That(PackedStack.LiesTogether([packed.Tensors.Layers[0].QProj, packed.Tensors.Layers[0].KProj, packed.Tensors.Layers[0].VProj]), Is.EqualTo(even));
        using var run = new ModelRun(Native(WeightFormat.AsStored), config, packed.Tensors);
        Assert.That(run.Append(run.Open(), [1, 2, 3, 4], chunk: 4), Is.EqualTo(expected));
    }

    [Test]
    public void Write_CopiesWhatStandsBesideTheWeightsAndLeavesNothingUnfinished()
    {
        using var source = Source(Even);
        File.WriteAllText(Path.Combine(source.Checkpoint.Path, "tokenizer.json"), "{}");
        File.WriteAllText(Path.Combine(source.Checkpoint.Path, "training.log"), "not wanted");

        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8);

        Assert.That(Directory.GetFiles(Output).Select(Path.GetFileName), Is.EquivalentTo(new[] { "config.json", "model.safetensors", "tokenizer.json" }));
        Assert.That(Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName), Is.EquivalentTo(new[] { "packed", "source" }));
    }

    [Test]
    public void Write_Cancelled_LeavesNothing()
    {
        using var source = Source(Even);
        Assert.Throws<OperationCanceledException>(() => CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8, cancellationToken: new(canceled: true)));
        Assert.That(Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName), Is.EqualTo(new[] { "source" }));
    }

    [Test]
    public void Write_OverSomethingOrOfAPackedCheckpoint_IsRefused()
    {
        using var source = Source(Even);
        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8);

        Assert.Throws<IOException>(() => CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8));
        Assert.Throws<ArgumentException>(() => CheckpointQuantizer.Write(Output, Path.Combine(_folder, "again"), WeightFormat.Q4));
        Assert.Throws<ArgumentException>(() => CheckpointQuantizer.Write(source.Checkpoint.Path, Path.Combine(_folder, "again"), WeightFormat.AsStored));
    }

    [Test]
    public void LlamaModel_OfAPackedCheckpoint_NeedsTheNativeKernelsAndItsOwnFormat()
    {
        using var source = Source(Even);
        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8);
        using var packed = LlamaCheckpoint.Open(Output);

        using var managed = EngineBackend.Create(new EngineOptions { Backend = BackendKind.Cpu });
        var error = Assert.Throws<ArgumentException>(() => _ = new LlamaModel(Even, packed.Tensors, managed, new ForwardLimits(4, 4, 1, 16)))!;
        Assert.That(error.Message, Does.Contain("Q8").And.Contain("native backend"));

        using var other = Native(WeightFormat.Q4);
        error = Assert.Throws<ArgumentException>(() => _ = new LlamaModel(Even, packed.Tensors, other, new ForwardLimits(4, 4, 1, 16)))!;
        Assert.That(error.Message, Does.Contain("Q8").And.Contain("q4"));
    }

    [TestCase("nativespec.weights", "q5", "q5")]
    [TestCase("nativespec.layout", "1", "'2'")]
    [TestCase("nativespec.weights", "q4", "U8 [2, 2304]")]
    [TestCase("nativespec.weights", null, "must be F32, F16 or BF16")]
    public void Open_MetadataThatDoesNotFit_IsRefused(string key, string? value, string expected)
    {
        using var source = Source(Even);
        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8);
        var file = Path.Combine(Output, "model.safetensors");
        using (var good = SafetensorsFile.Open(file))
        {
            var metadata = good.Metadata.Where(pair => pair.Key != key || value is not null).ToDictionary(pair => pair.Key, pair => pair.Key == key ? value! : pair.Value);
            SafetensorsWriter.Write(file, good.Tensors.Values.Select(view => SafetensorsTensor.FromView(view)), metadata);
        }

        var error = Assert.Throws<ModelFormatException>(() => LlamaCheckpoint.Open(Output))!;
        Assert.That(error.Message, Does.Contain(expected));
    }

    [Test]
    public void Open_AnotherWritersOrder_IsRefusedWhereAMatrixLeavesItsCacheLine()
    {
        using var source = Source(Even);
        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q8);
        var file = Path.Combine(Output, "model.safetensors");
        using (var good = SafetensorsFile.Open(file))
        {
            var tensors = good.Tensors.Values.Select(view => SafetensorsTensor.FromView(view)).Append(SafetensorsTensor.FromBytes("medusa_head.0", DType.U8, [1], new byte[1]));
            SafetensorsWriter.Write(file, tensors, good.Metadata);
        }

        var error = Assert.Throws<ModelFormatException>(() => LlamaCheckpoint.Open(Output));
        Assert.That(error!.Message, Does.Contain("cache line"));
    }

    [Test]
    public void For_PackedWhileLoading_IsWhatThePackedFileHolds([Values] bool even)
    {
        using var source = Source(even ? Even : TestConfigs.Tiny);
        CheckpointQuantizer.Write(source.Checkpoint.Path, Output, WeightFormat.Q4);
        using var packed = LlamaCheckpoint.Open(Output);
        Assert.That(MemoryNeed.For(source, new EngineOptions { Weights = WeightFormat.Q4 }).Weights, Is.EqualTo(packed.WeightBytes));
    }

    [TestCase(1, 1)]
    [TestCase(16, 128)]
    [TestCase(17, 129)]
    [TestCase(32_000, 2048)]
    public void Bytes_AreThoseOfTheLibrary(int outFeatures, int inFeatures)
    {
        foreach (var format in new[] { WeightFormat.Q8, WeightFormat.Q4 })
        {
            Assert.That(PackedWeights.Bytes(outFeatures, inFeatures, format), Is.EqualTo(NativeMethods.GetPackedBytes(outFeatures, inFeatures, (int)format)));
        }
    }

    private static NativeBackend Native(WeightFormat weights)
        => NativeBackend.TryCreate(new NativeOptions { Weights = weights, Threads = 2 }, out var reason) ?? throw new InvalidOperationException(reason);

    /// <summary>A checkpoint on disk, from a seed.</summary>
    private LlamaCheckpoint Source(LlamaConfig config)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, "source")).FullName;
        using var model = new SyntheticModel(config, DType.BF16, seed: 3);
        TensorView[] all = [model.Tensors.Embedding, .. model.Tensors.Layers.SelectMany(l => l.Matrices.Concat([l.InputNorm, l.PostAttentionNorm])), model.Tensors.FinalNorm, .. config.TieWordEmbeddings ? [] : new[] { model.Tensors.LmHead }];
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), all.Select(view => SafetensorsTensor.FromView(view)));
        File.WriteAllText(Path.Combine(folder, "config.json"), TestFolder.ConfigJson(config));
        return LlamaCheckpoint.Open(folder);
    }
}
