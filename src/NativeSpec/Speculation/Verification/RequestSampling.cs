using NativeSpec.Model;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>How one request's tokens are chosen: its rule, the text that the rule looks at, and its random decisions.</summary>
/// <param name="chooser">Works on rows in this process's memory; shared by all requests.</param>
/// <param name="rule">The request's options and seed.</param>
/// <param name="history">Its text.</param>
internal sealed class RequestSampling(Chooser chooser, SamplingRule rule, TokenHistory history)
{
    public Chooser Chooser => chooser;

    public SamplingRule Rule => rule;

    public TokenHistory History => history;

    /// <summary>The random decisions of walks.</summary>
    public IChance Chance { get; init; } = new CounterChance(rule.Seed);

    /// <summary>Typical acceptance instead of verification, where the request asks for it.</summary>
    public TypicalPath? Typical { get; init; }

    /// <summary>What stands between a row and the token after the text so far.</summary>
    public RowChoice Choice => history.Choice(rule);
}

/// <summary>Whose text a walk writes.</summary>
internal interface ITextWriter
{
    /// <summary>Takes the next token into the text, and so into the history that the next one is chosen by.</summary>
    /// <param name="token">The token.</param>
    /// <param name="rows">The rows of the forward.</param>
    /// <param name="row">The one that the token was chosen from.</param>
    /// <returns>Whether the text goes on.</returns>
    bool Take(int token, IForwardResult rows, int row);
}
