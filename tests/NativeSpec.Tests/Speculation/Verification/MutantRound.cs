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
        if (mistake != Mistake.DroppedDuplicate)
        {
            q[Deterministic] = 0;
        }

        Normalise(q);
        var drawn = Draw(q, chance);
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

        var first = Draw(p, chance);
        if (first == Deterministic)
        {
            return [first];
        }

        p[Deterministic] = 0;
        Normalise(p);
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

        if (mistake != Mistake.MissingResidual)
        {
            for (var i = 0; i < p.Length; i++)
            {
                p[i] = Math.Max(p[i] - q[i], 0);
            }

            Normalise(p);
        }

        return [Draw(p, chance)];
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
