using NativeSpec.Backends.Cpu;
using NativeSpec.Model;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Model;

public sealed class KvCacheTests
{
    private SyntheticModel _weights = null!;
    private ModelRun _run = null!;

    [SetUp]
    public void Load()
    {
        _weights = new SyntheticModel(TestConfigs.Tiny, DType.F32, 1);
        _run = new ModelRun(CpuBackend.Create(new CpuOptions { Threads = 1 }), _weights.Config, _weights.Tensors, cacheTokens: 256);
    }

    [TearDown]
    public void Unload()
    {
        _run.Dispose();
        _weights.Dispose();
    }

    [Test]
    public void TryOpen_UntilTheRoomIsGone_ReturnsNullAndWorksAgainAfterDispose()
    {
        var first = _run.Cache.TryOpen(129);
        var second = _run.Cache.TryOpen(64);
        Assert.That((first, second, _run.Cache.FreePages), Is.EqualTo((first, second, 0)));
        Assert.That(_run.Cache.TryOpen(1), Is.Null);

        first!.Dispose();
        first.Dispose();
        Assert.That(_run.Cache.FreePages, Is.EqualTo(3));
        Assert.That(_run.Cache.TryOpen(192), Is.Not.Null);
    }

    [Test]
    public void TryReserve_AsATextGrows_TakesPagesOneByOneAndRefusesWithoutTakingAny()
    {
        using var first = _run.Cache.Open();
        Assert.That((first.Capacity, _run.Cache.FreePages), Is.EqualTo((0, 4)));
        Assert.That((first.TryReserve(64), first.TryReserve(65), first.TryReserve(10)), Is.EqualTo((true, true, true)));
        Assert.That((first.Capacity, _run.Cache.FreePages), Is.EqualTo((65, 2)));

        using var second = _run.Cache.Open();
        Assert.That((second.TryReserve(129), second.Capacity, _run.Cache.FreePages), Is.EqualTo((false, 0, 2)));
        Assert.That((second.TryReserve(128), _run.Cache.FreePages), Is.EqualTo((true, 0)));
        Assert.That((first.TryReserve(128), first.TryReserve(129), first.Capacity), Is.EqualTo((true, false, 128)));

        second.Dispose();
        Assert.That((first.TryReserve(129), _run.Cache.FreePages), Is.EqualTo((true, 1)));
        Assert.That(() => second.TryReserve(1), Throws.InstanceOf<ObjectDisposedException>());
    }

    [TestCase(new[] { 1 })]
    [TestCase(new[] { 0, 2, 1 })]
    [TestCase(new[] { 0, 0 })]
    [TestCase(new[] { 0, 64 })]
    public void Commit_APathThatIsNone_IsRefused(int[] path)
    {
        using var sequence = _run.Cache.TryOpen(64)!;
        Assert.Throws<ArgumentException>(() => sequence.Commit(path));
        Assert.That(sequence.Length, Is.Zero);
    }

    [Test]
    public void Commit_APathThatLeavesWhatWasWalked_IsRefusedWithBoth()
    {
        using var sequence = _run.Cache.TryOpen(64)!;
        sequence.NoteWalk([0, 3]);
        Assert.That(() => sequence.Commit([0, 2, 5]), Throws.ArgumentException.With.Message.Contains("node 3").And.Message.Contains("node 2"));
        Assert.That(sequence.Length, Is.Zero);
        sequence.NoteWalk([0, 2, 5]);
        sequence.Commit([0, 2]); // the text ended
        Assert.That((sequence.Length, sequence.Walked.Length), Is.EqualTo((2, 0)));
    }

    /// <summary>Its path may lie in the slots of nodes that the new ones would see.</summary>
    [Test]
    public void Forward_ATreeThatGrowsAfterItWasWalked_IsRefusedUntilItIsComputedAnew()
    {
        using var sequence = _run.Cache.TryOpen(64)!;
        var (tree, forest) = (ModelRun.Chain(1, 2, 3, 4), new Forest(1));
        _run.Forward((sequence, tree));
        sequence.NoteWalk([0, 2]);
        forest.Add(sequence, tree, firstLogitNode: 3, firstNode: 3);
        Assert.That(() => _run.Model.Forward(forest), Throws.ArgumentException.With.Message.Contains("grow by node 3"));

        _run.Forward((sequence, tree));
        Assert.That(() => _run.Model.Forward(forest), Throws.Nothing);
    }

    [Test]
    public void Commit_AfterDispose_IsRefused()
    {
        var sequence = _run.Cache.TryOpen(64)!;
        sequence.Dispose();
        Assert.Throws<ObjectDisposedException>(() => sequence.Commit([0]));
    }

    [Test]
    public void Truncate_BeyondTheLength_IsRefused([Values(-1, 1)] int length)
    {
        using var sequence = _run.Cache.TryOpen(64)!;
        Assert.Throws<ArgumentOutOfRangeException>(() => sequence.Truncate(length));
    }

    [Test]
    public void Forward_ATreeThatOutgrowsItsRoom_IsRefusedWithTheNumbers()
    {
        using var sequence = _run.Cache.TryOpen(3)!;
        Assert.That(() => _run.Forward((sequence, ModelRun.Chain(1, 2, 3, 4))), Throws.ArgumentException.With.Message.Contains("4 nodes").And.Message.Contains("3 tokens"));
    }
}
