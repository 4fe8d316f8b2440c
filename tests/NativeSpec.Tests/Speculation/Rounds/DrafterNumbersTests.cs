using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Tests.Speculation.Rounds;

public sealed class DrafterNumbersTests
{
    [Test]
    public void Take_MoreNamesThanNumbers_GivesThatOfTheLongestUnusedAndForgetsIt()
    {
        List<int> forgotten = [];
        var numbers = new DrafterNumbers(3, forgotten.Add);
        numbers.Take("engine's");
        for (var i = 0; i < 1000; i++)
        {
            numbers.Return(numbers.Take($"request's {i}"));
        }

        Assert.That(numbers.Count, Is.EqualTo(3));
        Assert.That(forgotten, Has.Count.EqualTo(998).And.All.InRange(1, 2), "the engine's is in use all the time");
        var last = numbers.Take("request's 999");
        Assert.That(numbers.Take("request's 999"), Is.EqualTo(last), "what was used last is known still");
        Assert.That(forgotten, Has.Count.EqualTo(998));
    }

    [Test]
    public void Take_WhenAllAreInUse_IsRefusedWithWhatToDo()
    {
        var numbers = new DrafterNumbers(2, _ => Assert.Fail("nothing may be forgotten"));
        numbers.Take("a");
        var b = numbers.Take("b");
        numbers.Take("b");
        numbers.Return(b);
        Assert.That(() => numbers.Take("c"), Throws.InvalidOperationException.With.Message.Contains("give those that are alike one name"));
    }

    /// <summary>A number that another drafter gets must not carry over what was learnt: neither estimates nor an account.</summary>
    [Test]
    public void Take_OfAReusedNumber_BeginsWithNothingKnown()
    {
        var core = new SpeculationCore([], new CostCurve([1], [1e-3]), 10, 8);
        var before = core.Estimates.Estimate(0, 1, 0, 0.5f);
        var old = core.Take("old");
        for (var i = 0; i < 100; i++)
        {
            core.Estimates.Observe(old, 1, 0, 0.5f, right: false);
        }

        core.Remember(1u << old, old, new DrafterAccount());
        core.Return(old);
        for (var i = 0; i < 32; i++)
        {
            core.Return(core.Take($"new {i}"));
        }

        Assert.That(core.Estimates.Estimate(old, 1, 0, 0.5f), Is.EqualTo(before));
    }
}
