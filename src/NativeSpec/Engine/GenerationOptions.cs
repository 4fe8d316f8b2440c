using NativeSpec.Sampling;
using NativeSpec.Speculation;

namespace NativeSpec.Engine;

/// <summary>What one request asks for. Everything is optional: <c>new()</c> writes until the model ends the text, with the checkpoint's own
/// sampling defaults (greedy where it has none).</summary>
public sealed record GenerationOptions : SamplingOptions
{
    /// <summary>Most tokens to write, the end-of-text token included; null writes until the text ends or the context is full.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Texts that end the output where they appear, across token boundaries; they are not part of it.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Token ids that end the output, beside the checkpoint's end-of-text ids. The id is in the result's ids, its text is not in
    /// the text.</summary>
    public IReadOnlyList<int> StopIds { get; init; } = [];

    /// <summary>Go on after the checkpoint's end-of-text ids (for measurements).</summary>
    public bool IgnoreEndOfText { get; init; }

    /// <summary>How the text is speculated. The default writes the same text as plain decoding, faster where it can.</summary>
    public SpeculationOptions Speculation { get; init; } = SpeculationOptions.Auto;

    /// <summary>Read the names of special tokens in the prompt as the tokens themselves. Off, text that somebody typed cannot become a
    /// special token.</summary>
    public bool ParseSpecial { get; init; }

    /// <summary>Put the tokens around the prompt that the tokenizer puts around a text, such as the beginning-of-text token. Off for a prompt
    /// that has them already, as the text of a chat template does.</summary>
    public bool AddSpecial { get; init; } = true;

    /// <inheritdoc/>
    public override void Validate(int vocabSize)
    {
        base.Validate(vocabSize);
        Require(MaxTokens is null or >= 1, nameof(MaxTokens), MaxTokens, "1 or more");
        foreach (var id in StopIds)
        {
            Require(id >= 0 && id < vocabSize, nameof(StopIds), id, $"a token id between 0 and {vocabSize - 1}");
        }
    }
}
