using System.Numerics;

namespace NativeSpec.Speculation.Planning;

/// <summary>A bandit with two arms for requests that are served together: rounds with drafting and rounds without. It takes the arm that has
/// written faster of late, and tries the other one now and then.</summary>
/// <remarks>
/// <para>Accounts bound what each drafter may lose of one request. Where many requests share a round a forward is bound by arithmetic, a
/// candidate costs nearly what it brings, and the allowances of all drafters of all requests add up to more than there is to gain. What a whole
/// round wrote in its time is the measure that leaves nothing out. A single request is left to the accounts: what they find out is about its own
/// text.</para>
/// <para><b>What finding out may cost.</b> Whatever drafting has lost since it was let in, a draft model's reading of the texts included, is a debt when it
/// is sent away, and it is tried again when the rounds without it have paid, each with <see cref="DrafterAccount.Allowance"/> of its time. So over any time it costs at
/// most that share and the one trial that is not paid yet. Rounds in which a draft reads what it has missed are not held against a trial, because they
/// come once; where drafting is the arm that is ahead they count, because then they come with every request.</para>
/// <para>Drafting is the better arm only with a lead, <see cref="LeastLead"/>: what a request's drafters cost before its first round and while other prompts are
/// computed is in no comparison. And a trial of drafting that is far behind ends before its time (curtailed sampling): one round in which many requests draft in vain
/// may take as long as five without.</para>
/// <para><b>What is known of other numbers of requests.</b> The more requests share a round, the less a candidate brings. So a number of requests of which nothing is known
/// begins without drafting where drafting has lost with fewer, and waits as long as if it had lost here.</para>
/// </remarks>
internal sealed class SpeculationGate
{
    /// <summary>Rounds of a trial of the arm that is behind, and of drafting where nothing is known.</summary>
    public const int Trial = 4;

    /// <summary>Rounds between two trials of the arm that is behind, at least.</summary>
    public const int LeastPause = 32;

    /// <summary>The most rounds between two trials of the rounds without drafting, which may be the better arm unseen.</summary>
    public const int LongestPause = 512;

    /// <summary>How many times as fast as rounds without it drafting has to be to be preferred.</summary>
    public const double LeastLead = 1.03;

    private const int HopelessRounds = 2;      // after so many rounds of a trial it is over
    private const double HopelessRate = 0.7;   // where drafting is slower than so many times the rounds without
    private const double GoodAcceptance = 0.9, LeastPromise = 1.05;
    private const int PromisedLevels = 4;

    private readonly Arms?[] _arms = new Arms?[32]; // [⌊log₂ requests⌋]

    /// <summary>Whether drafting could be worth a trial: whether candidates that are right nine times in ten, and cost nothing but their verification, would
    /// write a twentieth more. Where a forward is bound by arithmetic they do not, and then nothing need be tried to know it.</summary>
    /// <param name="cost">The cost curve.</param>
    /// <param name="requests">Requests that decode.</param>
    /// <param name="maxNodes">Most nodes of a round.</param>
    /// <param name="context">Tokens that a node sees, on average.</param>
    public static bool Promises(CostCurve cost, int requests, int maxNodes, int context)
    {
        var (plain, tokens, chance) = (cost.At(requests, context), 1.0, 1.0);
        for (var level = 1; level <= PromisedLevels && requests * (level + 1) <= maxNodes; level++)
        {
            chance *= GoodAcceptance;
            tokens += chance;
            if (tokens * plain >= LeastPromise * cost.At(requests * (level + 1), context))
            {
                return true;
            }
        }

        return false;
    }

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
    /// <param name="hasRead">Whether drafters read text in it that they had missed.</param>
    public void Observe(int requests, bool drafted, double plainSeconds, double seconds, bool hasRead = false)
    {
        if (requests > 1)
        {
            Of(requests).Observe(drafted, plainSeconds, seconds, hasRead);
        }
    }

    private Arms Of(int requests)
    {
        var number = BitOperations.Log2((uint)requests);
        return _arms[number] ??= new Arms(Fewer(number));
    }

