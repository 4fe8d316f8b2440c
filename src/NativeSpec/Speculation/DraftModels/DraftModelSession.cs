using System.Diagnostics;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Planning;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>One request's drafts by a draft model: catch up with the text, then level by level the most probable continuations, as long as a
/// further level may be expected to pay.</summary>
internal sealed class DraftModelSession : IDrafter
{
    private readonly DraftModelSource _source;
    private readonly DraftReader _reader;
    private readonly List<Leaf> _frontier = [];
    private readonly List<Leaf> _next = [];
    private readonly float[] _weights;       // [draft vocab]
    private readonly int[] _top;             // [width] the likeliest tokens after a node
    private readonly float[] _probabilities; // [width] theirs
    private readonly SampledChildren?[] _sampled;

    public DraftModelSession(DraftModelSource source, KvSequence kv)
    {
        _source = source;
        _reader = new DraftReader(source, kv);
        _weights = new float[source.Model.Config.VocabSize];
        _sampled = new SampledChildren?[source.Options.Depth];
        (_top, _probabilities) = (new int[source.Options.Width], new float[source.Options.Width]);
    }

    public void Propose(DraftContext context, DraftTree tree)
    {
        _reader.Append(context.Text);
        var depth = Math.Min(_source.Options.Depth, Math.Min(context.MaxDepth, context.Budget));
        if (depth <= 0 || _reader.Length == 0 || _reader.Length + depth > _source.MaxContext || !MayPay(context, tree))
        {
            return;
        }

        try
        {
            _reader.CatchUp();
            var began = Stopwatch.GetTimestamp();
            ProposeBelow(context, tree, depth);
            ObserveTime(began);
        }
        catch (NonFiniteLogitsException)
        {
            // A draft model that breaks costs its candidates and nothing else.
        }

        context.PopDrafted();
    }

    public void Observe(RoundOutcome outcome)
    {
        // Nothing to learn: the next draft computes what the text has gained.
    }

    public void Dispose() => _reader.Dispose();

    private void ProposeBelow(DraftContext context, DraftTree tree, int depth)
    {
        if (!_source.Vocabulary.MapsTokens)
        {
            ProposeThroughText(tree, depth);
        }
        else if (context.DrawsDrafts)
        {
            Draw(context, tree, depth);
        }
        else
        {
            ProposeLevels(context, tree, depth);
        }
    }

    /// <summary>Whether a candidate would pay for its forward if it were right wherever those that are there are wrong. Where none can, the text
    /// is not even read; but the forward is timed again now and then, lest one bad moment decide for good.</summary>
    private bool MayPay(DraftContext context, DraftTree tree)
    {
        var level = _source.Level.CostOfLevel(context);
        if (Surplus(context, tree, parent: 0, path: 1, chance: 1) > level)
        {
            return true;
        }

        if (_source.Level.IsTimeToTry(level))
        {
            var began = Stopwatch.GetTimestamp();
            _reader.TryOneToken();
            ObserveTime(began);
        }

        return false;
    }

    /// <summary>Learns what a level takes, unless the first one read a piece of text besides.</summary>
    private void ObserveTime(long began)
    {
        if (_reader.Levels > 0 && _reader.Root < Math.Max(_source.Options.Width, 2))
        {
            _source.Level.ObserveSeconds(Stopwatch.GetElapsedTime(began).TotalSeconds / _reader.Levels);
        }
    }

    /// <summary>The most probable paths: at each level the best nodes by the product of probabilities, whatever their parents. There is
    /// a next level while it may be expected to pay.</summary>
    private void ProposeLevels(DraftContext context, DraftTree tree, int depth)
    {
        var (width, budget) = (_source.Options.Width, context.Budget);
        _frontier.Clear();
        _frontier.Add(new Leaf(0, _reader.Root, 1, 1, 0, 1, 0));
        for (var level = 0; level < depth && budget > 0 && (level == 0 || NextLevelPays(context, tree)); level++)
        {
            _reader.Forward(_frontier[0].DraftNode);
            _next.Clear();
            foreach (var leaf in _frontier)
            {
                Expand(context, leaf);
            }

            _next.Sort(Leaf.ByPath);
            _source.Level.ObserveChance(_next.Count == 0 ? 0 : _next[0].Chance / _frontier[0].Chance);
            _frontier.Clear();
            foreach (var leaf in _next)
            {
                if (_frontier.Count == width || budget == 0 || leaf.Path < _source.Options.StopBelow)
                {
                    break;
                }

                var node = tree.Add(leaf.TreeNode, _source.Vocabulary.ToTarget(leaf.Token), leaf.Rank, leaf.Confidence);
                if (node >= 0)
                {
                    budget--;
                    _frontier.Add(leaf with { TreeNode = node, DraftNode = _reader.Add(leaf.DraftNode, leaf.Token) });
                }
            }
        }
    }

