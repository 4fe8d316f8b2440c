using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Native;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Engine;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>What a round costs the host, and what it leaves with the driver.</summary>
public sealed class CudaRoundTests
{
    [SetUp]
    public void Require() => CudaEmulator.Require();

    [TearDown]
    public void NothingWentWrongUnseen() => Assert.That(CudaEmulator.Problems(), Is.Empty);

    [Test]
    public void Forward_OnceWarm_IsOneUploadOneGraphOneDownloadOneWait_AndAllocatesNothing()
    {
        CudaEmulator.RequireEmulated();
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (sequence, forest, tree) = (run.Open(), new Forest(1), ModelRun.RandomTree(new Random(1), 30, 300));
        run.Append(sequence, [1, 2, 3]);
        int[] path = [0, ModelRun.PathTo(tree, 29)[1]];
        Step();
        Step(); // the graph is recorded
        string[] names = ["uploads", "graph_launches", "downloads", "synchronizations", "launches", "allocations"];
        var before = Array.ConvertAll(names, CudaEmulator.Count);
        var (up, down, managed) = (CudaEmulator.Count("upload_bytes"), CudaEmulator.Count("download_bytes"), GC.GetAllocatedBytesForCurrentThread());

        Step();

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - managed, Is.Zero);
        Assert.That(names.Zip(before, (name, count) => CudaEmulator.Count(name) - count), Is.EqualTo(new long[] { 1, 1, 1, 1, 0, 0 }));
        Assert.That(CudaEmulator.Count("upload_bytes") - up, Is.LessThanOrEqualTo(8192));
        Assert.That(CudaEmulator.Count("download_bytes") - down, Is.LessThanOrEqualTo(8192));

