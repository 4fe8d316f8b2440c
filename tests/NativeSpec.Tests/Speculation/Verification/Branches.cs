using NativeSpec.Sampling;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>Takes every branch of a random procedure in turn, each with its exact weight: the procedure is run again and again, and each
/// run's decisions are scripted until the first that has not been taken yet.</summary>
internal sealed class Branches : IChance
{
    private readonly List<(int Taken, double[] Weights)> _script = [];
    private int _at;

    /// <summary>The probability of the branch that was run.</summary>
    public double Weight { get; private set; }

    /// <summary>Runs <paramref name="procedure"/> once per branch; the weights of all branches add up to 1.</summary>
    public static void ForEach(Action<Branches> procedure)
    {
        var branches = new Branches();
        do
        {
            branches._at = 0;
            branches.Weight = 1;
            procedure(branches);
        }
        while (branches.Advance());
    }

    /// <summary>The token of a row: one of the distribution that its choice describes.</summary>
    public int Choose(Chooser chooser, ReadOnlySpan<float> logits, in RowChoice choice)
    {
        var distribution = new TokenDistribution(chooser.VocabSize);
        chooser.Process(logits, choice, distribution);
        return Draw(distribution);
    }

    public void MoveTo(long position)
    {
        // A branch has no numbers that could depend on where it is.
    }

    public bool Accept(double probability) => Choose([probability, 1 - probability]) == 0;

    public int Draw(TokenDistribution distribution)
        => distribution.Ids[Choose([.. distribution.Probabilities.ToArray().Select(p => (double)p)])];

    public int Draw(ReadOnlySpan<float> weights, double total) => Choose([.. weights.ToArray().Select(w => w / total)]);

    private int Choose(double[] weights)
    {
        if (_at == _script.Count)
        {
            _script.Add((Next(weights, 0), weights));
        }

        var (taken, known) = _script[_at++];
        Weight *= known[taken];
        return taken;
    }

    private bool Advance()
    {
        while (_script.Count > 0)
        {
            var (taken, weights) = _script[^1];
            _script.RemoveAt(_script.Count - 1);
            var next = Next(weights, taken + 1);
            if (next < weights.Length)
            {
                _script.Add((next, weights));
                return true;
            }
        }

        return false;
    }

    /// <summary>The next outcome that can happen.</summary>
    private static int Next(double[] weights, int from)
    {
        while (from < weights.Length && weights[from] <= 0)
        {
            from++;
        }

        return from;
    }
}