    /// <summary>What is known of the next smaller number of requests of which something is.</summary>
    private Arms? Fewer(int number)
    {
        for (number--; number > 0; number--)
        {
            if (_arms[number] is { } known)
            {
                return known;
            }
        }

        return null;
    }

    /// <summary>The two arms for about one number of requests.</summary>
    private sealed class Arms
    {
        private Arm _drafting;
        private Arm _plain;
        private bool _drafts = true;      // the arm that was ahead when they were last compared
        private int _pause = Trial;       // rounds of it before the other one is tried
        private int _rounds;              // since they were compared
        private bool _isSettled;          // whether they have been compared
        private double _lost;             // seconds lost by drafting since it was let in
        private double _debt;             // seconds

        /// <summary>Two arms of which nothing is known but what became of them with fewer requests.</summary>
        public Arms(Arms? fewer)
        {
            if (fewer is { _drafts: false })
            {
                (_drafts, _isSettled, _pause, _debt) = (false, true, LeastPause, fewer._debt);
            }
        }

        private bool Tries => _rounds >= _pause && (_drafts || _debt <= 0);

        public bool Opens() => _drafts != Tries;

        public bool MayOpenAfter()
        {
            // Rounds that a draft reads in do not count, and whether a debt is paid by then is a matter of a moment: both say rather yes than no.
            var next = _rounds + 1;
            return _drafts ? next < _pause || next >= _pause + Trial : Tries || (next >= _pause && _debt <= 0);
        }

        public void Observe(bool drafted, double plainSeconds, double seconds, bool hasRead)
        {
            var (tries, catchesUp) = (Tries, hasRead && !(_drafts && _isSettled));
            if (drafted)
            {
                _lost += seconds - (plainSeconds / (_plain.IsKnown ? _plain.Rate : 1));
                if (!catchesUp)
                {
                    _drafting.Add(plainSeconds, seconds);
                }
            }
            else
            {
                _plain.Add(plainSeconds, seconds);
                _debt -= _drafts ? 0 : seconds * DrafterAccount.Allowance;
            }

            if (catchesUp)
            {
                return; // a trial is of so many rounds that say something
            }

            _rounds++;
            var isHopeless = drafted && !(_drafts && _isSettled) && _drafting.IsFarBehind(_plain);
            if (isHopeless && !tries)
            {
                _rounds = _pause; // of drafting, before anything is known of the rounds without it
            }

            if (!tries && Tries)
            {
                // The trial is about now: what this arm was long ago says little.
                (_drafts ? ref _plain : ref _drafting) = default;
                _lost = _drafts ? _lost : 0;
                _rounds = _pause;
            }

            if (!tries || (_rounds < _pause + Trial && !isHopeless))
            {
                return;
            }

            var drafts = !_plain.IsKnown || (_drafting.IsKnown && _drafting.Rate >= LeastLead * _plain.Rate);
            if (!drafts)
            {
                (_debt, _lost) = (Math.Max(_lost, 0), 0);
            }

            _pause = drafts && _drafts ? Math.Clamp(2 * _pause, LeastPause, LongestPause) : LeastPause;
            (_drafts, _isSettled, _rounds) = (drafts, true, 0);
        }
    }

    private struct Arm
    {
        private SteadyMean _plainSeconds;
        private SteadyMean _seconds;

        private int _rounds;

        public readonly bool IsKnown => _seconds.IsKnown;

        /// <summary>How many times as fast as forward passes without drafting.</summary>
        public readonly double Rate => _plainSeconds.Value / Math.Max(_seconds.Value, double.Epsilon);

        /// <summary>Whether drafting, which this is, need not be tried any longer.</summary>
        public readonly bool IsFarBehind(in Arm plain) => _rounds >= HopelessRounds && Rate < HopelessRate * (plain.IsKnown ? plain.Rate : 1);

        public void Add(double plainSeconds, double seconds)
        {
            _rounds++;
            _plainSeconds.Add(plainSeconds);
            _seconds.AddTime(seconds);
        }
    }
}
