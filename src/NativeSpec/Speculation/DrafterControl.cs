namespace NativeSpec.Speculation;

/// <summary>Decides from measurements whether a drafter that takes time is worth asking. One that is not is asked again now and then, more
/// and more rarely, so that it comes back when the text suits it and costs next to nothing until then.</summary>
internal sealed class DrafterControl
{
    private const double Learning = 0.1;
    private const int TrialRounds = 4;
    private const int LongestPause = 256;

    private double _secondsPerRound;
    private double _tokensPerRound;
    private int _asked;
    private int _pause = 8;
    private int _pausedFor;

    /// <summary>Its part of a round's accepted tokens, on average.</summary>
    public double TokensPerRound => _tokensPerRound;

    /// <summary>Whether to ask it in this round.</summary>
    /// <param name="tokensPerSecond">The rate at which the engine writes.</param>
    public bool ShouldAsk(double tokensPerSecond)
    {
        if (_pausedFor > 0)
        {
            _pausedFor--;
            return false;
        }

        if (_asked < TrialRounds || _tokensPerRound >= _secondsPerRound * tokensPerSecond)
        {
            return true;
        }

        _pausedFor = _pause;
        _pause = Math.Min(2 * _pause, LongestPause);
        _asked = 0;
        return false;
    }

    /// <summary>Learns what a round gave.</summary>
    /// <param name="seconds">The time it took.</param>
    /// <param name="tokens">Its part of the accepted tokens: those that several had proposed are shared among them.</param>
    public void Observe(double seconds, double tokens)
    {
        // The first rounds after a pause count fully: what was learnt before it is old.
        var weight = Math.Max(Learning, 1.0 / (_asked + 1));
        _secondsPerRound += weight * (seconds - _secondsPerRound);
        _tokensPerRound += weight * (tokens - _tokensPerRound);
        _asked++;
        if (_asked > TrialRounds && tokens > 0)
        {
            _pause = 8;
        }
    }
}
