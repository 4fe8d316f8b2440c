namespace NativeSpec.Speculation.Lookahead;

/// <summary>The (W, N, G) of <see cref="LookaheadDrafter"/>; the defaults are those of the paper's repository.</summary>
public sealed record LookaheadOptions
{
    /// <summary>W, the columns of the window; 0 to 256. 0: no window, the pool is fed by the text alone.</summary>
    public int Window { get; init; } = 7;

    /// <summary>N, the length of an n-gram with its key; 2 to 32.</summary>
    public int Level { get; init; } = 5;

    /// <summary>G, the most n-grams kept for a key and verified in a round; 1 to 256.</summary>
    public int Guesses { get; init; } = 7;

    /// <summary>Whether the pool begins with the prompt's n-grams.</summary>
    public bool PoolFromPrompt { get; init; } = true;
}

/// <summary>Lookahead decoding: solves for several future tokens at once by Jacobi iteration in a window of probes, gathers the n-grams
/// that the iteration passes through in a pool, and proposes those that begin with the last token.</summary>
/// <remarks>Fu, Bailis, Stoica, Zhang, "Break the Sequential Dependency of LLM Inference Using Lookahead Decoding", 2024. Window and
/// guesses stand in the round's one tree: the guesses as ordinary branches, the window as probes (<see cref="LookaheadWindow"/>).</remarks>
public sealed class LookaheadDrafter : IDrafterSource
{
    private readonly LookaheadOptions _options;

    /// <summary>Makes a source.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public LookaheadDrafter(LookaheadOptions? options = null)
    {
        _options = options ?? new LookaheadOptions();
        OptionRange.Require(nameof(LookaheadOptions.Window), _options.Window, 0, 256);
        OptionRange.Require(nameof(LookaheadOptions.Level), _options.Level, 2, 32);
        OptionRange.Require(nameof(LookaheadOptions.Guesses), _options.Guesses, 1, 256);
    }

    /// <inheritdoc/>
    public string Name => "lookahead";

    /// <inheritdoc/>
    public IDrafter Start(ReadOnlyMemory<int> prompt) => new LookaheadSession(_options, prompt.Length);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
