using System.Numerics;

namespace NativeSpec.Speculation.Planning;

/// <summary>A bandit with two arms for requests that are served together: rounds with drafting and rounds without. It takes the arm that has
/// written faster of late, and tries the other one now and then.</summary>
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

    private readonly Arms[] _arms = [.. Enumerable.Range(0, 32).Select(_ => new Arms())]; // [⌊log₂ requests⌋]

    /// <summary>Whether drafters are asked in a round.</summary>
    /// <param name="requests">Requests that are being served, those whose prompts are being read among them.</param>
    public bool Opens(int requests) => requests <= 1 || Of(requests).Opens();

    /// <summary>Whether drafters may be asked in the round after the next: who may be has to see the next one.</summary>
    /// <param name="requests">Requests that are being served.</param>
    public bool MayOpenAfter(int requests) => requests <= 1 || Of(requests).MayOpenAfter();

    /// <summary>Learns what a round wrote.</summary>
    /// <param name="requests">Requests that were served.</param>
    /// <param name="drafted">Whether drafters were asked.</param>
    /// <param name="plainSeconds">What a forward pass for its tokens would have taken without drafting, at one token a request.</param>
    /// <param name="seconds">The time it took, drafting and learning included.</param>
    public void Observe(int requests, bool drafted, double plainSeconds, double seconds)
    {
        if (requests > 1)
        {
            Of(requests).Observe(drafted, plainSeconds, seconds);
        }
    }

    private Arms Of(int requests) => _arms[BitOperations.Log2((uint)requests)];

    /// <summary>The two arms for about one number of requests.</summary>
    private sealed class Arms
    {
        private Arm _drafting;
        private Arm _plain;
        private bool _drafts = true;      // the arm that was ahead when they were last compared
        private int _pause = 2 * Trial;   // rounds of it before the other one is tried
        private int _rounds;              // since they were compared

        public bool Opens() => _rounds < _pause ? _drafts : !_drafts;

        public bool MayOpenAfter()
        {
            var next = _rounds + 1;
            return next >= _pause + Trial || (next < _pause ? _drafts : !_drafts);
        }

        public void Observe(bool drafted, double plainSeconds, double seconds)
        {
            if (drafted)
            {
                _drafting.Add(plainSeconds, seconds);
            }
            else
            {
                _plain.Add(plainSeconds, seconds);
            }

            _rounds++;
            if (_rounds == _pause)
            {
                // The trial is about now: what this arm was long ago says little.
                (_drafts ? ref _plain : ref _drafting) = default;
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
        private SteadyMean _plainSeconds;
        private SteadyMean _seconds;

        public readonly bool IsKnown => _seconds.IsKnown;

        /// <summary>How many times as fast as forward passes without drafting.</summary>
        public readonly double Rate => _plainSeconds.Value / Math.Max(_seconds.Value, double.Epsilon);

        public void Add(double plainSeconds, double seconds)
        {
            _plainSeconds.Add(plainSeconds);
            _seconds.AddTime(seconds);
        }
    }
}
