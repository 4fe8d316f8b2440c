using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Rounds;

namespace NativeSpec.Tests.Speculation.Planning;

/// <summary>The promise of <see cref="DrafterAccount"/> as a theorem: over any n tokens a drafter that adds nothing costs at most
/// Start + n · Allowance and the round that overdraws; one that pays is asked; one that begins to pay comes back.</summary>
public sealed class DrafterAccountTests
{
    private const double Rate = 100; // tokens per second
    private const int Tokens = 20_000;

    private static readonly double[] Costs = [0.003, 0.05, 0.3, 1, 3, 12];

    /// <summary>Rounds in which nobody could ask it, taken in one by one or together.</summary>
    [Test]
    public void Rest_ManyTokensAtOnce_PaysTheDebtAsTheSameTokensOneByOne()
    {
        DrafterAccount together = new(), single = new();
        foreach (var account in (DrafterAccount[])[together, single])
        {
            account.Observe(1, 0, 0, 1); // the first is not charged
            account.Observe(1.9, 0, 0, 1);
            account.Observe(1.9, 0, 0, 1);
            Assert.That(account.ShouldAsk, Is.False);
        }

        var tokens = 0;
        for (; !single.ShouldAsk; tokens++)
        {
            single.Earn(1);
        }

        together.Rest(tokens - 1);
        Assert.That(together.ShouldAsk, Is.False);
        together.Rest(1);
        Assert.That(together.ShouldAsk, Is.True);
    }

    [Test]
    public void ADrafterThatAddsNothing_CostsAtMostThePromise([ValueSource(nameof(Costs))] double cost, [Values(0, 0.001, 0.05, 0.5)] double learning)
        => Assert.That(WorstExcess(new Account(), cost, learning), Is.AtMost(0));

    [Test]
    public void ADrafterThatAddsNothing_IsTriedAgainAndAgain([ValueSource(nameof(Costs))] double cost, [Values(0, 0.001, 0.05, 0.5)] double learning)
        => Assert.That(LongestRest(new Account(), cost, learning), Is.AtMost(LongestAllowed(cost, learning)));

    /// <summary>Whatever was before, and from the first round in which it is asked.</summary>
    [Test]
    public void ADrafterThatBeginsToPay_ComesBackAndStays([ValueSource(nameof(Costs))] double cost, [Values(0, 0.001, 0.05)] double learning, [Values(1, 777, 5000)] int from)
    {
        var run = new Run(new Account(), cost, learning);
        run.Write(from, adds: 0);
        var rested = 0;
        while (run.Write(1, adds: 1.01 * cost) == 0)
        {
            Assert.That(++rested, Is.AtMost(LongestAllowed(cost, learning)));
        }

        run.Write(LongestAllowed(cost, learning), adds: 1.01 * cost + learning);
        Assert.That(run.Write(1000, adds: 1.01 * cost), Is.EqualTo(1000), "asked in every round");
    }

    [Test]
    public void ADrafterThatPaysFromTheStart_IsAskedInEveryRound([ValueSource(nameof(Costs))] double cost)
        => Assert.That(new Run(new Account(), cost, 0).Write(1000, adds: cost), Is.EqualTo(1000));

    /// <summary>Copies come in bursts: on the whole it pays, three tokens in four rounds of sixteen, at half a token a round.</summary>
    [Test]
    public void ADrafterThatPaysInBursts_IsKept()
    {
        var run = new Run(new Account(), 0.5, 0);
        for (var burst = 0; burst < 100; burst++)
        {
            Assert.That(run.Write(4, adds: 3) + run.Write(12, adds: 0), Is.EqualTo(16), $"burst {burst}");
        }
    }

    /// <summary>What it has saved bridges a bad stretch, and no more than that: after Capacity / cost rounds it rests.</summary>
    [Test]
    public void ADrafterThatStopsPaying_LosesWhatItSavedAndNoMore()
    {
        var run = new Run(new Account(), 0.5, 0);
        run.Write(1000, adds: 2);
        var before = run.Spent;
        run.Write(Tokens, adds: 0);
        Assert.That(run.Spent - before, Is.InRange(DrafterAccount.Capacity, DrafterAccount.Capacity + (Tokens * DrafterAccount.Allowance) + 0.5));
    }

    [Test]
    public void ARestingDrafter_WhoseLearningIsCheap_LearnsFromEveryRound_AndADearOneTakesHalfOfTheAllowance()
    {
        var (cheap, dear) = (new Run(new Account(), 3, 0.002), new Run(new Account(), 3, 0.5));
        Assert.That(cheap.Write(4000, adds: 0) + cheap.Learnt, Is.EqualTo(4000));
        dear.Write(4000, adds: 0);
        Assert.That(dear.Learnt * 0.5, Is.InRange(2, (0.5 * 4000 * DrafterAccount.Allowance) + (0.5 * dear.Asked)), "and what comes before it is asked");
    }

