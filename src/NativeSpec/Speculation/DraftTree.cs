using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation;

/// <summary>The candidates of one round for one sequence: a trie of token paths below the root, the last token of the text. Equal paths
/// from different drafters are one node that remembers every drafter that proposed it.</summary>
/// <remarks>Drafters only add. What they add may be any token at any node: ids outside the vocabulary, nodes that do not exist and nodes
/// past the capacity are ignored and reported by −1, so that a drafter can be wrong but not harmful. Storage is sized once.</remarks>
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
    private readonly SampledChildren?[] _sampled;
    private readonly Proposal[] _proposals;
    private int _maxDepth;

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
        _sampled = new SampledChildren?[capacity];
        _proposals = new Proposal[2 * capacity];
        Reset(root, maxDepth);
    }

    /// <summary>Most nodes.</summary>
    public int Capacity => _tokens.Length;

    /// <summary>Nodes in the tree.</summary>
    public int Count { get; private set; }

    /// <summary>The drafter whose proposals are being added; set by the engine.</summary>
    public int CurrentDrafter { get; internal set; }

    /// <summary>Probes that may still be added: as many as there is room for, unless the engine sets fewer.</summary>
    internal int ProbesLeft { get; set; }

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

    /// <summary>Proposes that <paramref name="token"/> follows a node. Deterministic: the choice may depend on everything seen so far, not on
    /// chance.</summary>
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
            if (Count == Capacity || ProposalCount == _proposals.Length)
            {
                return None;
            }

            node = Append(parent, token, isProbe: false);
        }

        Propose(node, rank, confidence);
        return node;
    }

    /// <summary>Adds a node that is computed but never accepted; probes are not shared.</summary>
    /// <returns>The node; −1 if it cannot be added, also when the round's probes are used up.</returns>
    public int AddProbe(int parent, int token)
    {
        if (!CanAdd(parent, token) || Count == Capacity || ProbesLeft <= 0)
        {
            return None;
        }

        ProbesLeft--;
        return Append(parent, token, isProbe: true);
    }

    /// <summary>The children of a node that were drawn by chance, in the order they were drawn; null where there are none.</summary>
    internal SampledChildren? Sampled(int node) => _sampled[Check(node)];

    /// <summary>Whether a child can be added below the node.</summary>
    internal bool HasRoomBelow(int parent)
        => (uint)parent < (uint)Count && !_isProbe[parent] && _depths[parent] < _maxDepth && Count < Capacity && ProposalCount < _proposals.Length;

    /// <summary>Adds a child that was drawn by chance. It is in the tree to stay.</summary>
    internal int AddSampled(int parent, int token, SampledChildren children)
    {
        var node = Append(parent, token, isProbe: false);
        _sampled[parent] = children;
        Propose(node, 0, 0);
        return node;
    }

    /// <summary>Empties the tree but for a new root.</summary>
    /// <param name="root">The last token of the text.</param>
    /// <param name="maxDepth">Nodes deeper than this cannot be added, because the text or its context ends there.</param>
    internal void Reset(int root, int maxDepth)
    {
        Array.Clear(_sampled, 0, Count);
        Count = 0;
        ProposalCount = 0;
        _maxDepth = maxDepth;
        ProbesLeft = Capacity;
        Append(None, root, isProbe: false);
    }

    /// <summary>A node's newest child, probes included; −1 if it has none.</summary>
    internal int FirstChild(int node) => _firstChild[Check(node)];

    /// <summary>The next older child of the same parent; −1 after the last.</summary>
    internal int NextSibling(int node) => _nextSibling[Check(node)];

    /// <summary>First entry of a node's list of proposals, −1 if it has none.</summary>
    internal int FirstProposal(int node) => _firstProposal[Check(node)];

    internal ref readonly Proposal ProposalAt(int index) => ref _proposals[index];

    private bool CanAdd(int parent, int token)
        => (uint)parent < (uint)Count && (uint)token < (uint)_vocabSize && _depths[parent] < _maxDepth;

    private int Check(int node)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)node, (uint)Count, nameof(node));
        return node;
    }

    private int Append(int parent, int token, bool isProbe)
    {
        var node = Count++;
        _tokens[node] = token;
        _parents[node] = parent;
        _depths[node] = parent == None ? 0 : _depths[parent] + 1;
        _firstChild[node] = None;
        _firstProposal[node] = None;
        _isProbe[node] = isProbe;
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
            if (_proposals[i].Drafter == CurrentDrafter)
            {
                return;
            }
        }

        if (ProposalCount == _proposals.Length)
        {
            return;
        }

        _proposals[ProposalCount] = new Proposal(CurrentDrafter, _depths[node], Math.Max(rank, 0), Math.Clamp(confidence, 0, 1), _firstProposal[node]);
        _firstProposal[node] = ProposalCount++;
    }

    /// <summary>Who proposed a node of which depth, and how sure it was.</summary>
    internal readonly record struct Proposal(int Drafter, int Depth, int Rank, float Confidence, int Next);
}