    /// <summary>Drops the paths whose next candidate is not expected to be worth its verification, and says whether what the others may bring
    /// is worth a level of the draft.</summary>
    private bool NextLevelPays(DraftContext context, DraftTree tree)
    {
        var (kept, gain) = (0, 0.0);
        for (var i = 0; i < _frontier.Count; i++)
        {
            var surplus = Surplus(context, tree, _frontier[i].TreeNode, _frontier[i].Chance, _source.Level.UsualChance);
            if (surplus > 0)
            {
                gain += surplus;
                _frontier[kept++] = _frontier[i];
            }
        }

        _frontier.RemoveRange(kept, _frontier.Count - kept);
        return gain > _source.Level.CostOfLevel(context);
    }

    /// <summary>What a candidate of the draft may bring besides those of others that are there: where these are wrong it may be right, and a
    /// node is to be verified for it unless one of them would be in any case.</summary>
    /// <param name="context">Says what is likely and what costs how much.</param>
    /// <param name="tree">The round's tree.</param>
    /// <param name="parent">The node that the candidate would follow.</param>
    /// <param name="path">How likely that one is right.</param>
    /// <param name="chance">How likely the candidate is, if it is.</param>
    private static double Surplus(DraftContext context, DraftTree tree, int parent, double path, double chance)
    {
        var (there, price) = (context.ChanceBelow(parent), LevelWorth.CostOfNode(context, tree.Count));
        return (path * chance * (1 - there)) - (path * there > price ? 0 : price);
    }

    private void Expand(DraftContext context, Leaf leaf)
    {
        var count = SelectLikeliest(leaf.DraftNode);
        for (var rank = 0; rank < count; rank++)
        {
            var p = _probabilities[rank];
            var chance = leaf.Chance * context.ChanceOf(leaf.TreeNode, _source.Vocabulary.ToTarget(_top[rank]), rank, p);
            _next.Add(new Leaf(leaf.TreeNode, leaf.DraftNode, leaf.Path * p, chance, rank, p, _top[rank]));
        }
    }

    /// <summary>A chain of tokens drawn from the distribution that the request asks for. How deep it goes depends on the path alone, never on
    /// a token after it was drawn.</summary>
    private void Draw(DraftContext context, DraftTree tree, int depth)
    {
        var (node, draftNode) = (0, _reader.Root);
        for (var level = 0; level < depth; level++)
        {
            _reader.Forward(draftNode);
            var q = context.ProcessDraft(_reader.Logits(draftNode), _source.Vocabulary);
            var children = _sampled[level] ??= new SampledChildren(q.VocabSize);
            if (!children.Begin(q, tree, node))
            {
                break;
            }

            context.DraftChance.MoveTo(context.Text.Length + level);
            var child = children.DrawInto(tree, node, context.DraftChance);
            if (child < 0)
            {
                break;
            }

            var token = tree.Token(child);
            context.PushDrafted(token);
            draftNode = _reader.Add(draftNode, _source.Vocabulary.ToDraft(token));
            node = child;
        }
    }

    /// <summary>Another vocabulary: the draft writes text, which is tokenized anew.</summary>
    private void ProposeThroughText(DraftTree tree, int depth)
    {
        Span<int> drafted = stackalloc int[depth];
        var (confidence, draftNode) = (1f, _reader.Root);
        for (var level = 0; level < depth; level++)
        {
            _reader.Forward(draftNode);
            SelectLikeliest(draftNode);
            drafted[level] = _top[0];
            confidence *= _probabilities[0];
            draftNode = _reader.Add(draftNode, drafted[level]);
        }

        var node = 0;
        foreach (var token in _source.Vocabulary.Respell(drafted))
        {
            node = tree.Add(node, token, 0, confidence);
            if (node < 0)
            {
                break;
            }
        }
    }

    /// <summary>Finds the likeliest tokens after a node, and their probabilities; returns how many.</summary>
    private int SelectLikeliest(int draftNode)
    {
        var logits = _reader.Logits(draftNode);
        return TopTokens.SelectLikeliest(logits, LogitScan.Max(logits, _reader.Length), _weights, _top, _probabilities);
    }

    /// <summary>A node that may be followed.</summary>
    /// <param name="TreeNode">Its node in the round's tree; before it has one, its parent's.</param>
    /// <param name="DraftNode">The same in the draft's own tree.</param>
    /// <param name="Path">The product of the draft's probabilities along its path.</param>
    /// <param name="Chance">How likely its path is right, by what became of others like it.</param>
    /// <param name="Rank">Its place among its siblings.</param>
    /// <param name="Confidence">The draft's probability of its token.</param>
    /// <param name="Token">Its token in the draft's vocabulary.</param>
    private readonly record struct Leaf(int TreeNode, int DraftNode, double Path, double Chance, int Rank, float Confidence, int Token)
    {
        public static readonly Comparison<Leaf> ByPath = (a, b) =>
        {
            var order = b.Path.CompareTo(a.Path);
            order = order != 0 ? order : a.DraftNode.CompareTo(b.DraftNode);
            return order != 0 ? order : a.Token.CompareTo(b.Token);
        };
    }
}
