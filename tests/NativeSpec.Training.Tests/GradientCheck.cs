using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Tests;

/// <summary>Compares gradients with central differences. Layers compute in float32, so the step is a hundredth, not a millionth, and the
/// allowance one part in a hundred of the largest gradient: a forgotten factor or term is off by far more.</summary>
internal static class GradientCheck
{
    private const float Step = 1e-2f;
    private const int Entries = 24; // of each matrix, spread over it

    /// <summary>Random numbers of a size at which nothing is flat or steep.</summary>
    public static Matrix Random(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var matrix = new Matrix(rows, columns);
        foreach (ref var value in matrix.All)
        {
            value = random.NextSingle() - 0.5f;
        }

        return matrix;
    }

    /// <summary>Σ weights · values in float64: a loss whose gradient is the weights.</summary>
    public static double Weighted(Matrix values, Matrix weights)
    {
        var sum = 0.0;
        for (var i = 0; i < weights.All.Length; i++)
        {
            sum += (double)values.All[i] * weights.All[i];
        }

        return sum;
    }

    /// <summary>Asserts that <paramref name="gradient"/> is the slope of the loss in <paramref name="value"/>.</summary>
    public static void Verify(string what, Matrix value, Matrix gradient, Func<double> loss, double allowance = 0.01)
    {
        var largest = 1e-3;
        foreach (var entry in gradient.All)
        {
            largest = Math.Max(largest, Math.Abs(entry));
        }

        var count = value.All.Length;
        for (var i = 0; i < Math.Min(Entries, count); i++)
        {
            var at = count <= Entries ? i : (int)((long)i * 7919 % count);
            var there = value.All[at];
            value.All[at] = there + Step;
            var up = loss();
            value.All[at] = there - Step;
            var down = loss();
            value.All[at] = there;
            Assert.That(gradient.All[at], Is.EqualTo((up - down) / (2 * Step)).Within(allowance * largest), $"{what}[{at}]");
        }
    }
}