        void Step()
        {
            forest.Clear();
            forest.Add(sequence, tree, 0);
            run.Model.Forward(forest);
            sequence.Commit(path);
        }
    }

    /// <summary>What goes up: of a row some words, of a text its pages, of attention sixteen bytes for each piece of work. Angles stay on the device. Only page
    /// numbers and pieces of many long texts take more than 8 KB.</summary>
    [TestCase(1, 64, 8000, 8)]
    [TestCase(16, 4, 1000, 8)]
    [TestCase(16, 4, 2000, 10)]
    public void Forward_OfARoundOfSixtyFourRows_TakesAFewKilobytes(int texts, int nodes, int context, int most)
    {
        CudaEmulator.RequireEmulated();
        var config = TestConfigs.Tiny with { NumHiddenLayers = 1, NumKeyValueHeads = 1, MaxPositionEmbeddings = 8192 };
        using var weights = new SyntheticModel(config, DType.BF16, 3);
        using var backend = CudaEmulator.Create();
        using var model = new LlamaModel(config, weights.Tensors, backend, new ForwardLimits(MaxRows: 64, MaxLogitRows: 64, MaxSequences: texts, 8192));
        using var cache = model.CreateCache(texts * (context + 128));
        var (forest, random) = (new Forest(texts), new Random(5));
        for (var i = 0; i < texts; i++)
        {
            var sequence = cache.TryOpen(context + 64)!;
            sequence.CommitChain(context); // nobody looks at what is computed
            forest.Add(sequence, ModelRun.RandomTree(random, nodes, 300), 0);
        }

        var (uploads, bytes) = (CudaEmulator.Count("uploads"), CudaEmulator.Count("upload_bytes"));
        model.Forward(forest);

        Assert.That(CudaEmulator.Count("uploads") - uploads, Is.EqualTo(1));
        TestContext.Out.WriteLine($"{CudaEmulator.Count("upload_bytes") - bytes} bytes");
        Assert.That(CudaEmulator.Count("upload_bytes") - bytes, Is.LessThanOrEqualTo(most * 1024));
    }

    /// <summary>A prompt is a pass of as many rows as there is a bucket for, and its products are several blocks of rows.</summary>
    [Test]
    public void Forward_APromptOfManyRows_IsOnePassWithTheBitsOfItsPieces([Values(200, 400)] int rows)
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 2, IntermediateSize = 300 }, DType.BF16, 3);
        using var backend = CudaEmulator.Create();
        using var model = new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(MaxRows: 600, MaxLogitRows: 4, MaxSequences: 1, 512));
        using var cache = model.CreateCache(2048);
        int[] prompt = [.. Enumerable.Range(0, rows).Select(i => i * 11 % 300)];
        var forest = new Forest(1);

        var uploads = CudaEmulator.Count("uploads");
        var whole = Logits(prompt.Length);
        Assert.That(CudaEmulator.Count("uploads") - uploads, Is.EqualTo(CudaEmulator.IsEmulated ? 1 : 0));
        Assert.That(Logits(50), Is.EqualTo(whole));
        Assert.That(Logits(130), Is.EqualTo(whole), "of passes of 128 and less");

        float[] Logits(int chunk)
        {
            using var sequence = cache.TryOpen(rows + 40)!;
            foreach (var part in prompt.Chunk(chunk))
            {
                forest.Clear();
                forest.Add(sequence, ModelRun.Chain(part), part.Length - 1);
                model.Forward(forest);
                sequence.CommitChain(part.Length);
            }

            return model.Logits(0).ToArray();
        }
    }

    /// <summary>An engine for long texts computes the passes of a short prompt whole: only where the last position is far behind are they smaller.</summary>
    [Test]
    public void Forward_WhereTheResultsOfAttentionHaveLittleRoom_HasSmallerPassesOnlyFarBehind()
    {
        CudaEmulator.RequireEmulated();
        const int Place = 4 * ((64 * sizeof(float)) + 8); // of a row and a unit: four heads
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var backend = CudaEmulator.Create(new CudaOptions { MostUnitBytes = 600 * Place });
        using var model = new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(MaxRows: 512, MaxLogitRows: 1, MaxSequences: 1, 640));
        using var cache = model.CreateCache(1024);
        using var sequence = cache.TryOpen(600)!;
        var (forest, uploads) = (new Forest(1), CudaEmulator.Count("uploads"));

        Append(128);
        Assert.That(Uploads(), Is.EqualTo(1), "one unit of keys, 128 rows");
        Append(400);
        Assert.That(Uploads(), Is.EqualTo(7), "five units to position 527, so 64 rows a pass");
        Assert.That(model.Logits(0).ToArray().Any(float.IsNaN), Is.False);

        long Uploads() => CudaEmulator.Count("uploads") - uploads;

        void Append(int count)
        {
            uploads = CudaEmulator.Count("uploads");
            forest.Clear();
            forest.Add(sequence, ModelRun.Chain([.. Enumerable.Range(0, count).Select(i => i % 300)]), count - 1);
            model.Forward(forest);
            sequence.CommitChain(count);
        }
    }

    [Test]
    public void PassRows_OfALargeModel_AreThoseOfAPromptWhereverItsTextIsShort()
    {
        var plan = new ForwardPlan(576, 64);
        var qkv = plan.Input(48 * 128);
        plan.RopeAppend(qkv, new AttentionPlan(0, 32, 8, 128));
        plan.Attend(qkv, new AttentionPlan(0, 32, 8, 128));
        const long Place = 32 * ((128 * sizeof(float)) + 8);
        var places = CudaMemory.UnitPlaces(plan, 131_072, CudaMemory.MostUnitBytes);

        int[] ends = [500, 3_000, 16_000, 60_000, 131_071];
        Assert.That(ends.Select(last => CudaMemory.PassRows(CudaMemory.MostRows(plan), places, last)), Is.EqualTo(new[] { 512, 512, 256, 128, 64 }));
        Assert.That(places * Place, Is.InRange(255L << 20, 256L << 20));
        Assert.That(CudaMemory.UnitPlaces(plan, 500, CudaMemory.MostUnitBytes) * Place, Is.EqualTo(4 * 512 * Place), "no more than a pass of the longest text can use");
    }

    [Test]
    public void NextPass_AnyRowsThatAreLeft_TakesAllAndFillsLittleUp()
    {
        foreach (var most in new[] { 64, 128, 256, 512 })
        {
            for (var rows = 1; rows < 1200; rows++)
            {
                for (var left = rows; left > 0;)
                {
                    var (taken, bucket) = CudaLayout.NextPass(left, most);
                    Assert.That(taken > 0 && taken <= left && taken <= bucket && bucket <= most, $"{taken} of {left} in {bucket} of {most}");
                    Assert.That(left <= CudaLayout.RoundRows ? taken == left : taken * 4 > bucket * 3, $"{taken} of {left} in {bucket} of {most}");
                    left -= taken;
                }
            }
        }
    }

    [Test]
    public void Commit_MoreRowsThanAForwardTakesAlong_MovesThemAll()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (moved, straight) = (run.Open(), run.Open());
        run.Append(straight, [.. Enumerable.Range(5, 60)], chunk: 60);
        var tree = new TokenTree(62);
        tree.Add(-1, 5);
        tree.Add(0, 299);
        for (var i = 1; i < 60; i++)
        {
            tree.Add(i == 1 ? 0 : i, 5 + i);
        }

        run.Forward((moved, tree));
        var kv = moved.Cache.Storage;
        int[] from = [.. Enumerable.Range(0, CudaKv.MostMoves - 10).Select(_ => 900)], to = [.. from.Select(_ => 901)];
        run.Backend.MoveKvRows(kv, from, to); // fills what is noted, so that the path does not fit any more
        moved.Commit([0, .. Enumerable.Range(2, 59)]);

        Assert.That(run.Append(moved, [77])[0], Is.EqualTo(run.Append(straight, [77])[0]));
    }

    [Test]
    public void Dispose_OnAnyThreadInAnyOrder_LeavesNothingWithTheDriver()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.F16, 3);
        var backend = CudaEmulator.Create();
        var model = new LlamaModel(weights.Config, weights.Tensors, backend, new ForwardLimits(8, 8, 1, 64));
        var cache = model.CreateCache(64);
        Task.Run(() =>
        {
            var forest = new Forest(1);
            forest.Add(cache.TryOpen(8)!, ModelRun.Chain(1, 2), 0);
            Assert.That(model.Forward(forest).Logits(1)[0], Is.Not.NaN);
            model.Dispose();
        }).Wait();
        Task.Run(backend.Dispose).Wait();
        cache.Dispose();

        Assert.That(CudaEmulator.Problems(), Is.Empty);
        Assert.That(() => backend.ImportVector(weights.Tensors.FinalNorm), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void Enter_WhileAnotherThreadHasItsTurn_IsRefused()
    {
        using var backend = CudaEmulator.Create();
        using (backend.Context.Enter())
        {
            Assert.That(() => Task.Run(backend.MemoryInfo).GetAwaiter().GetResult(), Throws.InvalidOperationException.With.Message.Contains("two threads"));
        }

        Assert.That(backend.MemoryInfo().Free, Is.Positive);
    }

    [Test]
    public void Dispose_WithinATurn_IsRefusedAndLeavesTheKernelsLoaded()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        var backend = CudaEmulator.Create();
        using var run = new ModelRun(backend, weights.Config, weights.Tensors);
        using (backend.Context.Enter())
        {
            Assert.That(backend.Dispose, Throws.InvalidOperationException.With.Message.Contains("while a thread uses it"));
        }

        Assert.That(run.Append(run.Open(), [1])[0].Any(float.IsNaN), Is.False);
    }

    [Test]
    public void Scratch_Larger_GivesTheSmallerBackFirst()
    {
        CudaEmulator.RequireEmulated();
        using var backend = CudaEmulator.Create();
        using var turn = backend.Context.Enter();
        var staging = backend.Staging(turn);
        var before = turn.MemoryInfo().Free;
        staging.Scratch(turn, 1 << 20);
        staging.Scratch(turn, 2 << 20);

        Assert.That(before - turn.MemoryInfo().Free, Is.InRange(2 << 20, (3 << 20) - 1));
        staging.ReleaseScratch(turn);
        Assert.That(turn.MemoryInfo().Free, Is.EqualTo(before));
    }

    /// <summary>There is room for one program's buffers, not for two.</summary>
    [Test]
    public void Forward_InAnotherCache_GivesTheBuffersBackBeforeItMakesThemAnew()
    {
        CudaEmulator.RequireEmulated();
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        var backend = CudaEmulator.Create();
        using var run = new ModelRun(backend, weights.Config, weights.Tensors);
        var (bytes, sequence) = (run.Model.Program.BufferBytes, run.Open());
        var expected = run.Append(sequence, [1, 2]);
        using var other = run.Model.CreateCache(4096);
        Assert.That(run.Model.Program.BufferBytes, Is.EqualTo(bytes));
        using (var turn = backend.Context.Enter())
        {
            var rest = turn.Allocate(turn.MemoryInfo().Free - (bytes / 2));
            GC.KeepAlive(rest);
        }

        using var second = run.Open();
        Assert.That(run.Append(second, [1, 2]), Is.EqualTo(expected));
    }

    [Test]
    public void Prepare_ALargerBatchThanTheProgramWasBoundWith_IsRefused()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny with { NumHiddenLayers = 1 }, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        using var angles = new RotationAngles(new double[TestConfigs.Tiny.HeadDim / 2], magnitude: 1, positions: 8);
        var large = new RowBatch(128, 100_000, angles);
        run.Model.Program.Prepare(run.Cache.Storage, new RowBatch(128, 8, angles));
        Assert.That(() => run.Model.Program.Prepare(run.Cache.Storage, new RowBatch(128, 100_000)), Throws.ArgumentException.With.Message.Contains("angles for 0 rotated"));

        Assert.That(() => run.Model.Program.Prepare(run.Cache.Storage, large), Throws.ArgumentException.With.Message.Contains("100000 pages").And.Message.Contains("this program was bound with"));
    }

    [Test]
    public void Need_OfAModel_IsWhatTheDeviceGivesUp([Values(WeightFormat.AsStored, WeightFormat.Q8)] WeightFormat format, [Values(null, KvFormat.F32)] KvFormat? kv, [Values(DType.BF16, DType.F32)] DType dtype)
    {
        CudaEmulator.RequireEmulated();
        using var folder = new TestFolder(dtype: dtype, shape: TestConfigs.Tiny with { HiddenSize = 128, IntermediateSize = 384, HeadDim = 32, VocabSize = 1000 });
        using var checkpoint = LlamaCheckpoint.Open(folder.Path);
        if (format != WeightFormat.AsStored && NativeOptions.ExpectedLevel is null)
        {
            Assert.Ignore("the native library is not built, which packs weights");
        }

        var options = new EngineOptions { Device = 0, Weights = format, KvFormat = kv, MaxContext = 256, KvTokens = 512, MaxSequences = 1, PrefillChunk = 256 };
        var need = DeviceNeed.For(checkpoint, options);
        using var backend = CudaEmulator.Create(new CudaOptions { Weights = format, KvFormat = EngineBackend.KvFormatOnDevice(options, checkpoint.Tensors) });
        var before = backend.MemoryInfo().Free;
        using var model = new LlamaModel(checkpoint.Config, checkpoint.Tensors, backend, InferenceEngine.Limits(options, options.ChunkOn(backend), 256));
        using var cache = model.CreateCache(InferenceEngine.CacheTokens(options, 512));
        var taken = before - backend.MemoryInfo().Free;

        Assert.That(need.Need.Total, Is.InRange(taken, taken * 13 / 10), "buffers, which are most of so small a model, are counted from above");
        Assert.That((need.Device, need.Fits), Is.EqualTo(("emulated sm_90", true)));
    }

    [Test]
    public void Measure_OfAForward_HasEveryKernelWithTheWeightsThatItReads()
    {
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        var backend = CudaEmulator.Create();
        using var run = new ModelRun(backend, weights.Config, weights.Tensors);
        run.Append(run.Open(), [1]);

        var kernels = ((CudaProgram)run.Model.Program).Measure(1).ToDictionary(kernel => kernel.Name);

        Assert.That(kernels.Values.Min(kernel => kernel.Seconds), Is.Positive);
        Assert.That(kernels["matmul_bf16_8"].Launches, Is.EqualTo((4 * 3) + 1));
        Assert.That(kernels["tree_attention_bf16_64"].Launches, Is.EqualTo(3));
        Assert.That(kernels["matmul_bf16_8"].WeightBytes, Is.EqualTo((3 * ((1 + 1 + 2) * 16384L)) + (3 * 2 * 16384L) + (3 * 16384L)), "slabs of 128 outputs by stages of 64 columns");
        Assert.That(kernels["rms_norm"].WeightBytes, Is.Zero);
        Assert.That(backend.MeasureCopying(1 << 20), Is.Positive);
    }

    [Test]
    public void Run_KernelByKernel_GivesTheBitsOfTheGraph()
    {
        using var weights = new SyntheticModel(TestConfigs.Mixed, DType.F32, 3);
        var tree = ModelRun.RandomTree(new Random(2), 10, 300);
        var logits = new[] { false, true }.Select(isSynchronous =>
        {
            using var run = new ModelRun(CudaEmulator.Create(new CudaOptions { IsSynchronous = isSynchronous }), weights.Config, weights.Tensors);
            var sequence = run.Open();
            run.Append(sequence, [4, 5, 6]);
            run.Forward((sequence, tree));
            return run.Forward((sequence, tree))[0].SelectMany(row => row).ToArray();
        }).ToArray();

        Assert.That(logits[1], Is.EqualTo(logits[0]));
    }
}
