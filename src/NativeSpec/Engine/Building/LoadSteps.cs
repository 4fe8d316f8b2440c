namespace NativeSpec.Engine.Building;

/// <summary>Who watches a load, and may end it: between two stages, between two weights, and between two forwards of measuring.</summary>
/// <param name="progress">Told what is being done; null tells nobody.</param>
/// <param name="cancellationToken">Ends the load.</param>
internal sealed class LoadSteps(IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
{
    /// <summary>Nobody watches.</summary>
    public static LoadSteps Unwatched { get; } = new(null, CancellationToken.None);

    /// <summary>Ends the load.</summary>
    public CancellationToken CancellationToken => cancellationToken;

    /// <summary>Begins a stage.</summary>
    /// <exception cref="OperationCanceledException">The load is to end.</exception>
    public void Begin(LoadStage stage) => Report(stage, 0);

    /// <summary>Begins a stage whose share of work done is told as it grows.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="also">Who is told the share besides.</param>
    /// <exception cref="OperationCanceledException">The load is to end; also when the share is told.</exception>
    public IProgress<double> Begin(LoadStage stage, IProgress<double>? also)
    {
        Report(stage, 0);
        return new Shares(this, stage, also);
    }

    private void Report(LoadStage stage, double share)
    {
        cancellationToken.ThrowIfCancellationRequested();
        progress?.Report(new LoadProgress(stage, share));
    }

    private sealed class Shares(LoadSteps steps, LoadStage stage, IProgress<double>? also) : IProgress<double>
    {
        public void Report(double value)
        {
            also?.Report(value);
            steps.Report(stage, value);
        }
    }
}
