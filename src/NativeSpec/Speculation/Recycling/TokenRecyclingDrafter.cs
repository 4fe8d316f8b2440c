using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Recycling;

/// <summary>How <see cref="TokenRecyclingDrafter"/> drafts.</summary>
public sealed record TokenRecyclingOptions
{
    /// <summary>Successors kept for each token; 1 to 64. The table has 4·K bytes per token of the vocabulary.</summary>
    public int K { get; init; } = 8;

    /// <summary>The deepest candidate; 1 to 64.</summary>
    public int MaxDepth { get; init; } = 6;
}

/// <summary>Token recycling: keeps, for every token, the K most likely successors in the logits that were computed last after it, and
/// drafts by walking that table.</summary>
/// <remarks>
/// <para>Luo et al., "Turning Trash into Treasure: Accelerating Inference of Large Language Models with Token Recycling", 2024. The table
/// learns from every computed node, those not accepted and probes included; what the round throws away is what it lives on. It is
/// kept across requests, so a source belongs to one model.</para>
/// <para>The engine's scheduler thread alone calls the sessions of a source, so the table needs no lock.</para>
/// </remarks>
public sealed class TokenRecyclingDrafter : IDrafterSource
{
    private readonly TokenRecyclingOptions _options;
    private readonly SuccessorTable _table;

    /// <summary>Makes a source with an empty table.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public TokenRecyclingDrafter(TokenRecyclingOptions? options = null)
    {
        _options = options ?? new TokenRecyclingOptions();
        OptionRange.Require(nameof(TokenRecyclingOptions.K), _options.K, 1, TopTokens.MaxCount);
        OptionRange.Require(nameof(TokenRecyclingOptions.MaxDepth), _options.MaxDepth, 1, 64);
        _table = new SuccessorTable(_options.K);
    }

    /// <inheritdoc/>
    public string Name => "recycle";

    /// <inheritdoc/>
    public IDrafter Start(ReadOnlyMemory<int> prompt) => new TokenRecyclingSession(_table, _options.MaxDepth);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
