namespace NativeSpec.Speculation.PromptLookup;

/// <summary>Prompt lookup in a text that the output is expected to be like: a file that is returned with a change, an earlier answer. OpenAI's protocol calls it a
/// prediction. <see cref="PredictionSession"/> tells how the place in it is found. A prediction that is wrong costs time, never text.</summary>
/// <remarks>One source serves one expectation: it goes with a request (<see cref="SpeculationOptions.Sources"/>), which is what
/// <c>GenerationOptions.Prediction</c> does with a text.</remarks>
public sealed class PredictionDrafter : IDrafterSource
{
    /// <summary>The name that statistics have for it.</summary>
    public const string DrafterName = "prediction";

    private readonly int[] _prediction;

    /// <summary>Makes a source.</summary>
    /// <param name="prediction">The expected output's tokens.</param>
    public PredictionDrafter(IReadOnlyList<int> prediction)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        _prediction = [.. prediction];
    }

    /// <inheritdoc/>
    public string Name => DrafterName;

    /// <inheritdoc/>
    public IDrafter Start(ReadOnlyMemory<int> prompt) => new PredictionSession(_prediction, prompt.Length);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
