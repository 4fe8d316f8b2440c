namespace NativeSpec.Training.Optimisation;

/// <summary>The learning rate over a run: a straight warm-up from zero to the peak, then half a cosine down to a twentieth of it.</summary>
internal static class LearningRate
{
    private const double FinalShare = 0.05;

    /// <summary>The rate of a step.</summary>
    /// <param name="step">The first is 1.</param>
    /// <param name="steps">Steps of the whole run.</param>
    /// <param name="warmup">Steps of the warm-up.</param>
    /// <param name="peak">The highest rate.</param>
    public static double At(long step, long steps, long warmup, double peak)
    {
        if (step <= warmup)
        {
            return peak * step / warmup;
        }

        var done = Math.Min(1, (double)(step - warmup) / Math.Max(1, steps - warmup));
        return peak * (FinalShare + ((1 - FinalShare) * 0.5 * (1 + Math.Cos(Math.PI * done))));
    }
}
