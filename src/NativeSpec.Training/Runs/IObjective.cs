using NativeSpec.Training.Data;
using NativeSpec.Training.Layers;

namespace NativeSpec.Training.Runs;

/// <summary>What a run learns: parameters, the gradient of a loss for a batch, and how good it is on text that it has not seen.</summary>
internal interface IObjective : IDisposable
{
    /// <summary>Everything that is learnt.</summary>
    IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>How far behind its row the furthest target of a batch lies.</summary>
    int Lookahead { get; }

    /// <summary>Names of what <see cref="Measure"/> gives.</summary>
    IReadOnlyList<string> MeasureNames { get; }

    /// <summary>Called before each step: which parameters learn may depend on it.</summary>
    void Begin(long step);

    /// <summary>The batch's loss; its mean's gradient is added to the parameters' gradients.</summary>
    LossSum Learn(TokenBatch batch);

    /// <summary>Losses of a batch without learning; the first is the one that the run makes small.</summary>
    LossSum[] Measure(TokenBatch batch);

    /// <summary>Writes what was learnt, as others read it.</summary>
    void Export(string folder);

    /// <summary>Takes the weights that <see cref="Export"/> wrote, rounded as they are there.</summary>
    void Reload(string folder);
}