    /// <summary>The very first call compiles, the next one may be disturbed when nothing is known, and so may any later one.</summary>
    [Test]
    public void ADisturbedRound_CountsAsASlowOne()
    {
        var account = new DrafterAccount();
        account.Observe(1e6, 0, 0, Rate);
        account.Observe(1e6, 0, 0, Rate);
        account.Earn(1);
        Assert.That(account.ShouldAsk, "no more than the start is gone");

        account = new DrafterAccount();
        for (var round = 0; round < 20; round++)
        {
            account.Observe(0.1 / Rate, 1, 1, Rate);
            account.Earn(2);
        }

        account.Observe(1e6, 0, 0, Rate);
        Assert.That(account.ShouldAsk);
        Assert.That(account.SecondsPerRound * Rate, Is.LessThan(0.13), "four usual ones among sixteen");
    }

    /// <summary>What one of many requests loses, all lose: so they have one start between them, and one saving.</summary>
    [TestCase(1)]
    [TestCase(16)]
    public void RequestsServedTogether_ShareTheStartAndTheSavings(int sharing)
    {
        var lost = 0.0;
        for (var request = 0; request < sharing; request++)
        {
            lost += Spend(new DrafterAccount(sharing));
        }

        Assert.That(lost, Is.InRange(DrafterAccount.Start - 1e-9, DrafterAccount.Start + (0.1 * sharing)), "the start, and for each the round that overdraws");

        var rich = new DrafterAccount();
        for (var round = 0; round < 100; round++)
        {
            rich.Observe(0.1 / Rate, 2, 2, Rate);
            rich.Earn(3);
        }

        lost = Enumerable.Range(0, sharing).Sum(_ => Spend(rich.Clone(sharing)));
        Assert.That(lost, Is.InRange(DrafterAccount.Capacity - 1e-9, DrafterAccount.Capacity + (0.1 * sharing)));

        static double Spend(DrafterAccount account)
        {
            account.Observe(0, 0, 0, Rate); // the first call is free
            var lost = 0.0;
            for (; account.ShouldAsk; lost += 0.1)
            {
                account.Observe(0.1 / Rate, 0, 0, Rate);
            }

            return lost;
        }
    }

    [Test]
    public void SurplusAlone_IsWhatItIsWorthAloneLessItsTime()
    {
        var account = new DrafterAccount();
        for (var round = 0; round < 200; round++)
        {
            account.Observe(0.5 / Rate, tokens: 0.6, alone: 2, Rate);
        }

        Assert.That(account.SurplusAlone(Rate), Is.EqualTo(1.5).Within(0.01));
        Assert.That(account.TokensPerRound, Is.EqualTo(0.6).Within(0.01));
    }

    /// <summary>What a drafter is worth depends on who proposes besides: each set of drafters has accounts of its own.</summary>
    [Test]
    public void AccountOf_TheSameDrafterInAnotherSet_BeginsAnew()
    {
        var core = new SpeculationCore([], new CostCurve([1, 2], [1, 1.1]), 16, 8);
        var account = core.AccountOf(set: 0b11, number: 1);
        for (var round = 0; account.ShouldAsk; round++)
        {
            account.Observe(1 / Rate, 0, 0, Rate);
            account.Earn(1);
        }

        core.Remember(0b11, 1, account);
        Assert.That(core.AccountOf(0b11, 1).ShouldAsk, Is.False, "it rests where it did not pay");
        Assert.That(core.AccountOf(0b10, 1).ShouldAsk, Is.True, "alone it has not been tried");
        Assert.That(core.AccountOf(0b11, 0).ShouldAsk, Is.True, "nor has the other one");
    }

    /// <summary>The tests above can tell: policies that seem as good break one half of the promise or the other.</summary>
    [Test]
    public void Mutants_BreakThePromise()
    {
        Assert.That(WorstExcess(new AlwaysAsks(), 0.3, 0), Is.Positive, "always asked");
        Assert.That(WorstExcess(new ForgetsDebt(), 3, 0), Is.Positive, "a debt that is forgotten");
        Assert.That(WorstExcess(new LearnsForNothing(), 0.3, 0.05), Is.Positive, "learning that is not charged");
        Assert.That(WorstExcess(new PausesLikeAClock(), 3, 0), Is.Positive, "pauses that do not follow the cost");
        Assert.That(LongestRest(new NeverReturns(), 0.3, 0), Is.GreaterThan(LongestAllowed(0.3, 0)), "no allowance");
        Assert.That(LongestRest(new LearnsAllAway(), 3, 0.05), Is.GreaterThan(LongestAllowed(3, 0.05)), "learning that takes all of the allowance");
    }

