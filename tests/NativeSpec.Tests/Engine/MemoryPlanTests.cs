using NativeSpec.Engine;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Engine;

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
}
