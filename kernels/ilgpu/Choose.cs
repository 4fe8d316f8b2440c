using ILGPU;
using ILGPU.Algorithms;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>How a row's token is chosen (<see cref="Backends.RowQuestion"/>).</summary>
internal struct ChoiceRule
{
    public ulong Seed;
    public long Position;
    public float Temperature;
    public int IsAsked;
}

/// <summary>What a row of logits says of itself (<see cref="Backends.RowSummary"/>).</summary>
internal struct RowAnswer
{
    public double LogSum;
    public float Highest;
    public int Chosen;
}

/// <summary>A row's token, its highest logit and log Σ exp: the token is the highest logit, or the highest of (logit − highest) / temperature + noise, in float64 and tie for tie as
/// the engine computes it. Three kernels: the highest of each slice of the vocabulary; each slice's sum and best candidate; these together.</summary>
/// <remarks>A slice is every <see cref="Slices"/>-th group of eight ids. A candidate's noise is computed only where its prefix says that it might win.</remarks>
internal static class Choose
{
    /// <summary>Slices of a row.</summary>
    public const int Slices = 256;

    private const ulong Broken = ulong.MaxValue; // something in the row is not a number

    internal struct Arguments
    {
        public ArrayView<float> Logits; // [rows, stride]
        public ArrayView<ChoiceRule> Rules; // [rows]
        public ArrayView<ulong> Ranks;  // [rows, slices] the highest
        public ArrayView<double> Sums;  // [rows, slices] Σ exp(logit − highest)
        public ArrayView<double> Races; // [rows, slices] the best candidate's number
        public ArrayView<int> Winners;  // [rows, slices] and its id
        public ArrayView<RowAnswer> Answers; // [rows]
        public int Vocabulary;
        public int Stride;
    }

    /// <summary>An item is a slice of a row.</summary>
    public static void FindHighest(Index1D index, Loop loop, Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var row = (long)(item / Slices) * a.Stride;
            var best = 0UL;
            for (var first = item % Slices * Noise.PrefixIds; first < a.Vocabulary; first += Slices * Noise.PrefixIds)
            {
                for (var id = first; id < first + Noise.PrefixIds && id < a.Vocabulary; id++)
                {
                    var value = a.Logits[row + id];
                    var rank = Bits.IsNaN(value) ? Broken : Rank.Of(value, id);
                    best = rank > best ? rank : best;
                }
            }

            a.Ranks[item] = best;
        }
    }

    /// <summary>An item is a slice of a row.</summary>
    public static void Weigh<TArithmetic>(Index1D index, Loop loop, Arguments a)
        where TArithmetic : struct, IArithmetic
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var row = item / Slices;
            var rank = Highest(a, row);
            if (rank == Broken)
            {
                continue;
            }

            var (logits, likeliest, rule) = ((long)row * a.Stride, Rank.IdOf(rank), a.Rules[row]);
            var highest = a.Logits[logits + likeliest];
            var draws = rule.IsAsked != 0 && rule.Temperature > 0;
            var sum = 0.0;
            var race = 0.0;
            var winner = likeliest;
            if (draws)
            {
                // The likeliest token sets a mark that most others cannot reach.
                var prefixes = Noise.Prefixes(rule.Seed, rule.Position, likeliest / Noise.PrefixIds);
                race = Noise.Of<TArithmetic>(rule.Seed, rule.Position, likeliest, Noise.Prefix(prefixes, likeliest % Noise.PrefixIds));
            }

            for (var first = item % Slices * Noise.PrefixIds; first < a.Vocabulary; first += Slices * Noise.PrefixIds)
            {
                var prefixes = draws ? Noise.Prefixes(rule.Seed, rule.Position, first / Noise.PrefixIds) : default;
                for (var i = 0; i < Noise.PrefixIds && first + i < a.Vocabulary; i++)
                {
                    var below = a.Logits[logits + first + i] - highest;
                    sum += XMath.Exp(below);
                    if (!draws)
                    {
                        continue;
                    }

                    // Widened by far more than what rounding can have taken from it.
                    var prefix = Noise.Prefix(prefixes, i);
                    if ((below / rule.Temperature * 0.99999f) + Noise.BoundOf(prefix) + 1e-3f < (float)race)
                    {
                        continue;
                    }

                    var relative = TArithmetic.Add(a.Logits[logits + first + i], -(double)highest) / (double)rule.Temperature;
                    var its = TArithmetic.Add(relative, Noise.Of<TArithmetic>(rule.Seed, rule.Position, first + i, prefix));
                    if (its > race || (its == race && first + i < winner))
                    {
                        (race, winner) = (its, first + i);
                    }
                }
            }

            a.Sums[item] = sum;
            a.Races[item] = race;
            a.Winners[item] = winner;
        }
    }

    /// <summary>An item is a row.</summary>
    public static void Answer<TArithmetic>(Index1D index, Loop loop, Arguments a)
        where TArithmetic : struct, IArithmetic
    {
        for (var row = index.X; row < loop.Items; row += loop.Stride)
        {
            var rank = Highest(a, row);
            if (rank == Broken)
            {
                a.Answers[row] = new RowAnswer { Chosen = -1, Highest = Interop.IntAsFloat(0x7FC00000u) };
                continue;
            }

            var sum = 0.0;
            var race = a.Races[(long)row * Slices];
            var winner = a.Winners[(long)row * Slices];
            for (var slice = 0; slice < Slices; slice++)
            {
                var at = ((long)row * Slices) + slice;
                sum += a.Sums[at];
                var (its, id) = (a.Races[at], a.Winners[at]);
                if (its > race || (its == race && id < winner))
                {
                    (race, winner) = (its, id);
                }
            }

            var highest = a.Logits[((long)row * a.Stride) + Rank.IdOf(rank)];
            a.Answers[row] = new RowAnswer
            {
                Chosen = a.Rules[row].IsAsked != 0 ? winner : -1,
                Highest = highest,
                LogSum = highest + Noise.Log<TArithmetic>(sum),
            };
        }
    }

    private static ulong Highest(Arguments a, int row)
    {
        var best = 0UL;
        for (var slice = 0; slice < Slices; slice++)
        {
            var rank = a.Ranks[((long)row * Slices) + slice];
            best = rank > best ? rank : best;
        }

        return best;
    }
}
