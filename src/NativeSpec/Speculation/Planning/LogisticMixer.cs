namespace NativeSpec.Speculation.Planning;

/// <summary>How likely a node is right, given that its parent is, by all that the drafters say about it: logistic mixing (Mahoney's PAQ, 2005; a
/// logarithmic opinion pool), a logistic regression over the drafters' own logits that learns from every node that can be judged.</summary>
/// <remarks>
/// <para>Drafters depend on each other: two that copy from the text agree on most mistakes, and what a good draft model does not propose is rarely right. So
/// what agreement and dispute prove is learnt: p = σ(b + w · logit of the surest + v · logit of the next surest + u · log(1 − p of the surest
/// rival)), with weights for each drafter in each part, w, u and b apart for nodes that one drafter proposed and that several did. A drafter that
/// repeats another gets a weight near 0 by the arithmetic itself.</para>
/// <para>It begins with w = u = 1 and v = b = 0. That is the surest one's own estimate; and where another drafter has a token with estimate r in
/// the node's place, the odds p/(1−p) : r/(1−r) : 1 for the one, the other, neither, as if the two were independent and only one could be right. A
/// node that one drafter alone has spoken of has the estimate that is its own.</para>
/// <para>A step goes down the gradient of the log-loss, divided by the length of the input (normalized LMS), which is stable however large inputs are.</para>
/// </remarks>
internal sealed class LogisticMixer
{
    /// <summary>Weights of a drafter, and the length of what <see cref="Export"/> gives.</summary>
    public const int WeightsPerDrafter = 7;

    /// <summary>The step of normalized LMS: the part of an error that a single case corrects.</summary>
    private const double Rate = 0.1;

    private const int Lead = 0, Bias = 2, Against = 4, Seconds = 6; // the first three alone and together

    private readonly double[] _weights; // [drafters, weights]

    public LogisticMixer(int drafters)
    {
        _weights = new double[drafters * WeightsPerDrafter];
        for (var drafter = 0; drafter < drafters; drafter++)
        {
            Forget(drafter);
        }
    }

    /// <summary>The probability that the node is right if its parent is.</summary>
    public double Estimate(in Evidence said)
        => said.Leader < 0 ? 0 : AcceptanceEstimates.Probability(IsMixed(said) ? new Terms(this, said).Sum : said.Best);

    /// <summary>Learns whether the node was right, its parent having been so.</summary>
    public void Observe(in Evidence said, bool right)
    {
        if (IsMixed(said))
        {
            var terms = new Terms(this, said);
            terms.Learn(Rate * ((right ? 1 : 0) - AcceptanceEstimates.Probability(terms.Sum)));
        }
    }

    /// <summary>Begins anew with a drafter: it is believed as it is.</summary>
    public void Forget(int drafter)
    {
        Of(drafter).Clear();
        Of(drafter)[Lead..Bias].Fill(1);
        Of(drafter)[Against..Seconds].Fill(1);
    }

    /// <summary>What is known about a drafter, for a profile: its weights.</summary>
    public double[] Export(int drafter) => Of(drafter).ToArray();

    /// <summary>Begins with what a profile knows about a drafter.</summary>
    public void Import(int drafter, ReadOnlySpan<double> weights) => weights[..WeightsPerDrafter].CopyTo(Of(drafter));

    private static bool IsMixed(in Evidence said) => said.Leader >= 0 && (said.Second >= 0 || said.Rival >= 0);

    private Span<double> Of(int drafter) => _weights.AsSpan(drafter * WeightsPerDrafter, WeightsPerDrafter);

    /// <summary>The inputs of a node, each with the weight that it has.</summary>
    private readonly ref struct Terms
    {
        private readonly ref double _bias;
        private readonly ref double _lead;
        private readonly ref double _second;
        private readonly ref double _against;
        private readonly double _best;
        private readonly double _secondBest; // 0 where there is none
        private readonly double _notRival;   // log(1 − p of the rival), 0 where there is none

        public Terms(LogisticMixer mixer, in Evidence said)
        {
            var together = said.Second >= 0 ? 1 : 0;
            var leader = mixer.Of(said.Leader);
            _bias = ref leader[Bias + together];
            _lead = ref leader[Lead + together];
            _second = ref mixer.Of(said.Second >= 0 ? said.Second : said.Leader)[Seconds];
            _against = ref mixer.Of(said.Rival >= 0 ? said.Rival : said.Leader)[Against + together];
            _best = said.Best;
            _secondBest = said.Second >= 0 ? said.SecondBest : 0;
            _notRival = said.Rival >= 0 ? -Math.Log(1 + Math.Exp(said.RivalBest)) : 0;
        }

        public double Sum => _bias + (_lead * _best) + (_second * _secondBest) + (_against * _notRival);

        public void Learn(double error)
        {
            var step = error / (1 + (_best * _best) + (_secondBest * _secondBest) + (_notRival * _notRival));
            _bias += step;
            _lead += step * _best;
            _second += step * _secondBest;
            _against += step * _notRival;
        }
    }
}
