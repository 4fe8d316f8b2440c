using System.Text;
using NativeSpec.Loading;
using NativeSpec.Speculation;
using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;
using NativeSpec.Training.Optimisation;

namespace NativeSpec.Training.Runs;

/// <summary>The loop of every run: batch, gradient, step; now and then a held-out loss and a checkpoint. What is written for others is what
/// had the lowest held-out loss, or the newest where there is no held-out text.</summary>
internal sealed class Trainer
{
    /// <summary>Where a run keeps its records, within its output folder.</summary>
    public const string RecordsFolder = "training";

    private readonly Workbench _bench;
    private readonly IObjective _objective;
    private readonly TrainingOptions _options;
    private readonly string _output;
    private readonly string _recipe;
    private readonly Windows _train;
    private readonly Windows? _heldOut;
    private readonly long _steps;
    private readonly AdamW _optimiser;
    private readonly LossCurve _curve = new();
    private long _saved;

    /// <summary>Prepares a run, or takes one up that stopped.</summary>
    /// <param name="bench">Stays the caller's.</param>
    /// <param name="objective">Stays the caller's.</param>
    /// <param name="train">The text to learn from.</param>
    /// <param name="heldOut">Text to measure on; null measures nothing.</param>
    /// <param name="options">How.</param>
    /// <param name="output">The folder to write to.</param>
    /// <param name="recipe">What is learnt, for recognising the run's checkpoint; options and text are added here.</param>
    public Trainer(Workbench bench, IObjective objective, int[] train, int[]? heldOut, TrainingOptions options, string output, string recipe)
    {
        (_bench, _objective, _options, _output) = (bench, objective, options, output);
        _train = new Windows(train, options.Context, objective.Lookahead, options.Sequences, options.Seed);
        _heldOut = heldOut is null ? null : new Windows(heldOut, options.Context, objective.Lookahead, options.Sequences, options.Seed);
        _steps = options.Steps ?? Math.Max(1, (long)Math.Round(options.Epochs * _train.BatchesPerEpoch));
        _recipe = Recipe(recipe, train);
        _optimiser = new AdamW(bench, objective.Parameters, new AdamWOptions(options.WeightDecay, options.ClipNorm));
        if (options.Resume)
        {
            _curve = TrainingCheckpoint.Read(CheckpointPath, objective.Parameters, _recipe);
            _saved = Step;
        }
        else if (File.Exists(CheckpointPath))
        {
            throw new InvalidOperationException($"{CheckpointPath} exists: continue that run with --resume, or delete it or name another folder to begin anew");
        }
    }

    private string CheckpointPath => Path.Combine(_output, RecordsFolder, TrainingCheckpoint.FileName);

    private long Step => _curve.Points.Count == 0 ? 0 : _curve.Points[^1].Step;

    private bool HasEndedEarly => _options.Patience is { } patience && _curve.MeasuredSinceBest >= patience;

    /// <summary>Learns until the steps are done, the held-out loss no longer falls, or it is cancelled.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; a checkpoint of the last whole step was written.</exception>
    /// <exception cref="TrainingDivergedException">The loss is no longer a number.</exception>
    /// <exception cref="IOException">The output cannot be written; the last checkpoint is as it was.</exception>
    public TrainingResult Run(IProgress<TrainingReport>? progress, CancellationToken cancellationToken)
    {
        var (firstStep, throughput) = (Step, new Throughput(_bench));
        while (Step < _steps && !HasEndedEarly)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                Save();
                cancellationToken.ThrowIfCancellationRequested();
            }

