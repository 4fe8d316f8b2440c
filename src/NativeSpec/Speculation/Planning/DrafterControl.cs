namespace NativeSpec.Speculation.Planning;

/// <summary>Decides from measurements whether a drafter that takes time is worth asking. One that is not is asked again now and then, more
/// and more rarely, so that it comes back when the text suits it and costs next to nothing until then.</summary>
/// <remarks>
/// <para>What a trial has lost, in tokens that could have been written meanwhile, sets how long the pause after it is: so in the long run a
/// drafter that never gives anything costs 1 token in <see cref="TokensPerLostToken"/>. The first pauses are shorter, because little is known
/// in the beginning, also of the others, and after a good time a bad stretch need not last. What a drafter has gained of late is saved up, as
/// far as that goes, and set off against losses: who pays on the whole stays. A trial goes on until a quarter of a token is lost, since what costs
/// little has long to show what it gives: copies, say, come in bursts.</para>
/// <para>A round that took many times longer than usual was disturbed, and counts as a slow one; a drafter's very first compiles its code, and
/// does not count. The first round of a trial or a request may hold a draft model's reading of the text so far, which is spent once whatever is
/// decided; it says nothing about the rounds to come. What one request has found out is where the next one begins.</para>
/// </remarks>
internal sealed class DrafterControl
{
    private const double Learning = 0.05;
    private const int TrialRounds = 4;
    private const int LongestTrial = 20;
    private const double TrialLoss = 0.25;
    private const double MostLost = 1.5;
    private const double TokensPerLostToken = 240;
    private const double UsualPause = 128;
    private const double FirstPause = 16;
    private const double PauseGrowth = 4;
    private const double MostSaved = 8;
    private const double MostOfUsual = 4;

    private double _tokensPerRound;
    private double _tokensAlone;
    private double _lost;
    private int _asked;
    private int _trial = TrialRounds;
    private int _timed;
    private bool _catchesUp = true;
    private double _pause = FirstPause;
    private double _pausedFor;

    /// <summary>What it adds to a round, on average: tokens, less what verifying its candidates costs.</summary>
    public double TokensPerRound => _tokensPerRound;

    /// <summary>The time a round takes it, on average.</summary>
    public double SecondsPerRound { get; private set; }

    /// <summary>How much of the time it may learn while it rests.</summary>
    public LearningAllowance Allowance { get; private set; } = new();

    /// <summary>What a round would gain by it if it were the only drafter, its time counted, in tokens.</summary>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public double SurplusAlone(double tokensPerSecond) => _tokensAlone - (SecondsPerRound * tokensPerSecond);

    /// <summary>A control that goes on where this one is.</summary>
    public DrafterControl Clone()
    {
        var clone = (DrafterControl)MemberwiseClone();
        clone._catchesUp = true;
        clone.Allowance = Allowance.Clone();
        return clone;
    }

    /// <summary>Whether to ask it in this round.</summary>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public bool ShouldAsk(double tokensPerSecond)
    {
        if (_pausedFor > 0)
        {
            _pausedFor--;
            return false;
        }

        var isTrial = _asked < _trial && (_timed == 0 || _lost < MostLost);
        if (isTrial || _tokensPerRound >= SecondsPerRound * tokensPerSecond || _lost < TrialLoss)
        {
            return true;
        }

        _pausedFor = Math.Min(_pause, Math.Max(TokensPerLostToken * _lost, UsualPause));
        _pause *= PauseGrowth;
        (_asked, _trial, _timed, _lost, _catchesUp) = (0, TrialRounds, 0, 0, true);
        return false;
    }

    /// <summary>Learns what a round gave.</summary>
    /// <param name="seconds">The time it took.</param>
    /// <param name="tokens">What it added to those more useful than itself, in tokens.</param>
    /// <param name="alone">What it would have been worth alone.</param>
    /// <param name="wasRight">Whether it had proposed the next token, computed or not. Where it was wrong for long the planner computes
    /// nothing of it, so being right is all that a trial can show; then it goes on until the planner has taken notice.</param>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public void Observe(double seconds, double tokens, double alone, bool wasRight, double tokensPerSecond)
    {
        var isFirst = SecondsPerRound == 0;
        seconds = isFirst || _catchesUp ? seconds : Math.Min(seconds, MostOfUsual * SecondsPerRound);
        _trial += wasRight && _trial < LongestTrial ? 1 : 0;
        // The first rounds after a pause count fully: what was learnt before it is old.
        var weight = Math.Max(Learning, 1.0 / (_asked + 1));
        _tokensPerRound += weight * (tokens - _tokensPerRound);
        _tokensAlone += weight * (alone - _tokensAlone);
        if (!_catchesUp || isFirst)
        {
            SecondsPerRound += Math.Max(Learning, 1.0 / (_timed + 1)) * (seconds - SecondsPerRound);
            _timed += _catchesUp ? 0 : 1;
        }

        _catchesUp = false;
        _lost = isFirst ? 0 : Math.Max(_lost + (seconds * tokensPerSecond) - tokens, -MostSaved);
        _asked++;
        if (_lost <= -MostSaved)
        {
            _pause = FirstPause;
        }
    }
}