    /// <summary>By how much the cost exceeds the promise where it does so most. The first two calls count as they are charged: nothing, because
    /// the code is compiled, and Start at most, because nobody knows yet whether such a time is usual.</summary>
    private static double WorstExcess(Account account, double cost, double learning)
    {
        var (run, worst) = (new Run(account, cost, learning), double.NegativeInfinity);
        for (var tokens = 1; tokens <= Tokens; tokens++)
        {
            run.Write(1, adds: 0);
            worst = Math.Max(worst, run.Spent - DrafterAccount.Start - (tokens * DrafterAccount.Allowance) - (cost + learning) - 1e-9);
        }

        return worst;
    }

    private static int LongestRest(Account account, double cost, double learning)
    {
        var (run, longest, rests) = (new Run(account, cost, learning), 0, 0);
        for (var tokens = 1; tokens <= Tokens; tokens++)
        {
            rests = run.Write(1, adds: 0) == 0 ? rests + 1 : 0;
            longest = Math.Max(longest, rests);
        }

        return longest;
    }

    /// <summary>The debt of a round, of which the learning before and after it is a part, paid by half of the allowance.</summary>
    private static int LongestAllowed(double cost, double learning) => (int)Math.Ceiling(2 * (cost + (2 * learning)) / DrafterAccount.Allowance) + 1;

    /// <summary>A drafter and its account in rounds that write one token without it, as the engine settles them.</summary>
    private sealed class Run(Account account, double cost, double learning)
    {
        private bool _asks;

        public double Spent { get; private set; }

        public int Asked { get; private set; }

        public int Learnt { get; private set; }

        /// <summary>Writes so many rounds in which the drafter adds so much if it is asked; returns in how many it was, or would be.</summary>
        public int Write(int rounds, double adds)
        {
            var asked = 0;
            for (var round = 0; round < rounds; round++)
            {
                asked += _asks || Asked == 0 ? 1 : 0;
                if (_asks || Asked == 0)
                {
                    Spent += Asked++ switch { 0 => 0, 1 => Math.Min(cost, DrafterAccount.Start), _ => cost };
                    account.Observe(cost / Rate, adds);
                    account.Earn(1);
                    _asks = account.ShouldAsk;
                    continue;
                }

                account.Earn(1);
                _asks = account.ShouldAsk;
                if (_asks || account.CanLearn)
                {
                    Learnt++;
                    Spent += learning;
                    account.ObserveLearning(learning / Rate);
                }
            }

            return asked;
        }
    }

    /// <summary>The production account; the mutants change one thing each.</summary>
    private class Account
    {
        protected DrafterAccount Real { get; } = new();

        public virtual bool ShouldAsk => Real.ShouldAsk;

        public virtual bool CanLearn => Real.CanLearn(Rate);

        public virtual void Observe(double seconds, double tokens) => Real.Observe(seconds, tokens, tokens, Rate);

        public virtual void ObserveLearning(double seconds) => Real.ObserveLearning(seconds, Rate);

        public virtual void Earn(int tokens) => Real.Earn(tokens);
    }

    private sealed class AlwaysAsks : Account
    {
        public override bool ShouldAsk => true;
    }

    private sealed class NeverReturns : Account
    {
        public override void Earn(int tokens) => Real.Earn(0);
    }

    private sealed class ForgetsDebt : Account
    {
        public override void Observe(double seconds, double tokens) => Real.Observe(Math.Min(seconds, DrafterAccount.Start / Rate), tokens, tokens, Rate);
    }

    private sealed class LearnsForNothing : Account
    {
        public override bool CanLearn => true;

        public override void ObserveLearning(double seconds) => Real.ObserveLearning(0, Rate);
    }

    private sealed class LearnsAllAway : Account
    {
        private double _earned;

        public override bool CanLearn => _earned > 0;

        public override void Earn(int tokens)
        {
            _earned += tokens * DrafterAccount.Allowance;
            Real.Earn(tokens);
        }

        public override void ObserveLearning(double seconds)
        {
            _earned -= seconds * Rate;
            Real.ObserveLearning(seconds, Rate);
        }
    }

    private sealed class PausesLikeAClock : Account
    {
        private int _rests;

        public override bool ShouldAsk => _rests >= 128 || Real.ShouldAsk;

        public override void Earn(int tokens)
        {
            _rests = ShouldAsk ? 0 : _rests + 1;
            Real.Earn(tokens);
        }
    }
}
