using System.Diagnostics;
using NativeSpec.Backends;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Model;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.TreeLayouts;
using NativeSpec.Tensors;

namespace NativeSpec.Speculation.Medusa;

/// <summary>How Medusa heads are turned into candidates.</summary>
public sealed record MedusaOptions
{
    /// <summary>The tree that is filled every round; null for a tree that follows the heads' probabilities, which is the better one where
    /// the heads know what they know.</summary>
    public TreeLayout? Tree { get; init; }

    /// <summary>Tokens that are considered for each place of a dynamic tree.</summary>
    public int TopK { get; init; } = 10;

    /// <summary>The name under which statistics and options know the heads.</summary>
    public string Name { get; init; } = "medusa";
}

/// <summary>Medusa heads as a source of candidates. The heads read the hidden state that chose the tree's root, so head h, counted from 0,
/// proposes the tokens at depth h + 1.</summary>
/// <remarks>The heads of all requests share one set of buffers: drafters of one source are called by one thread at a time, which is also
/// the one that uses the backend.</remarks>
public sealed class MedusaDrafterSource : IDrafterSource
{
    private readonly HeadsModel _forward;
    private readonly TreeLayout? _tree;
    private readonly LevelWorth _head = new();

    /// <summary>Puts the heads on a backend.</summary>
    /// <param name="heads">The heads; their memory must outlive the source.</param>
    /// <param name="model">The model that they belong to.</param>
    /// <param name="lmHead">The model's output matrix, for heads without one of their own.</param>
    /// <param name="backend">Where they are computed; stays the caller's.</param>
    /// <param name="options">The tree and its limits; defaults when null.</param>
    /// <exception cref="ModelFormatException">The heads belong to another model.</exception>
    /// <exception cref="ArgumentException">The tree is deeper than the heads are many or wider than their vocabulary.</exception>
    internal MedusaDrafterSource(MedusaHeads heads, LlamaConfig model, TensorView lmHead, IBackend backend, MedusaOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(heads);
        ArgumentNullException.ThrowIfNull(lmHead);
        ArgumentNullException.ThrowIfNull(backend);
        options ??= new MedusaOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.TopK, 1, nameof(options));
        ArgumentException.ThrowIfNullOrEmpty(options.Name, nameof(options));
        heads.RequireFit(model);
        options.Tree?.RequireFit(heads.Heads.Count, heads.Rows ?? model.VocabSize);
        Name = options.Name;
        _tree = options.Tree;
        _forward = new HeadsModel(heads, lmHead, backend, _tree?.Width ?? options.TopK, maxStates: 1);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public IDrafter Start(ReadOnlyMemory<int> prompt) => new MedusaDrafter(_forward, _tree, _head);

    /// <inheritdoc/>
    public void Dispose() => _forward.Dispose();
}

/// <summary>The candidates of one request. Both kinds of tree grow from the most to the least likely path, its likelihood being the product
/// of the heads' probabilities, until the budget is spent: so what is left out is what is least likely. Heads that are not expected to pay
/// are not computed.</summary>
internal sealed class MedusaDrafter(HeadsModel forward, TreeLayout? layout, LevelWorth head) : IDrafter
{
    // Ordered by likelihood, then by age, so that equal likelihoods give the same tree everywhere.
    private readonly PriorityQueue<Candidate, (float Unlikely, int Age)> _frontier = new();
    private float[] _hidden = [];
    private int _age;

    public void Propose(DraftContext context, DraftTree tree)
    {
        var depth = Math.Min(Math.Min(forward.Count, context.MaxDepth), layout?.Depth ?? int.MaxValue);
        if (_hidden.Length == 0 || depth < 1 || context.Budget < 1)
        {
            return;
        }

        depth = HeadsThatPay(context, depth);
        if (depth == 0)
        {
            return;
        }

        var began = Stopwatch.GetTimestamp();
        forward.Run(_hidden, depth);
        head.ObserveSeconds(Stopwatch.GetElapsedTime(began).TotalSeconds / depth);
        head.ObserveChance(forward.Tokens(0, 0).Length == 0 ? 0 : context.ChanceOf(parent: 0, forward.Tokens(0, 0)[0], rank: 0, forward.Probabilities(0, 0)[0]));
        _frontier.Clear();
        _age = 0;
        AddChildren(new Candidate(Parent: -1, Node: 0, Head: -1, Rank: 0, Above: 1, Likelihood: 1), treeNode: 0, depth);
        for (var added = 0; added < context.Budget && _frontier.TryDequeue(out var best, out _); added++)
        {
            var node = tree.Add(best.Parent, forward.Tokens(0, best.Head)[best.Rank], best.Rank, forward.Probabilities(0, best.Head)[best.Rank]);
            if (node < 0)
            {
                return; // the tree is full
            }

            AddChildren(best, node, depth);
            if (layout is null)
            {
                AddCandidate(best.Parent, 0, best.Head, best.Rank + 1, best.Above);
            }
        }
    }

    public void Observe(RoundOutcome outcome)
    {
        var hidden = outcome.Hidden(outcome.AcceptedPath[^1]);
        if (_hidden.Length != hidden.Length)
        {
            _hidden = new float[hidden.Length];
        }

        hidden.CopyTo(_hidden);
    }

    public void Dispose() => _frontier.Clear();

    /// <summary>How many heads to compute: the first, if its token would pay if it were certain, and each further one if it would pay where all
    /// before it are as often right as usual. Where none can pay, one is computed now and then to time it again.</summary>
    private int HeadsThatPay(DraftContext context, int most)
    {
        var (price, chance) = (head.CostOfLevel(context) + LevelWorth.CostOfNode(context, nodes: 1), 1.0);
        var heads = 0;
        for (; heads < most && chance > price; heads++)
        {
            chance *= head.UsualChance;
        }

        return heads == 0 && head.IsTimeToTry() ? 1 : heads;
    }

    /// <summary>Of a layout's node all children become candidates; without a layout the first one does, and brings its siblings.</summary>
    private void AddChildren(in Candidate parent, int treeNode, int depth)
    {
        if (parent.Head + 1 >= depth)
        {
            return;
        }

        if (layout is null)
        {
            AddCandidate(treeNode, 0, parent.Head + 1, 0, parent.Likelihood);
            return;
        }

        var (begin, end) = layout.Children(parent.Node);
        for (var child = begin; child < end; child++)
        {
            AddCandidate(treeNode, child, parent.Head + 1, layout.Ranks[child], parent.Likelihood);
        }
    }

    private void AddCandidate(int treeNode, int layoutNode, int head, int rank, float above)
    {
        if (rank < forward.Tokens(0, head).Length)
        {
            var likelihood = above * forward.Probabilities(0, head)[rank];
            _frontier.Enqueue(new Candidate(treeNode, layoutNode, head, rank, above, likelihood), (-likelihood, _age++));
        }
    }

    /// <summary>A node that may be added.</summary>
    /// <param name="Parent">Its parent in the tree.</param>
    /// <param name="Node">Its node in the layout.</param>
    /// <param name="Head">The head that proposes it: its depth less one.</param>
    /// <param name="Rank">Its place among that head's tokens.</param>
    /// <param name="Above">Product of the probabilities on its parent's path.</param>
    /// <param name="Likelihood">Product of the probabilities on its path.</param>
    private readonly record struct Candidate(int Parent, int Node, int Head, int Rank, float Above, float Likelihood);
}
