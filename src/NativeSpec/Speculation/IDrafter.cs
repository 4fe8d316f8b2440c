using NativeSpec.Sampling;

namespace NativeSpec.Speculation;

/// <summary>A source of candidates for one sequence. It adds nodes to a tree and learns from what became of them; it knows tokens and
/// nothing else. A drafter that is always wrong costs time, never text.</summary>
/// <remarks>One object serves one request; <see cref="IDrafterSource"/> makes them and holds what requests share. Called by one thread
/// at a time. What it throws ends its request, not its neighbours.</remarks>
public interface IDrafter : IDisposable
{
    /// <summary>Adds candidates below the root. May add nothing.</summary>
    void Propose(DraftContext context, DraftTree tree);

    /// <summary>Sees what became of a round. The first round is the prompt's: its tree is the prompt's last token alone. Of rounds for which
    /// the drafter was not asked it may see only some, but always the one before it is asked again; <see cref="DraftContext.Text"/> has
    /// all of the text.</summary>
    void Observe(RoundOutcome outcome);

    /// <summary>Sees the prompt while it is computed, piece by piece, before the first <see cref="Observe"/>: a drafter that reads the text
    /// reads it here, so that no single call has much to read. Optional, since <see cref="Propose"/> is given the whole text too.</summary>
    /// <param name="prompt">The prompt's tokens as far as they are computed, from the first on; each call has more of them, or again fewer
    /// where the prompt is computed anew.</param>
    void ReadPrompt(ReadOnlySpan<int> prompt)
    {
    }
}

/// <summary>Makes the drafters of requests, and holds what they share: a draft model, heads, a table learnt over many requests.</summary>
public interface IDrafterSource : IDisposable
{
    /// <summary>The name under which statistics, traces and options know it: lower case, no spaces.</summary>
    string Name { get; }

    /// <summary>What its drafters propose from, which decides when they are asked.</summary>
    DraftKind Kind => DraftKind.Text;

    /// <summary>A drafter for a request whose prompt is given. Other requests wait meanwhile: what takes long belongs into
    /// <see cref="IDrafter.ReadPrompt"/>.</summary>
    IDrafter Start(ReadOnlyMemory<int> prompt);
}

/// <summary>What became of a round's tree.</summary>
public abstract class RoundOutcome
{
    /// <summary>The tree that the drafters built, all candidates included.</summary>
    public abstract DraftTree Tree { get; }

    /// <summary>The tokens that the round added to the text: the accepted path below the root, then one more that the target chose.</summary>
    public abstract ReadOnlySpan<int> Emitted { get; }

    /// <summary>The nodes of the accepted path, the root first; the last one chose the last token of <see cref="Emitted"/>.</summary>
    public abstract ReadOnlySpan<int> AcceptedPath { get; }

    /// <summary>Whether the node was computed; the planner leaves out what does not earn its cost.</summary>
    public abstract bool WasComputed(int node);

    /// <summary>[vocab] the target's logits at a computed node, before any sampling option.</summary>
    public abstract ReadOnlySpan<float> Logits(int node);

    /// <summary>Writes the tokens that the target thinks most likely at a computed node, most likely first, ties by lowest id; −1 where there are fewer.
    /// Where the target computes on a device this is much cheaper than <see cref="Logits"/>, which brings a whole row from there.</summary>
    /// <param name="node">The node.</param>
    /// <param name="ids">[k], at most 64.</param>
    public virtual void Likeliest(int node, Span<int> ids) => TopTokens.Select(Logits(node), ids);

    /// <summary>[hidden] the target's hidden state at a computed node, after the final norm: what the output matrix reads.</summary>
    public abstract ReadOnlySpan<float> Hidden(int node);
}
