namespace NativeSpec.Speculation.PromptLookup;

/// <summary>How <see cref="PromptLookupDrafter"/> copies.</summary>
public sealed record PromptLookupOptions
{
    /// <summary>Copies only where at least this many tokens agree; 1 to 64. Short matches carry little confidence, so that the planner
    /// computes them only where they pay.</summary>
    public int MinMatch { get; init; } = 1;

    /// <summary>Most tokens of a branch; 1 to 256. A branch has at most four tokens for each token of agreement.</summary>
    public int MaxDraft { get; init; } = 16;

    /// <summary>Most branches at the root; 1 to 16.</summary>
    public int MaxBranches { get; init; } = 4;
}

/// <summary>Prompt lookup: looks for the end of the text earlier in prompt and output, and proposes what came after it there.</summary>
/// <remarks>Prompt lookup decoding is Saxena's (2023); the suffix automaton, which finds the longest match in O(1) per token however long
/// the text, is SAM-Decoding's (Hu et al. 2024). <see cref="PromptLookupSession"/> tells how the branches are chosen.</remarks>
public sealed class PromptLookupDrafter : IDrafterSource
{
    private readonly PromptLookupOptions _options;

    /// <summary>Makes a source.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public PromptLookupDrafter(PromptLookupOptions? options = null)
    {
        _options = options ?? new PromptLookupOptions();
        OptionRange.Require(nameof(PromptLookupOptions.MinMatch), _options.MinMatch, 1, 64);
        OptionRange.Require(nameof(PromptLookupOptions.MaxDraft), _options.MaxDraft, 1, 256);
        OptionRange.Require(nameof(PromptLookupOptions.MaxBranches), _options.MaxBranches, 1, 16);
    }

    /// <inheritdoc/>
    public string Name => "lookup";

    /// <inheritdoc/>
    public IDrafter Start(ReadOnlyMemory<int> prompt) => new PromptLookupSession(_options, prompt.Length);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
