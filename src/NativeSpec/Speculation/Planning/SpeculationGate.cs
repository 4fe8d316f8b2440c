using System.Numerics;

namespace NativeSpec.Speculation.Planning;

/// <summary>A bandit with two arms for requests that are served together: rounds with drafting and rounds without. It takes the arm that has
/// written faster of late, and tries the other one now and then.</summary>
/// <remarks>
/// <para>Accounts bound what each drafter may lose of one request. Where many requests share a round a forward is bound by arithmetic, a
/// candidate costs nearly what it brings, and the allowances of all drafters of all requests add up to more than there is to gain. What a whole
/// round wrote in its time is the measure that leaves nothing out. A single request is left to the accounts: what they find out is about its own
/// text.</para>
/// <para><b>When it is tried first.</b> <see cref="PromiseOf"/> reckons from the cost curve, and from what drafting does for single requests, whether it could pay for many.
/// Where it could not, it is never tried. Where it likely does, it is tried at once, on credit. In between the rounds without it pay for the first trial as they do for later ones: so a
/// short burst of requests loses nothing to finding out.</para>
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
/// <param name="cost">The cost curve.</param>
/// <param name="maxNodes">Most nodes of a round.</param>
internal sealed class SpeculationGate(CostCurve cost, int maxNodes)
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
    private const double Generous = 1.5;       // an ideal this good leaves something to a drafter that gives half of it
    private const int PromisedLevels = 4;

    private readonly Arms?[] _arms = new Arms?[32]; // [⌊log₂ requests⌋]

    // Of rounds with drafting of a request that is alone.
    private SteadyMean _tokens;
    private SteadyMean _nodes;
    private SteadyMean _drafting; // time outside of the forward, in forwards of one node

    /// <summary>Whether drafting could pay for requests that decode together.</summary>
    /// <remarks>Each is taken to have a chain of candidates that are right with the same chance (Leviathan et al., 2023). Ideal candidates are right nine times in ten and cost
    /// nothing but their verification: where a forward is bound by arithmetic even they bring nothing. What single requests show of the real ones is their
    /// chance and their cost, which is taken to grow with the requests as a forward does.</remarks>
    /// <param name="requests">Requests that decode.</param>
    /// <param name="context">Tokens that a node sees, on average.</param>
    public Promise PromiseOf(int requests, int context)
    {
        var ideal = Ideal(requests, context);
        return ideal < LeastPromise ? Promise.None
            : _nodes.IsKnown ? (BestOf(requests, context, ChanceAlone(), Math.Max(_nodes.Value - 1, 1), _drafting.Value) >= LeastPromise ? Promise.Likely : Promise.Unproven)
            : ideal >= Generous ? Promise.Likely : Promise.Unproven;
    }

    /// <summary>Whether drafters are asked in a round, and whether they may be in the next one.</summary>
    /// <param name="served">Requests that are being served, those whose prompts are being read among them.</param>
    /// <param name="decoding">Those that decode in this round.</param>
    /// <param name="context">Tokens that a node sees, on average.</param>
    public GateAnswer Ask(int served, int decoding, int context)
        => served <= 1 ? new GateAnswer(true, true, true)
        : decoding > 1 && Ideal(decoding, context) < LeastPromise ? default
        : _arms[BitOperations.Log2((uint)served)] is { IsSettled: true } known ? known.Ask() // what was found out needs no promise
        : Ask(served, PromiseOf(served, context));

    /// <summary>The same for requests that are served together with what drafting promises for them.</summary>
    internal GateAnswer Ask(int served, Promise promise) => Of(served, promise).Ask();

    /// <summary>Learns from a round with drafting of a request that was alone.</summary>
    /// <param name="tokens">What it wrote.</param>
    /// <param name="nodes">What it computed, the root included.</param>
    /// <param name="draftingSeconds">Its time outside of the forward.</param>
    /// <param name="context">Tokens that a node saw.</param>
    public void ObserveAlone(int tokens, int nodes, double draftingSeconds, int context)
    {
        _tokens.Add(tokens);
        _nodes.Add(nodes);
        _drafting.AddTime(draftingSeconds / cost.At(1, context));
    }

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
            _arms[BitOperations.Log2((uint)requests)]?.Observe(drafted, plainSeconds, seconds, hasRead);
        }
    }

    private double Ideal(int requests, int context) => BestOf(requests, context, GoodAcceptance, PromisedLevels, drafting: 0);

    /// <summary>The most that candidates could bring, as a factor of the rate without: of 1, 2, … candidates a request the best number.</summary>
    /// <param name="requests">Requests that decode.</param>
    /// <param name="context">Tokens that a node sees, on average.</param>
    /// <param name="chance">The chance of each candidate, those before it given.</param>
    /// <param name="levels">How many the drafters propose.</param>
    /// <param name="drafting">What proposing so many takes one request, in forwards of one node.</param>
    private double BestOf(int requests, int context, double chance, double levels, double drafting)
    {
        var (plain, tokens, path, best) = (cost.At(requests, context), 1.0, 1.0, 0.0);
        for (var level = 1; level <= Math.Ceiling(levels) && requests * (level + 1) <= maxNodes; level++)
        {
            path *= chance;
            tokens += path;
            best = Math.Max(best, tokens * plain / (cost.At(requests * (level + 1), context) + (drafting * plain * Math.Min(level / levels, 1))));
        }

        return best;
    }

    /// <summary>The chance of a candidate that makes a chain of as many write as much as a single request does: 1 + c + c² + … = tokens, by bisection.</summary>
    private double ChanceAlone()
    {
        var (low, high) = (0.0, 1.0);
        for (var i = 0; i < 12; i++)
        {
            var chance = (low + high) / 2;
            var tokens = (1 - Math.Pow(chance, Math.Max(_nodes.Value, 2))) / (1 - chance);
            (low, high) = tokens < _tokens.Value ? (chance, high) : (low, chance);
        }

        return low;
    }

    private Arms Of(int requests, Promise promise)
    {
        var number = BitOperations.Log2((uint)requests);
        var arms = _arms[number] ??= new Arms(Fewer(number), promise, PriceOf(requests));
        arms.Regard(promise);
        return arms;
    }

    /// <summary>Seconds that a first trial loses where it brings nothing: the verification of ideal candidates, and drafting.</summary>
    private double PriceOf(int requests)
    {
        var (plain, nodes) = (cost.At(requests, 0), Math.Max(Math.Min(requests * (1 + PromisedLevels), maxNodes), requests));
        return Trial * (cost.At(nodes, 0) - plain + (_drafting.IsKnown ? _drafting.Value * plain : cost.At(1, 0)));
    }

    /// <summary>What was found out for the next smaller number of requests of which something was.</summary>
    private Arms? Fewer(int number)
    {
        for (number--; number > 0; number--)
        {
            if (_arms[number] is { IsSettled: true } known)
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
        private bool _tries;              // the other one, now
        private bool _mayOpen;            // what drafters were told of the next round
        private int _pause = Trial;       // rounds of it before the other one is tried
        private int _rounds;              // since they were compared
        private double _lost;             // seconds lost by drafting since it was let in
        private double _debt;             // seconds

        /// <summary>Two arms of which nothing is known but what became of them with fewer requests, and what drafting promises.</summary>
        public Arms(Arms? fewer, Promise promise, double price)
        {
            if (fewer is { _drafts: false })
            {
                (_drafts, IsSettled, _pause, _debt) = (false, true, LeastPause, fewer._debt);
            }
            else if (promise != Promise.Likely)
            {
                (_drafts, _pause, _debt) = (false, LeastPause, price);
            }
        }

        /// <summary>Whether they have been compared.</summary>
        public bool IsSettled { get; private set; }

        /// <summary>What has not been compared, and likely pays by now, is tried on credit.</summary>
        public void Regard(Promise promise) => _debt = !IsSettled && promise == Promise.Likely ? 0 : _debt;

        public GateAnswer Ask()
        {
            // Rounds that a draft reads in do not count: rather yes than no. A trial of drafting begins only where drafters were told so, who have to see the round before.
            var next = _rounds + 1;
            _mayOpen = _drafts ? next < _pause || next >= _pause + Trial : _tries || (next >= _pause && _debt <= 0);
            return new GateAnswer(_drafts != _tries, _mayOpen, true);
        }

        public void Observe(bool drafted, double plainSeconds, double seconds, bool hasRead)
        {
            var catchesUp = hasRead && !(_drafts && IsSettled);
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
            var isHopeless = drafted && !(_drafts && IsSettled) && _drafting.IsFarBehind(_plain);
            if (!_tries)
            {
                _rounds = isHopeless ? _pause : _rounds; // of drafting, before anything is known of the rounds without it
                _tries = _rounds >= _pause && (_drafts || (_debt <= 0 && _mayOpen));
                if (_tries)
                {
                    // The trial is about now: what this arm was long ago says little.
                    (_drafts ? ref _plain : ref _drafting) = default;
                    _lost = _drafts ? _lost : 0;
                    _rounds = _pause;
                }

                return;
            }

            if (_rounds < _pause + Trial && !isHopeless)
            {
                return;
            }

            var drafts = !_plain.IsKnown || (_drafting.IsKnown && _drafting.Rate >= LeastLead * _plain.Rate);
            if (!drafts)
            {
                (_debt, _lost) = (Math.Max(_lost, 0), 0);
            }

            _pause = drafts && _drafts ? Math.Clamp(2 * _pause, LeastPause, LongestPause) : LeastPause;
            (_drafts, _tries, IsSettled, _rounds) = (drafts, false, true, 0);
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

/// <summary>What the gate says of a round.</summary>
/// <param name="Opens">Whether drafters are asked in it.</param>
/// <param name="MayOpenAfter">Whether they may be in the next one: who may be has to see this one.</param>
/// <param name="Decides">Whether there was anything to decide; else the round is no evidence.</param>
internal readonly record struct GateAnswer(bool Opens, bool MayOpenAfter, bool Decides);

/// <summary>What drafting promises for requests that decode together.</summary>
internal enum Promise
{
    /// <summary>Nothing, however good it is.</summary>
    None,

    /// <summary>Too little, or too little is known, to lose time on a trial that nothing has paid for.</summary>
    Unproven,

    /// <summary>A gain, by all that is known.</summary>
    Likely,
}