            TakeStep(Step + 1);
            throughput.Mark();
            var pace = (Step - firstStep) / throughput.Seconds;
            progress?.Report(new TrainingReport
            {
                Step = Step,
                Steps = _steps,
                Loss = _curve.Recent,
                HeldOutLoss = _curve.LastHeldOut,
                TokensPerSecond = pace * _options.Sequences * _options.Context,
                OperationsPerSecond = throughput.OperationsPerSecond,
                ShareOfPeak = throughput.ShareOfPeak,
                Remaining = TimeSpan.FromSeconds((_steps - Step) / pace),
            });
        }

        var (operations, share) = (Step == firstStep ? 0 : throughput.OperationsPerSecond, throughput.ShareOfPeak);
        _objective.Reload(_output);
        return new TrainingResult
        {
            Steps = Step,
            Loss = _curve.Recent,
            HeldOut = Named(MeasureHeldOut(long.MaxValue)),
            EndedEarly = Step < _steps,
            Parameters = _objective.Parameters.Sum(parameter => (long)parameter.Value.All.Length),
            OperationsPerSecond = operations,
            ShareOfPeak = share,
        };
    }

    private void TakeStep(long step)
    {
        _objective.Begin(step);
        var loss = _objective.Learn(_train.Batch(step));
        var norm = double.IsFinite(loss.Nats) ? _optimiser.Step(step, LearningRate.At(step, _steps, _options.Warmup, _options.LearningRate)) : double.NaN;
        if (!double.IsFinite(norm))
        {
            throw new TrainingDivergedException($"at step {step} the loss is {loss.Mean} and the gradient's length {norm}, no longer numbers. "
                + (_saved > 0 ? $"The checkpoint of step {_saved} is whole. " : "")
                + $"Begin anew with a lower learning rate than {_options.LearningRate} or a longer warm-up than {_options.Warmup} steps");
        }

        double? heldOut = null;
        if (_heldOut is not null && (step % _options.EvaluateEvery == 0 || step == _steps))
        {
            heldOut = MeasureHeldOut(_options.EvaluationTokens)[0].Mean;
        }

        var isBest = heldOut < (_curve.BestHeldOut ?? double.PositiveInfinity);
        _curve.Add(new LossPoint(step, loss.Mean, heldOut));
        var saves = step % _options.CheckpointEvery == 0 || step == _steps || HasEndedEarly;
        // Before the checkpoint: a run that is killed between the two does this step once more, and exports it once more.
        if (_heldOut is null ? saves : isBest)
        {
            Write(() => _objective.Export(_output));
        }

        if (saves)
        {
            Save();
        }
    }

    private void Save()
    {
        Write(() =>
        {
            TrainingCheckpoint.Write(CheckpointPath, _objective.Parameters, _curve, _recipe);
            var name = Path.GetFileName(Path.GetFullPath(_output));
            AtomicFile.Write(Path.Combine(_output, RecordsFolder, "loss.csv"), stream => stream.Write(Encoding.UTF8.GetBytes(_curve.ToCsv())));
            AtomicFile.Write(Path.Combine(_output, RecordsFolder, "loss.svg"), stream => stream.Write(Encoding.UTF8.GetBytes(_curve.ToSvg(name))));
        });
        _saved = Step;
    }

    private void Write(Action write)
    {
        try
        {
            write();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{_output}: step {Step} cannot be written: {error.Message} "
                + (_saved > 0 ? $"The checkpoint of step {_saved} is whole: make room and continue with --resume" : "Make room and begin anew"), error);
        }
    }

    private LossSum[] MeasureHeldOut(long most)
    {
        var sums = new LossSum[_objective.MeasureNames.Count];
        foreach (var batch in _heldOut?.Sample(most) ?? [])
        {
            sums = [.. sums.Zip(_objective.Measure(batch), (sum, more) => sum + more)];
        }

        return sums;
    }

    private Measurement[] Named(LossSum[] sums)
        => _heldOut is null ? [] : [.. sums.Select((sum, i) => new Measurement(_objective.MeasureNames[i], sum.Mean, sum.Accuracy))];

    // The number of steps belongs to it, because the learning rate's course depends on it.
    private string Recipe(string objective, int[] train)
        => FormattableString.Invariant($"{objective}; {_steps} steps of {_options.Sequences} x {_options.Context} tokens, rate {_options.LearningRate}, ")
            + FormattableString.Invariant($"warm-up {_options.Warmup}, decay {_options.WeightDecay}, clip {_options.ClipNorm}, seed {_options.Seed}, ")
            + FormattableString.Invariant($"held out every {_options.EvaluateEvery}: {_options.EvaluationTokens}; text {train.Length} tokens {TokenHash.Of(train):x16}");
}
