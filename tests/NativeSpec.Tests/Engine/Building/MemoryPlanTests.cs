using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Engine.Building;

public sealed class MemoryPlanTests
{
    private const long Plenty = 1L << 40;

    [Test]
    public void For_PlentyOfMemory_HoldsEverySequencesWholeContext()
        => Assert.That(MemoryPlan.For(TestConfigs.Tiny, new EngineOptions { MaxSequences = 3 }, 1000, Plenty), Is.EqualTo(new MemoryPlan(512, 3 * 512)));

    [Test]
    public void For_LittleMemory_KeepsOneContextThatFitsAQuarter()
        => Assert.That(MemoryPlan.For(TestConfigs.Tiny, new EngineOptions(), 1000, 400_000), Is.EqualTo(new MemoryPlan(100, 100)));

    [Test]
    public void For_AWishedContext_IsKeptWhateverTheMemory()
        => Assert.That(MemoryPlan.For(TestConfigs.Tiny, new EngineOptions { MaxContext = 300 }, 1000, 400_000), Is.EqualTo(new MemoryPlan(300, 300)));

    [Test]
    public void For_ACacheSmallerThanOneContext_IsRefusedWithTheNumbers()
        => Assert.That(
            () => MemoryPlan.For(TestConfigs.Tiny, new EngineOptions { MaxContext = 300, KvTokens = 200 }, 1000, Plenty),
            Throws.ArgumentException.With.Message.Contains("300").And.Message.Contains("200"));

    /// <summary>A draft never holds a longer context than its target, nor more tokens; what it holds is cut to its part of the memory.</summary>
    [TestCase(100, 1000, Plenty, 100, 1000)]      // shorter than the target
    [TestCase(131072, 1000, Plenty, 300, 3000)]   // longer
    [TestCase(131072, 1000, 400_000, 300, 100)]   // longer, and little memory
    public void ForDraft_OfAnyShape_StaysWithinTheTargetAndTheMemory(int positions, long bytes, long memory, int context, long tokens)
    {
        var plan = new MemoryPlan(MaxContext: 300, KvTokens: 3000);
        var room = plan.ForDraft(
            TestConfigs.Tiny with { MaxPositionEmbeddings = positions }, new EngineOptions { MaxSequences = 10, DraftModels = ["one"] }, bytes, memory);
        Assert.That(room, Is.EqualTo(new DraftRoom(10, context, tokens, SharesPrefixes: true)));
    }

    [Test]
    public void ForDraft_OneOfTwo_HasHalfOfThePart()
    {
        var plan = new MemoryPlan(MaxContext: 300, KvTokens: 3000);
        Assert.That(plan.ForDraft(TestConfigs.Tiny, new EngineOptions { DraftModels = ["one", "two"] }, 1000, 800_000).KvTokens, Is.EqualTo(100));
    }
}
