using NativeSpec.Model;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Verification;

/// <summary>How one request's tokens are chosen: its rule, the text that the rule looks at, and its random decisions.</summary>
/// <param name="chooser">Works on rows in this process's memory; shared by all requests.</param>
/// <param name="rule">The request's options and seed.</param>
/// <param name="history">Its text.</param>
/// <remarks>A device is told before the forward how every node is chosen from; the processor asks for the nodes that the walk comes to. Both ask
/// here, so the history follows the path to the node that is asked about and comes back.</remarks>
internal sealed class RequestSampling(Chooser chooser, SamplingRule rule, TokenHistory history) : IRowChoices
{
    private PlannedTree? _planned;
    private int _at;    // the computed node that the text ends with
    private int _ahead; // tokens of the history beyond it

    public Chooser Chooser => chooser;

    public SamplingRule Rule => rule;

    public TokenHistory History => history;

    /// <summary>The random decisions of the residual walk.</summary>
    public IChance Chance { get; init; } = new CounterChance(rule.Seed);

    /// <summary>Typical acceptance instead of verification, where the request asks for it.</summary>
    public TypicalPath? Typical { get; init; }

    /// <summary>What stands between a row and the token after the text so far.</summary>
    public RowChoice Choice => history.Choice(rule);

    /// <summary>Begins with a tree that is computed next.</summary>
    /// <param name="planned">The tree, whose root is the text's last token; null for a piece of the prompt, of which only a node that ends the
    /// prompt is chosen from.</param>
    public void Follow(PlannedTree? planned)
    {
        _planned = planned;
        MoveTo(0);
    }

    /// <summary>Notes that the text ends with a computed node now.</summary>
    public void MoveTo(int number)
    {
        ComeBack();
        _at = number;
    }

    RowChoice IRowChoices.Describe(int node)
    {
        ComeBack();
        if (_planned is not null)
        {
            GoTo(node);
        }

        return Choice;
    }

    bool IRowChoices.FollowsToken(int node) => Typical is null && _planned is not null && _planned.Nodes[node].FollowsToken;

    private void GoTo(int node)
    {
        if (node != _at)
        {
            GoTo(_planned!.Nodes[node].Parent);
            history.Push(_planned.Nodes[node].Token);
            _ahead++;
        }
    }

    private void ComeBack()
    {
        for (; _ahead > 0; _ahead--)
        {
            history.Pop();
        }
    }
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
