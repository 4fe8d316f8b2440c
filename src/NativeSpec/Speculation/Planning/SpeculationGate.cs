namespace NativeSpec.Speculation.Planning;

/// <summary>A bandit with two arms for requests that are served together: rounds with drafting and rounds without. It takes the arm that has
/// written more tokens a second of late, and tries the other one now and then.</summary>
/// <remarks>Accounts bound what each drafter may lose of one request. Where many requests share a round a forward is bound by arithmetic, a
/// candidate costs nearly what it brings, and the allowances of all drafters of all requests add up to more than there is to gain. What a whole
/// round wrote in its time is the measure that leaves nothing out. A single request is left to the accounts: what they find out is about its own
/// text.</remarks>
internal sealed class SpeculationGate
{
    /// <summary>Rounds of a trial of the arm that is behind.</summary>
    public const int Trial = 4;

    /// <summary>Rounds between two trials of the arm that is behind, at first; twice as many after each that it loses.</summary>
    public const int FirstPause = 32;

    /// <summary>The most rounds between two trials.</summary>
    public const int LongestPause = 512;

    private readonly List<Arms> _arms = []; // [sequences]

    /// <summary>Whether drafters are asked in a round.</summary>
    /// <param name="sequences">Sequences that it decodes.</param>
    public bool Opens(int sequences) => sequences <= 1 || Of(sequences).Opens();

    /// <summary>Learns what a round wrote.</summary>
    /// <param name="sequences">Sequences that it decoded.</param>
    /// <param name="drafted">Whether drafters were asked.</param>
    /// <param name="tokens">Tokens that it wrote.</param>
    /// <param name="seconds">The time it took, drafting and learning included.</param>
    public void Observe(int sequences, bool drafted, int tokens, double seconds)
    {
        if (sequences > 1)
        {
            Of(sequences).Observe(drafted, tokens, seconds);
        }
    }

    private Arms Of(int sequences)
    {
        while (_arms.Count <= sequences)
        {
            _arms.Add(new Arms());
        }

        return _arms[sequences];
    }

    /// <summary>The two arms for one number of sequences.</summary>
    private sealed class Arms
    {
        private Arm _drafting;
        private Arm _plain;
        private bool _drafts = true;      // the arm that was ahead when they were last compared
        private int _pause = 2 * Trial;   // rounds of it before the other one is tried
        private int _rounds;              // since they were compared

        public bool Opens() => _rounds < _pause ? _drafts : !_drafts;

        public void Observe(bool drafted, int tokens, double seconds)
        {
            if (drafted)
            {
                _drafting.Add(tokens, seconds);
            }
            else
            {
                _plain.Add(tokens, seconds);
            }

            _rounds++;
            if (_rounds == _pause)
            {
                // The trial is about now: what this arm was long ago says little.
                (_drafting, _plain) = _drafts ? (_drafting, default) : (default, _plain);
            }

            if (_rounds < _pause + Trial)
            {
                return;
            }

            var drafts = !_plain.IsKnown || (_drafting.IsKnown && _drafting.Rate >= _plain.Rate);
            _pause = drafts == _drafts ? Math.Clamp(2 * _pause, FirstPause, LongestPause) : FirstPause;
            (_drafts, _rounds) = (drafts, 0);
        }
    }

    private struct Arm
    {
        private SteadyMean _tokens;
        private SteadyMean _seconds;

        public readonly bool IsKnown => _seconds.IsKnown;

        public readonly double Rate => _tokens.Value / Math.Max(_seconds.Value, double.Epsilon);

        public void Add(int tokens, double seconds)
        {
            _tokens.Add(tokens);
            _seconds.AddTime(seconds);
        }
    }
}
