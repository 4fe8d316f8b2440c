using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;
using NativeSpec.Training.Networks;

namespace NativeSpec.Training.Runs;

/// <summary>Medusa heads (Cai et al., 2024). Where the model's own output matrix predicts token t + 1 from position t, head h, counted
/// from 0, learns token t + 2 + h. The heads' loss is Σ_h 0.8^h · cross entropy. Medusa-1 leaves the model as it is; Medusa-2 learns the model along
/// with its heads, on its own loss plus a fifth of theirs, after the heads have been warmed up.</summary>
internal sealed class MedusaObjective : IObjective
{
    private const double HeadDecay = 0.8;
    private const double HeadShare = 0.2; // of the heads' loss beside the model's, in Medusa-2

    private readonly Workbench _bench;
    private readonly LlamaNetwork _model;
    private readonly MedusaHeadNetwork[] _heads;
    private readonly MedusaTraining _how;
    private readonly CrossEntropy _loss;
    private bool _modelLearns;

    /// <summary>Puts heads on a model.</summary>
    /// <param name="bench">Stays the caller's.</param>
    /// <param name="model">Becomes this objective's own.</param>
    /// <param name="how">How many heads, and whether the model learns too.</param>
    /// <param name="rows">Most rows of a batch.</param>
    public MedusaObjective(Workbench bench, LlamaNetwork model, MedusaTraining how, int rows)
    {
        (_bench, _model, _how, _loss) = (bench, model, how, new CrossEntropy(bench, model.Config.VocabSize));
        var prefix = how.LearnModel ? ModelFiles.HeadsInModelPrefix : "";
        _heads = [.. Enumerable.Range(0, how.Heads).Select(h => new MedusaHeadNetwork(bench, model, h, prefix, rows))];
        var heads = _heads.SelectMany(head => head.Parameters);
        Parameters = how.LearnModel ? [.. heads, .. model.Parameters] : [.. heads];
        model.Parameters.ForEach(parameter => parameter.LearningRateFactor = 0);
        MeasureNames =
        [
            how.LearnModel ? "model and heads, weighted" : "heads, weighted",
            .. Enumerable.Range(0, how.Heads).Select(h => FormattableString.Invariant($"head {h} (token t + {h + 2})")),
            "model (token t + 1)",
        ];
    }

    public IReadOnlyList<Parameter> Parameters { get; }

    public int Lookahead => _how.Heads + 1;

    public IReadOnlyList<string> MeasureNames { get; }

    public void Begin(long step)
    {
        _modelLearns = _how.LearnModel && step > _how.HeadWarmup;
        _model.Parameters.ForEach(parameter => parameter.LearningRateFactor = _modelLearns ? (float)_how.ModelRateFactor : 0);
    }

    public LossSum Learn(TokenBatch batch)
    {
        var rows = batch.Rows;
        var hidden = _model.Forward(batch);
        var logits = _bench.Scratch("logits", rows, _model.Config.VocabSize);
        var dHidden = _modelLearns ? _bench.Scratch("d hidden", rows, _model.Config.HiddenSize) : null;
        var nats = 0.0;
        var hits = 0L;
        if (dHidden is not null)
        {
            _model.Output.Forward(hidden, logits, rows);
            var own = _loss.Forward(logits, batch, shift: 1, 1.0 / rows);
            _model.Output.Backward(hidden, logits, dHidden, rows);
            (nats, hits) = (own.Nats, own.Hits);
        }

        for (var h = 0; h < _heads.Length; h++)
        {
            var weight = Weight(h);
            _heads[h].Forward(hidden, logits, rows);
            var loss = _loss.Forward(logits, batch, shift: 2 + h, weight / rows);
            _heads[h].Backward(hidden, logits, dHidden, rows);
            (nats, hits) = (nats + (weight * loss.Nats), hits + loss.Hits);
        }

        if (dHidden is not null)
        {
            _model.Backward(dHidden, batch);
        }

        return new LossSum(nats, hits, rows);
    }

    public LossSum[] Measure(TokenBatch batch)
    {
        var hidden = _model.Forward(batch);
        var logits = _bench.Scratch("logits", batch.Rows, _model.Config.VocabSize);
        var sums = new LossSum[_heads.Length + 2];
        _model.Output.Forward(hidden, logits, batch.Rows);
        sums[^1] = _loss.Forward(logits, batch, shift: 1, factor: null);
        var all = _how.LearnModel ? sums[^1] : sums[^1] with { Nats = 0 };
        for (var h = 0; h < _heads.Length; h++)
        {
            _heads[h].Forward(hidden, logits, batch.Rows);
            sums[h + 1] = _loss.Forward(logits, batch, shift: 2 + h, factor: null);
            all = all with { Nats = all.Nats + (Weight(h) * sums[h + 1].Nats) };
        }

        sums[0] = all;
        return sums;
    }

    public void Export(string folder)
    {
        if (_how.LearnModel)
        {
            ModelFiles.WriteModel(folder, _model.Config, [.. _model.Parameters, .. Parameters.Except(_model.Parameters)]);
        }
        else
        {
            ModelFiles.WriteHeads(folder, _model.Config, _heads.Length, Parameters);
        }
    }

    public void Reload(string folder)
    {
        if (_how.LearnModel)
        {
            ModelFiles.ReloadModel(folder, Parameters);
        }
        else
        {
            ModelFiles.ReloadHeads(folder, Parameters);
        }
    }

    public void Dispose()
    {
        Array.ForEach(_heads, head => head.Dispose());
        _model.Dispose();
    }

    private double Weight(int head) => Math.Pow(HeadDecay, head) * (_how.LearnModel ? HeadShare : 1);
}
