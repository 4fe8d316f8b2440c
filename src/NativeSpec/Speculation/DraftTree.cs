using NativeSpec.Sampling;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation;

/// <summary>The candidates of one round for one sequence: a trie of token paths below the root, the last token of the text. Equal paths
/// from different drafters are one node that remembers every drafter that proposed it.</summary>
/// <remarks>
/// <para>Drafters only add. What they add may be any token at any node: ids outside the vocabulary, nodes that do not exist, nodes past the
/// capacity and nodes that would break one of the rules below are ignored and reported by −1, so that a drafter can be wrong but not harmful.
/// Storage is sized once.</para>
/// <para>The rules that keep the text's distribution are the tree's own. It takes proposals only during a drafter's turn, and turns never go
/// back from those that sample to those that do not. One drafter samples at a node. From then on the node's other children are fixed:
/// the tokens were drawn from a distribution without them, so one that came later would never have been taken out of it. Forced, that is
/// computed whatever it costs, is a node at which children were sampled, because leaving it out for what was drawn there would bias the text; so
/// is a probe. A forced node brings its ancestors, and all of them together stay within the sequence's part of the round.</para>
/// </remarks>
public sealed class DraftTree
{
    private const int None = -1;

    private readonly int _vocabSize;
    private readonly int[] _tokens;
    private readonly int[] _parents;
    private readonly int[] _depths;
    private readonly int[] _firstChild;
    private readonly int[] _nextSibling;
    private readonly int[] _firstProposal;
    private readonly bool[] _isProbe;
    private readonly bool[] _isForced;
    private readonly SampledChildren?[] _sampled;
    private readonly List<SampledChildren> _samples = []; // made when first needed; the first _sampleCount of them are this round's
    private readonly Proposal[] _proposals;
    private int _maxDepth;
    private int _sampleCount;
    private int _mostForced;
    private bool _isOpen;
    private int _drafter;
    private DraftKind _kind;

