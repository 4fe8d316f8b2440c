namespace NativeSpec.Speculation.Planning;

/// <summary>Chooses which candidates of all sequences are computed: the set that maximises what the round is expected to write less what
/// could be written in its time, sequences + Σ path probability − rate · T(nodes, context).</summary>
/// <remarks>The rate is that of the rounds before this one, drafting and all: a node that earns less than the time it takes would lower it, however poor
/// the rest of its round is. It is never below what the roots alone would give. A path's probability never grows along the path, so taking nodes in descending order keeps every chosen node's parent
/// chosen, and for each number of nodes the best set is a prefix of that order: the best number is read off the cost curve, as hopeful as what it knows allows. One node per
/// sequence is always among the choices, so speculation that does not pay is not done. With several sequences the same order shares the
/// nodes among them by marginal gain.</remarks>
internal sealed class Planner(int maxNodes)
{
    /// <summary>Added to the probability of a node that is computed whatever it costs, as long as there is room.</summary>
    public const double Wanted = 2;

    private readonly List<Candidate> _candidates = new(1024);

    /// <summary>Starts a round.</summary>
    public void Clear() => _candidates.Clear();

    /// <summary>Adds a node that may be chosen.</summary>
    /// <param name="sequence">Number of its sequence in the round.</param>
    /// <param name="node">Its number in the sequence's tree; parents have smaller numbers.</param>
    /// <param name="pathProbability">The probability that it is accepted: at most its parent's; with <see cref="Wanted"/> added where cost is
    /// not regarded.</param>
    public void Add(int sequence, int node, double pathProbability) => _candidates.Add(new Candidate(sequence, node, pathProbability));

    /// <summary>Chooses; <see cref="Chosen"/> then lists the nodes, parents first.</summary>
    /// <param name="sequences">Sequences of the round, each of which computes its root.</param>
    /// <param name="forced">Nodes that are computed anyway: roots, probes and what these hang from.</param>
    /// <param name="forcedGain">Expected tokens from those that are candidates.</param>
    /// <param name="cost">The cost curve.</param>
    /// <param name="context">Tokens that a node sees, on average over the sequences.</param>
    /// <param name="tokensPerSecond">The rate at which the engine writes, all sequences together; 0 where it is not known.</param>
    public void Choose(int sequences, int forced, double forcedGain, CostCurve cost, int context, double tokensPerSecond)
    {
        _candidates.Sort(Candidate.ByProbability);
        var gain = sequences + forcedGain;
        var rate = Math.Max(tokensPerSecond, gain / cost.HopefullyAt(forced, context));
        var (best, bestCount) = (gain - (rate * cost.HopefullyAt(forced, context)), 0);
        var most = Math.Min(_candidates.Count, maxNodes - forced);
        for (var i = 0; i < most; i++)
        {
            var isWanted = _candidates[i].PathProbability >= Wanted;
            gain += _candidates[i].PathProbability - (isWanted ? Wanted : 0);
            var surplus = gain - (rate * cost.HopefullyAt(forced + i + 1, context));
            if (surplus > best || isWanted)
            {
                (best, bestCount) = (surplus, i + 1);
            }
        }

        _candidates.RemoveRange(bestCount, _candidates.Count - bestCount);
    }

    /// <summary>The chosen nodes, most probable first, parents before their children.</summary>
    public ReadOnlySpan<Candidate> Chosen => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_candidates);

    /// <summary>A node that may be computed.</summary>
    internal readonly record struct Candidate(int Sequence, int Node, double PathProbability)
    {
        /// <summary>Descending; among equals by node, which keeps parents before children.</summary>
        public static readonly Comparison<Candidate> ByProbability = (a, b) =>
        {
            var order = b.PathProbability.CompareTo(a.PathProbability);
            order = order != 0 ? order : a.Sequence.CompareTo(b.Sequence);
            return order != 0 ? order : a.Node.CompareTo(b.Node);
        };
    }
}
