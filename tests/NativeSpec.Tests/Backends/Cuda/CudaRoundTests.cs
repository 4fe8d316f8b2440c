using NativeSpec.Backends.Cuda;
using NativeSpec.Model;
using NativeSpec.Tensors;
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
        using var weights = new SyntheticModel(TestConfigs.Tiny, DType.BF16, 3);
        using var run = new ModelRun(CudaEmulator.Create(), weights.Config, weights.Tensors);
        var (sequence, forest, tree) = (run.Open(), new Forest(1), ModelRun.RandomTree(new Random(1), 30, 300));
        run.Append(sequence, [1, 2, 3]);
        int[] path = [0, ModelRun.PathTo(tree, 29)[1]];
        Step();
        Step(); // the graph is recorded
        string[] names = ["uploads", "graph_launches", "downloads", "synchronizations", "launches", "allocations"];
        var before = Array.ConvertAll(names, CudaEmulator.Count);
        var (down, managed) = (CudaEmulator.Count("download_bytes"), GC.GetAllocatedBytesForCurrentThread());

        Step();

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - managed, Is.Zero);
        Assert.That(names.Zip(before, (name, count) => CudaEmulator.Count(name) - count), Is.EqualTo(new long[] { 1, 1, 1, 1, 0, 0 }));
        Assert.That(CudaEmulator.Count("download_bytes") - down, Is.LessThanOrEqualTo(8192));

        void Step()
        {
            forest.Clear();
            forest.Add(sequence, tree, 0);
            run.Model.Forward(forest);
            sequence.Commit(path);
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