    /// <summary>Makes a tree that holds only a root.</summary>
    /// <param name="capacity">Most nodes, the root and probes included.</param>
    /// <param name="vocabSize">Token ids are below this.</param>
    /// <param name="root">The last token of the text.</param>
    /// <param name="maxDepth">Nodes deeper than this cannot be added.</param>
    public DraftTree(int capacity, int vocabSize, int root = 0, int maxDepth = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabSize, 1);
        _vocabSize = vocabSize;
        _tokens = new int[capacity];
        _parents = new int[capacity];
        _depths = new int[capacity];
        _firstChild = new int[capacity];
        _nextSibling = new int[capacity];
        _firstProposal = new int[capacity];
        _isProbe = new bool[capacity];
        _isForced = new bool[capacity];
        _sampled = new SampledChildren?[capacity];
        _proposals = new Proposal[2 * capacity];
        Reset(root, maxDepth);
    }

    /// <summary>Most nodes.</summary>
    public int Capacity => _tokens.Length;

    /// <summary>Nodes in the tree.</summary>
    public int Count { get; private set; }

    /// <summary>Nodes that are computed whatever they cost: the root, probes, nodes at which children were sampled, and all above them.</summary>
    internal int ForcedCount { get; private set; }

    /// <summary>Probes that may still be added in this turn.</summary>
    internal int ProbesLeft { get; private set; }

    /// <summary>How many more nodes may be computed whatever they cost.</summary>
    internal int ForcedLeft => _mostForced - ForcedCount;

    /// <summary>Proposals made: at least one per node but the root and probes.</summary>
    internal int ProposalCount { get; private set; }

    /// <summary>A node's token.</summary>
    public int Token(int node) => _tokens[Check(node)];

    /// <summary>A node's parent; −1 for the root.</summary>
    public int Parent(int node) => _parents[Check(node)];

    /// <summary>A node's distance from the root.</summary>
    public int Depth(int node) => _depths[Check(node)];

    /// <summary>Whether the node is only looked through: its logits go back to its drafter, and it is never accepted.</summary>
    public bool IsProbe(int node) => _isProbe[Check(node)];

    /// <summary>The child of a node with this token that may be accepted; −1 where there is none.</summary>
    public int FindChild(int node, int token)
    {
        for (var child = _firstChild[Check(node)]; child != None; child = _nextSibling[child])
        {
            if (_tokens[child] == token && !_isProbe[child])
            {
                return child;
            }
        }

        return None;
    }

    /// <summary>Proposes that <paramref name="token"/> follows a node.</summary>
    /// <param name="parent">A node of this tree that is no probe.</param>
    /// <param name="token">The token.</param>
    /// <param name="rank">0 for the drafter's first choice at this node, 1 for its second, …</param>
    /// <param name="confidence">The drafter's own probability of the token, 0 to 1; 0 where it has no idea.</param>
    /// <returns>The node, new or already there; −1 if it cannot be added.</returns>
    public int Add(int parent, int token, int rank = 0, float confidence = 0)
    {
        if (!CanAdd(parent, token) || _isProbe[parent])
        {
            return None;
        }

        var node = FindChild(parent, token);
        if (node == None)
        {
            if (_sampled[parent] is not null || Count == Capacity || ProposalCount == _proposals.Length)
            {
                return None;
            }

            node = Append(parent, token);
        }

        Propose(node, rank, confidence);
        return node;
    }

    /// <summary>Adds a node that is computed but never accepted; probes are not shared.</summary>
    /// <returns>The node; −1 if it cannot be added, also when the round's probes are used up.</returns>
    public int AddProbe(int parent, int token)
    {
        if (!CanAdd(parent, token) || Count == Capacity || ProbesLeft <= 0 || UnforcedOnPath(parent) >= ForcedLeft)
        {
            return None;
        }

        ProbesLeft--;
        var node = Append(parent, token);
        _isProbe[node] = true;
        Force(node);
        return node;
    }

    /// <summary>Samples children of a node without replacement: takes the node's children so far out of the distribution, which fixes them.</summary>
    /// <param name="node">A node of this tree.</param>
    /// <param name="draft">The draft's distribution after it.</param>
    /// <returns>What draws them; null when nothing is left to draw, the node cannot have children or be forced, or another drafter has sampled
    /// there.</returns>
    /// <exception cref="InvalidOperationException">The turn is that of a drafter that does not sample.</exception>
    internal SampledChildren? Sample(int node, TokenDistribution draft)
    {
        RequireSampling();
        if (_sampled[Check(node)] is not null || !HasRoomBelow(node) || UnforcedOnPath(node) > ForcedLeft)
        {
            return null;
        }

        if (_samples.Count == _sampleCount)
        {
            _samples.Add(new SampledChildren(this, _vocabSize));
        }

        var children = _samples[_sampleCount];
        if (!children.Begin(node, draft))
        {
            return null;
        }

        _sampleCount++;
        Force(node);
        return _sampled[node] = children;
    }

    /// <summary>The children of a node that were sampled, in the order they were drawn; null where nothing was.</summary>
    internal SampledChildren? Sampled(int node) => _sampled[Check(node)];

    /// <summary>Whether children were drawn at a node, so that the residual walk decides which of them the text goes on to.</summary>
    internal bool HasDrawn(int node) => Sampled(node) is { Drawn.Length: > 0 };

    /// <summary>Whether the node is computed whatever it costs.</summary>
    internal bool IsForced(int node) => _isForced[Check(node)];

    /// <summary>Whether a candidate can be added below the node, as far as room goes.</summary>
    internal bool HasRoomBelow(int parent)
        => _isOpen && (uint)parent < (uint)Count && !_isProbe[parent] && _depths[parent] < _maxDepth && Count < Capacity && ProposalCount < _proposals.Length;

    /// <summary>Adds a child that was drawn; <see cref="SampledChildren"/> calls it, and nobody else.</summary>
    internal int AppendSampled(int parent, int token)
    {
        RequireSampling();
        var node = Append(parent, token);
        Propose(node, 0, 0);
        return node;
    }

    /// <summary>Empties the tree but for a new root, and leaves it open to one drafter, number 0: for use without an engine.</summary>
    /// <param name="root">The last token of the text.</param>
    /// <param name="maxDepth">Nodes deeper than this cannot be added, because the text or its context ends there.</param>
    internal void Reset(int root, int maxDepth)
    {
        BeginRound(root, maxDepth, Capacity);
        BeginTurn(drafter: 0, DraftKind.Text, probes: Capacity);
    }

    /// <summary>Empties the tree but for a new root. Nothing can be added before a drafter's turn.</summary>
    /// <param name="root">The last token of the text.</param>
    /// <param name="maxDepth">Nodes deeper than this cannot be added, because the text or its context ends there.</param>
    /// <param name="mostForced">Most nodes that are computed whatever they cost, the root among them.</param>
    internal void BeginRound(int root, int maxDepth, int mostForced)
    {
        Array.Clear(_sampled, 0, Count);
        (Count, ProposalCount, ForcedCount, _sampleCount) = (0, 0, 1, 0);
        (_maxDepth, _mostForced) = (maxDepth, mostForced);
        (_isOpen, _kind) = (false, DraftKind.Text);
        _isForced[Append(None, root)] = true;
    }

    /// <summary>Opens the tree to a drafter.</summary>
    /// <param name="drafter">Its number.</param>
    /// <param name="kind">What it proposes from.</param>
    /// <param name="probes">Most probes that it may add.</param>
    /// <exception cref="InvalidOperationException">A drafter of a later kind has had its turn already.</exception>
    internal void BeginTurn(int drafter, DraftKind kind, int probes)
    {
        if (kind < _kind)
        {
            throw new InvalidOperationException($"a drafter of kind {kind} has its turn before those of kind {_kind}, not after them");
        }

        (_isOpen, _drafter, _kind, ProbesLeft) = (true, drafter, kind, probes);
    }

    /// <summary>Closes the tree until the next turn: what a drafter tries to add outside its own is ignored.</summary>
    internal void EndTurn() => _isOpen = false;

    /// <summary>A node's newest child, probes included; −1 if it has none.</summary>
    internal int FirstChild(int node) => _firstChild[Check(node)];

    /// <summary>The next older child of the same parent; −1 after the last.</summary>
    internal int NextSibling(int node) => _nextSibling[Check(node)];

    /// <summary>First entry of a node's list of proposals, −1 if it has none.</summary>
    internal int FirstProposal(int node) => _firstProposal[Check(node)];

    internal ref readonly Proposal ProposalAt(int index) => ref _proposals[index];

    private bool CanAdd(int parent, int token)
        => _isOpen && (uint)parent < (uint)Count && (uint)token < (uint)_vocabSize && _depths[parent] < _maxDepth;

    private int Check(int node)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)node, (uint)Count, nameof(node));
        return node;
    }

    private void RequireSampling()
    {
        if (!_isOpen || _kind != DraftKind.Sampled)
        {
            throw new InvalidOperationException("children are sampled in the turn of a drafter that samples");
        }
    }

    /// <summary>Has a node computed, and all above it.</summary>
    private void Force(int node)
    {
        for (; !_isForced[node]; node = _parents[node])
        {
            _isForced[node] = true;
            ForcedCount++;
        }
    }

    /// <summary>How many nodes become forced with this one.</summary>
    private int UnforcedOnPath(int node)
    {
        var count = 0;
        for (; !_isForced[node]; node = _parents[node])
        {
            count++;
        }

        return count;
    }

    private int Append(int parent, int token)
    {
        var node = Count++;
        _tokens[node] = token;
        _parents[node] = parent;
        _depths[node] = parent == None ? 0 : _depths[parent] + 1;
        _firstChild[node] = None;
        _firstProposal[node] = None;
        _isProbe[node] = false;
        _isForced[node] = false;
        _nextSibling[node] = None;
        if (parent != None)
        {
            _nextSibling[node] = _firstChild[parent];
            _firstChild[parent] = node;
        }

        return node;
    }

    /// <summary>Notes who proposed a node; a drafter that repeats itself counts once.</summary>
    private void Propose(int node, int rank, float confidence)
    {
        for (var i = _firstProposal[node]; i != None; i = _proposals[i].Next)
        {
            if (_proposals[i].Drafter == _drafter)
            {
                return;
            }
        }

        if (ProposalCount == _proposals.Length)
        {
            return;
        }

        var sure = float.IsNaN(confidence) ? 0 : Math.Clamp(confidence, 0, 1);
        _proposals[ProposalCount] = new Proposal(_drafter, _depths[node], Math.Max(rank, 0), sure, _firstProposal[node]);
        _firstProposal[node] = ProposalCount++;
    }

    /// <summary>Who proposed a node of which depth, and how sure it was.</summary>
    internal readonly record struct Proposal(int Drafter, int Depth, int Rank, float Confidence, int Next);
}
