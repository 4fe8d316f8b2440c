using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>Mistakes that known systems made or that a merged tree invites (docs/speculative-decoding.md names them).</summary>
public enum Mistake
{
    None,
    DroppedDuplicate,
    PrunedAfterDraw,
    MissingResidual,
    RedrawnAfterRejection,
    FirstTokenUnverified,
    DraftOfAnotherTemperature,
    TargetAndDraftSwapped,
    CertainAfterSampling,
    CertainWherePlanned,
    SharedNoise,
}

/// <summary>A round with one deterministic child and one drawn child at the root, written out independently of the production code, with
/// room for one mistake.</summary>
internal sealed class MutantRound(Mistake mistake)
{
    private const int Deterministic = 1;

    public IReadOnlyList<int> Run(TinyWorld world, IChance chance)
    {
        var p = world.Target([]);
        var q = world.Draft([]);
        if (mistake is not (Mistake.DroppedDuplicate or Mistake.CertainAfterSampling))
        {
            q[Deterministic] = 0;
        }

        Normalise(q);
        var (drawn, first) = mistake == Mistake.SharedNoise ? DrawBoth(q, p, chance) : (Draw(q, chance), -1);
        if (mistake == Mistake.CertainAfterSampling && drawn == Deterministic)
        {
            return [chance.Accept(Math.Min(1, p[drawn] / q[drawn])) ? drawn : DrawResidual(p, q, chance)]; // the later child is the one that was drawn
        }

        var ratioQ = mistake == Mistake.DraftOfAnotherTemperature ? Restricted(world.Draft([], temperature: 2)) : q;
        var kept = mistake switch
        {
            Mistake.DroppedDuplicate => drawn != Deterministic,
            Mistake.PrunedAfterDraw => q[drawn] > 0.3f,
            _ => true,
        };

        if (mistake == Mistake.FirstTokenUnverified)
        {
            return [drawn];
        }

        // The planner leaves the certain child out when one of the later tokens was drawn.
        if (mistake != Mistake.CertainWherePlanned || drawn < 2)
        {
            first = first < 0 ? Draw(p, chance) : first;
            if (first == Deterministic)
            {
                return [first];
            }

            p[Deterministic] = 0;
            Normalise(p);
        }

        if (!kept)
        {
            return [Draw(p, chance)];
        }

        var ratio = mistake == Mistake.TargetAndDraftSwapped ? q[drawn] / Math.Max(p[drawn], 1e-9) : p[drawn] / Math.Max(ratioQ[drawn], 1e-9);
        if (mistake == Mistake.RedrawnAfterRejection)
        {
            // Medusa's nucleus sampling: draw, accept if it is the candidate, and on refusal draw anew from all of p.
            var redraw = Draw(p, chance);
            return redraw == drawn ? [drawn] : [Draw(p, chance)];
        }

        if (chance.Accept(Math.Min(1, ratio)))
        {
            return [drawn];
        }

        return [mistake == Mistake.MissingResidual ? Draw(p, chance) : DrawResidual(p, q, chance)];
    }

    private static int DrawResidual(float[] p, float[] q, IChance chance)
    {
        for (var i = 0; i < p.Length; i++)
        {
            p[i] = Math.Max(p[i] - q[i], 0);
        }

        Normalise(p);
        return Draw(p, chance);
    }

    /// <summary>The draft's token and the target's by one and the same number: each is where the number falls in its running sums.</summary>
    private static (int Drawn, int First) DrawBoth(float[] q, float[] p, IChance chance)
    {
        List<float> overlaps = [];
        List<(int, int)> pairs = [];
        for (var (i, fromQ) = (0, 0f); i < q.Length; fromQ += q[i++])
        {
            for (var (j, fromP) = (0, 0f); j < p.Length; fromP += p[j++])
            {
                overlaps.Add(Math.Max(Math.Min(fromQ + q[i], fromP + p[j]) - Math.Max(fromQ, fromP), 0));
                pairs.Add((i, j));
            }
        }

        return pairs[Draw([.. overlaps], chance)];
    }

    private static float[] Restricted(float[] q)
    {
        q[Deterministic] = 0;
        Normalise(q);
        return q;
    }

    private static int Draw(float[] weights, IChance chance) => chance.Draw(weights, weights.Sum(w => (double)w));

    private static void Normalise(float[] weights)
    {
        var sum = weights.Sum(w => (double)w);
        for (var i = 0; i < weights.Length && sum > 0; i++)
        {
            weights[i] = (float)(weights[i] / sum);
        }
    }
}
