using ILGPU;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>The k highest logits of a row and their ids, ties to the lowest id. Each slice of the vocabulary keeps its own k highest, sorted by insertion; then every one of these
/// counts how many of the others are above it, which is its place. Ranks differ from one another, so no order of work shows.</summary>
internal static class TopK
{
    /// <summary>Slices of a row.</summary>
    public const int Slices = 64;

    /// <summary>The most that are found.</summary>
    public const int Most = 64;

    internal struct Arguments
    {
        public ArrayView<float> Logits;  // [rows, stride]
        public ArrayView<ulong> Highest; // [rows, slices, k] ranks, 0 where a slice has no more
        public ArrayView<int> Ids;       // [rows, k]
        public ArrayView<float> Values;  // [rows, k]
        public int Vocabulary;
        public int Stride;
        public int K;
    }

    /// <summary>An item is a slice of a row.</summary>
    public static void Collect(Index1D index, Loop loop, Arguments a)
    {
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, list) = ((long)(item / Slices) * a.Stride, (long)item * a.K);
            for (var i = 0; i < a.K; i++)
            {
                a.Highest[list + i] = 0;
            }

            for (var id = item % Slices; id < a.Vocabulary; id += Slices)
            {
                var rank = Rank.Of(a.Logits[row + id], id);
                if (rank <= a.Highest[list + a.K - 1])
                {
                    continue;
                }

                var at = a.K - 1;
                while (at > 0 && a.Highest[list + at - 1] < rank)
                {
                    a.Highest[list + at] = a.Highest[list + at - 1];
                    at--;
                }

                a.Highest[list + at] = rank;
            }
        }
    }

    /// <summary>An item is one of the collected of a row.</summary>
    public static void Place(Index1D index, Loop loop, Arguments a)
    {
        var candidates = Slices * a.K;
        for (var item = index.X; item < loop.Items; item += loop.Stride)
        {
            var (row, mine) = (item / candidates, a.Highest[item]);
            if (mine == 0)
            {
                continue;
            }

            var above = 0;
            for (var other = 0; other < candidates && above < a.K; other++)
            {
                above += a.Highest[((long)row * candidates) + other] > mine ? 1 : 0;
            }

            if (above < a.K)
            {
                var at = ((long)row * a.K) + above;
                a.Ids[at] = Rank.IdOf(mine);
                a.Values[at] = a.Logits[((long)row * a.Stride) + a.Ids[at]];
            }
        }
    }
}
