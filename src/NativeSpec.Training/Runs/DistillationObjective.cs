using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;
using NativeSpec.Training.Networks;

namespace NativeSpec.Training.Runs;

/// <summary>A draft: learns from its target's probabilities for every token, and from the text itself. What counts for a draft is how often it
/// agrees with the target, so that is what its accuracy measures.</summary>
/// <param name="bench">Stays the caller's.</param>
/// <param name="network">The draft.</param>
/// <param name="target">Does not learn.</param>
/// <param name="share">Of the divergence from the target in the loss; the rest is cross entropy with the text.</param>
internal sealed class DistillationObjective(Workbench bench, LlamaNetwork network, LlamaNetwork target, float share) : IObjective
{
    private readonly CrossEntropy _loss = new(bench, network.Config.VocabSize);

    public IReadOnlyList<Parameter> Parameters => network.Parameters;

    public int Lookahead => 1;

    public IReadOnlyList<string> MeasureNames => ["agreement with the target", "next token"];

    public void Begin(long step)
    {
        // Everything learns from the first step on.
    }

    public LossSum Learn(TokenBatch batch)
    {
        var theirs = Logits("teacher logits", target, target.Forward(batch), batch);
        var hidden = network.Forward(batch);
        var logits = Logits("logits", network, hidden, batch);
        var loss = _loss.Distill(logits, theirs, batch, share, 1.0 / batch.Rows);
        var dHidden = bench.Scratch("d hidden", batch.Rows, network.Config.HiddenSize);
        network.Output.Backward(hidden, logits, dHidden, batch.Rows);
        network.Backward(dHidden, batch);
        return loss;
    }

    public LossSum[] Measure(TokenBatch batch)
    {
        var theirs = Logits("teacher logits", target, target.Forward(batch), batch);
        var logits = Logits("logits", network, network.Forward(batch), batch);
        var nextToken = _loss.Forward(logits, batch, shift: 1, factor: null);
        return [_loss.Distill(logits, theirs, batch, share, factor: null), nextToken];
    }

    public void Export(string folder) => ModelFiles.WriteModel(folder, network.Config, network.Parameters);

    public void Reload(string folder) => ModelFiles.ReloadModel(folder, network.Parameters);

    public void Dispose()
    {
        network.Dispose();
        target.Dispose();
    }

    private Matrix Logits(string name, LlamaNetwork model, Matrix hidden, TokenBatch batch)
    {
        var logits = bench.Scratch(name, batch.Rows, model.Config.VocabSize);
        model.Output.Forward(hidden, logits, batch.Rows);
        return logits;
    }
}
