namespace NativeSpec.Speculation.Planning;

/// <summary>How likely a proposal is right, given that its parent is, whatever the other drafters say: each drafter's confidence, calibrated
/// online by what became of its proposals.</summary>
/// <remarks>
/// <para>The calibration is a curve of straight lines between knots in the logit of the confidence (the adaptive probability map of context mixing
/// compressors, Mahoney 2005), one curve for each rank 0, 1, 2 or more and for depth 1 and beyond. A knot counts the cases near it, by
/// their nearness; what it has not seen is as likely as the drafter says. Proposals without confidence have one count in place of a curve.</para>
/// <para>Counts fade, so that the curve follows the text. What several drafters say about a node together is <see cref="LogisticMixer"/>'s to
/// judge.</para>
/// </remarks>
internal sealed class AcceptanceEstimates(int drafters)
{
    /// <summary>The logit of the last knot, 0.9975; the first one's is its negative, and there is one at each whole number between.</summary>
    public const int LastKnot = 6;

    private const int Ranks = 3, Depths = 2;
    private const int Knots = (2 * LastKnot) + 1;
    private const int CountsPerCurve = 1 + Knots; // the first for proposals without confidence
    private const double UnknownPrior = 0.25;

    /// <summary>Counts of a drafter.</summary>
    public const int CountsPerDrafter = Ranks * Depths * CountsPerCurve;

    private static readonly double[] KnotProbabilities = ProbabilitiesOfKnots();

    private readonly FadingCount[] _counts = new FadingCount[drafters * CountsPerDrafter]; // [drafters, ranks · depths, counts of a curve]

    /// <summary>1 / (1 + e^−logit).</summary>
    public static double Probability(double logit) => 1 / (1 + Math.Exp(-logit));

    /// <summary>The probability that a proposal is right if its parent is.</summary>
    public double Estimate(int drafter, int depth, int rank, float confidence) => Probability(Logit(drafter, depth, rank, confidence));

    /// <summary>The logit of <see cref="Estimate"/>.</summary>
    public double Logit(int drafter, int depth, int rank, float confidence)
    {
        var curve = Curve(drafter, depth, rank);
        if (!(confidence > 0))
        {
            return curve[0].Logit(rank == 0 ? UnknownPrior : UnknownPrior / 2);
        }

        var (knot, beyond) = Place(confidence);
        var logit = curve[1 + knot].Logit(KnotProbabilities[knot]);
        return logit + (beyond * (curve[2 + knot].Logit(KnotProbabilities[knot + 1]) - logit));
    }

    /// <summary>Learns whether a proposal was right, its parent having been so.</summary>
    public void Observe(int drafter, int depth, int rank, float confidence, bool right)
    {
        var curve = Curve(drafter, depth, rank);
        if (!(confidence > 0))
        {
            curve[0].Add(right, 1);
            return;
        }

        var (knot, beyond) = Place(confidence);
        curve[1 + knot].Add(right, 1 - beyond);
        curve[2 + knot].Add(right, beyond);
    }

    /// <summary>What is known about a drafter, for a profile: of the <see cref="CountsPerDrafter"/> counts those that are not empty, each as its number, how often right, how
    /// often judged.</summary>
    public double[][] Export(int drafter)
    {
        List<double[]> cells = [];
        for (var i = 0; i < CountsPerDrafter; i++)
        {
            var (right, all) = Of(drafter)[i].Values;
            if (all > 0)
            {
                cells.Add([i, right, all]);
            }
        }

        return [.. cells];
    }

    /// <summary>Forgets a drafter.</summary>
    public void Forget(int drafter) => Of(drafter).Clear();

    /// <summary>Begins with what a profile knows about a drafter.</summary>
    public void Import(int drafter, double[][] cells)
    {
        Forget(drafter);
        foreach (var cell in cells)
        {
            Of(drafter)[(int)cell[0]] = new FadingCount(cell[1], cell[2]);
        }
    }

    private static double[] ProbabilitiesOfKnots()
    {
        var probabilities = new double[Knots];
        for (var knot = 0; knot < Knots; knot++)
        {
            probabilities[knot] = Probability(knot - LastKnot);
        }

        return probabilities;
    }

    /// <summary>The knot at or before a confidence, and how far beyond it this lies, 0 to 1.</summary>
    private static (int Knot, double Beyond) Place(float confidence)
    {
        var logit = confidence < 1 ? Math.Log(confidence / (1.0 - confidence)) : LastKnot;
        var place = Math.Clamp(logit + LastKnot, 0, Knots - 1);
        var knot = Math.Min((int)place, Knots - 2);
        return (knot, place - knot);
    }

    private Span<FadingCount> Of(int drafter) => _counts.AsSpan(drafter * CountsPerDrafter, CountsPerDrafter);

    private Span<FadingCount> Curve(int drafter, int depth, int rank)
        => Of(drafter).Slice(((Math.Min(rank, Ranks - 1) * Depths) + (depth > 1 ? 1 : 0)) * CountsPerCurve, CountsPerCurve);

    /// <summary>How often something was right, recent cases counting most.</summary>
    private struct FadingCount
    {
        private const double Fade = 0.99;          // of a count, per case: it is that of the last hundred or so
        private const double PriorWeight = 4;      // cases that the prior counts as
        private const double RememberedWeight = 16; // cases that a profile's count counts as at most, so that it gives way to new ones soon

        private double _right;
        private double _all;

        /// <summary>Begins with what is remembered.</summary>
        public FadingCount(double right, double all)
        {
            var scale = all > RememberedWeight ? RememberedWeight / all : 1;
            (_right, _all) = (right * scale, all * scale);
        }

        public readonly (double Right, double All) Values => (_right, _all);

        /// <summary>The logit of the share that was right.</summary>
        public readonly double Logit(double prior)
            => Math.Log((_right + (prior * PriorWeight)) / (_all - _right + ((1 - prior) * PriorWeight)));

        /// <summary>Counts a case, or a part of one.</summary>
        public void Add(bool right, double weight)
        {
            var fade = 1 - ((1 - Fade) * weight);
            _right = (_right * fade) + (right ? weight : 0);
            _all = (_all * fade) + weight;
        }
    }
}
