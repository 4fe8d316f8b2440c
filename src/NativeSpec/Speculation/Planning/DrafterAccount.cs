namespace NativeSpec.Speculation.Planning;

/// <summary>A token bucket that says whether a drafter can afford to be asked. What the drafter adds to the text flows in, and a small
/// allowance per token written; what its time costs flows out. It is asked while there is something in the bucket.</summary>
/// <remarks>
/// <para>All is reckoned in tokens: a second costs what is written in a second. So the promise is a theorem: the balance begins at
/// <see cref="Start"/>, and a drafter that adds nothing is asked only above zero; so over n tokens it is charged at most
/// Start + n · <see cref="Allowance"/> and the one round that overdraws the account, learning included. One that adds more than it costs is asked always. One that
/// rests is asked again when the allowance has paid its debt, 240 · c tokens after a round that cost c, and if it pays by then it lives on what it
/// adds. Savings, at most <see cref="Capacity"/>, bridge bad stretches.</para>
/// <para>Learning while it rests takes half of the allowance at most, so that the other half brings it back. Its very first call compiles its
/// code, and is not charged; the second one is charged <see cref="Start"/> at most, because nobody knows yet whether such a time is usual. The first round of a request or
/// after a rest may hold a reading of the text so far, and says nothing about the rounds to come. What one request has found out is where the next
/// one begins.</para>
/// </remarks>
internal sealed class DrafterAccount
{
    /// <summary>The fill rate, in tokens per token written: the part of the text's time that a drafter which adds nothing may take.</summary>
    public const double Allowance = 1.0 / 240;

    /// <summary>What is in the bucket at first, in tokens: a drafter's chance to show what it gives. Requests that are served together share it,
    /// because the time that one of them takes is lost to all.</summary>
    public const double Start = 1.5;

    /// <summary>The bucket's capacity, in tokens: what a good drafter may lose in a bad stretch before it rests.</summary>
    public const double Capacity = 8;

    private double _balance; // tokens
    private double _forLearning;     // tokens of the allowance set aside for learning
    private SteadyMean _added;       // tokens a round
    private SteadyMean _alone;       // tokens a round
    private SteadyMean _seconds;     // a round
    private SteadyMean _learning;    // seconds of learning from a round in which it was not asked
    private bool _wasCalled;
    private bool _catchesUp = true;

    /// <summary>The account of a drafter of which nothing is known.</summary>
    /// <param name="sharing">Requests that begin with what is given at first, or find it out at the same time: they share it.</param>
    public DrafterAccount(int sharing = 1) => _balance = Start / Math.Max(sharing, 1);

    /// <summary>What it adds to a round, on average: tokens, less what verifying its candidates costs.</summary>
    public double TokensPerRound => _added.Value;

    /// <summary>The time a round takes it, on average.</summary>
    public double SecondsPerRound => _seconds.Value;

    /// <summary>Whether to ask it in the next round.</summary>
    public bool ShouldAsk => _balance > 0;

    /// <summary>What a round would gain by it if it were the only drafter, its time counted, in tokens.</summary>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public double SurplusAlone(double tokensPerSecond) => _alone.Value - (_seconds.Value * tokensPerSecond);

    /// <summary>An account that goes on where this one is, for another request.</summary>
    /// <param name="sharing">Requests that write at the same time: what was saved is saved once, so each has its part of it.</param>
    public DrafterAccount Clone(int sharing = 1)
    {
        var clone = (DrafterAccount)MemberwiseClone();
        clone._balance = Math.Min(_balance, Capacity / Math.Max(sharing, 1));
        clone._catchesUp = true;
        return clone;
    }

    /// <summary>Settles a round in which it was asked.</summary>
    /// <param name="seconds">The time it took, that of its probes included.</param>
    /// <param name="tokens">What it added to those more useful than itself, in tokens.</param>
    /// <param name="alone">What it would have been worth alone.</param>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public void Observe(double seconds, double tokens, double alone, double tokensPerSecond)
    {
        if (_wasCalled)
        {
            _added.Add(tokens);
            _alone.Add(alone);
            _balance += tokens - Cost(_seconds, seconds, tokensPerSecond);
            if (!_catchesUp || !_seconds.IsKnown)
            {
                _seconds.AddTime(seconds);
            }
        }

        (_wasCalled, _catchesUp) = (true, false);
    }

    /// <summary>Whether it can afford to learn from a round in which it was not asked.</summary>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public bool CanLearn(double tokensPerSecond) => _forLearning >= _learning.Value * tokensPerSecond;

    /// <summary>Charges it for learning from a round in which it was not asked.</summary>
    /// <param name="seconds">The time that took.</param>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public void ObserveLearning(double seconds, double tokensPerSecond)
    {
        if (_wasCalled)
        {
            _balance -= Cost(_learning, seconds, tokensPerSecond);
            _learning.AddTime(seconds);
        }

        _forLearning = 0;
    }

    /// <summary>Fills in the allowance for the tokens of a round, whether it was asked or not. After this <see cref="ShouldAsk"/> holds for
    /// the next round.</summary>
    public void Earn(int tokens)
    {
        _balance = Math.Min(_balance + (tokens * Allowance), Capacity);
        _forLearning += tokens * Allowance / 2;
        _catchesUp |= !ShouldAsk;
    }

    /// <summary>The same for rounds in which nobody could ask it: it has missed what they wrote.</summary>
    public void Rest(int tokens)
    {
        Earn(tokens);
        _catchesUp = true;
    }

    private static double Cost(in SteadyMean usual, double seconds, double tokensPerSecond)
        => usual.IsKnown ? usual.Counted(seconds) * tokensPerSecond : Math.Min(seconds * tokensPerSecond, Start);
}
