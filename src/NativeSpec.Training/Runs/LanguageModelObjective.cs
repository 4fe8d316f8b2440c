using NativeSpec.Training.Compute;
using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;
using NativeSpec.Training.Networks;

namespace NativeSpec.Training.Runs;

/// <summary>A language model: cross entropy with the next token.</summary>
internal sealed class LanguageModelObjective(Workbench bench, LlamaNetwork network) : IObjective
{
    private readonly CrossEntropy _loss = new(bench, network.Config.VocabSize);

    public IReadOnlyList<Parameter> Parameters => network.Parameters;

    public int Lookahead => 1;

    public IReadOnlyList<string> MeasureNames => ["next token"];

    public void Begin(long step)
    {
        // Everything learns from the first step on.
    }

    public LossSum Learn(TokenBatch batch)
    {
        var hidden = network.Forward(batch);
        var logits = bench.Scratch("logits", batch.Rows, network.Config.VocabSize);
        network.Output.Forward(hidden, logits, batch.Rows);
        var loss = _loss.Forward(logits, batch, shift: 1, 1.0 / batch.Rows);
        var dHidden = bench.Scratch("d hidden", batch.Rows, network.Config.HiddenSize);
        network.Output.Backward(hidden, logits, dHidden, batch.Rows);
        network.Backward(dHidden, batch);
        return loss;
    }

    public LossSum[] Measure(TokenBatch batch)
    {
        var logits = bench.Scratch("logits", batch.Rows, network.Config.VocabSize);
        network.Output.Forward(network.Forward(batch), logits, batch.Rows);
        return [_loss.Forward(logits, batch, shift: 1, factor: null)];
    }

    public void Export(string folder) => ModelFiles.WriteModel(folder, network.Config, network.Parameters);

    public void Reload(string folder) => ModelFiles.ReloadModel(folder, network.Parameters);

    public void Dispose() => network.Dispose();
}
