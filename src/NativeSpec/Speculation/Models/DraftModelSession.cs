using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeSpec.Model;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Models;

/// <summary>One request's drafts by a draft model: catch up with the text, then level by level the most probable continuations.</summary>
/// <remarks>Every token goes through the model once. A draft's tree grows on the keys and values of the levels above it, and what the text
/// takes of it stays in the cache: then only the last accepted candidate and the target's own token are new.</remarks>
internal sealed class DraftModelSession : IDrafter
{
    private const int DeclinesPerTiming = 64;

    private readonly DraftModelSource _source;
    private readonly KvSequence _kv;
    private readonly Forest _forest = new(1);
    private readonly TokenTree _tree;
    private readonly List<int> _text = [];      // the text in the draft's tokens; the first _kv.Length of them are computed
    private readonly List<Leaf> _frontier = [];
    private readonly List<Leaf> _next = [];
    private readonly float[] _weights;          // [draft vocab]
    private readonly int[] _top;                // [width] the likeliest tokens after a node
    private readonly float[] _probabilities;    // [width] theirs
    private readonly SampledChildren?[] _sampled;
    private readonly List<int> _path = [];      // nodes of the last draft that the text has taken
    private int _textSeen;                      // target tokens that _text holds
    private int _root;                          // node of the text's last token
    private int _computed;                      // nodes whose keys and values are in the cache
    private int _levels;                        // forwards of the draft at hand
    private int _declined;

    public DraftModelSession(DraftModelSource source, KvSequence kv)
    {
        _source = source;
        _kv = kv;
        _tree = new TokenTree(DraftModelSource.Chunk + (source.Options.Depth * source.Options.Width));
        _weights = new float[source.Model.Config.VocabSize];
        _sampled = new SampledChildren?[source.Options.Depth];
        (_top, _probabilities) = (new int[source.Options.Width], new float[source.Options.Width]);
    }

    public void Propose(DraftContext context, DraftTree tree)
    {
        for (; _textSeen < context.Text.Length; _textSeen++)
        {
            _source.Vocabulary.AppendToDraft(context.Text[_textSeen], _text);
        }

        var depth = Math.Min(_source.Options.Depth, Math.Min(context.MaxDepth, context.Budget));
        if (depth <= 0 || _text.Count == 0 || _text.Count + depth > _source.MaxContext || !MayPay(context))
        {
            return;
        }

        try
        {
            CatchUp();
            (_levels, var began) = (0, Stopwatch.GetTimestamp());
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

    public void Dispose() => _kv.Dispose();

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

    /// <summary>Whether a candidate would pay for its forward if it were certain. Where none can, the text is not even read; but the forward
    /// is timed again now and then, lest one bad moment decide for good.</summary>
    private bool MayPay(DraftContext context)
    {
        if (CostOfLevel(context) + CostOfNode(context, nodes: 1) < 1)
        {
            return true;
        }

        if (++_declined % DeclinesPerTiming == 0)
        {
            StartTree(1);
            (_levels, var began) = (0, Stopwatch.GetTimestamp());
            Forward(_root);
            ObserveTime(began);
        }

        return false;
    }

    /// <summary>Commits what the text has taken of the last draft, and computes what it has gained besides but for its last tokens, which are
    /// the trunk that the next draft grows from.</summary>
    private void CatchUp()
    {
        CommitDrafted();
        while (_text.Count - _kv.Length > DraftModelSource.Chunk)
        {
            StartTree(DraftModelSource.Chunk);
            Forward(firstLogitNode: _tree.Count);
            _kv.CommitChain(_tree.Count);
        }

        StartTree(_text.Count - _kv.Length);
    }

    /// <summary>Begins a tree with the next tokens of the text; what was computed of another is forgotten.</summary>
    private void StartTree(int tokens)
    {
        _computed = 0;
        _tree.Clear();
        _tree.AddChain(CollectionsMarshal.AsSpan(_text).Slice(_kv.Length, tokens));
        _root = tokens - 1;
    }

    /// <summary>Follows the text down the last tree. Its last token is left out: the next draft needs the logits after it.</summary>
    private void CommitDrafted()
    {
        _path.Clear();
        for (var node = _computed > 0 ? 0 : -1; node >= 0 && _kv.Length + _path.Count < _text.Count - 1;)
        {
            _path.Add(node);
            node = ComputedChild(node, _text[_kv.Length + _path.Count]);
        }

        _kv.Commit(CollectionsMarshal.AsSpan(_path));
    }

    private int ComputedChild(int parent, int token)
    {
        for (var node = parent + 1; node < _computed; node++)
        {
            if (_tree.Parents[node] == parent && _tree.Tokens[node] == token)
            {
                return node;
            }
        }

        return -1;
    }

    /// <summary>Learns what a level takes, unless the first one read a piece of text besides.</summary>
    private void ObserveTime(long began)
    {
        if (_levels > 0 && _root < Math.Max(_source.Options.Width, 2))
        {
            _source.ObserveLevels(Stopwatch.GetElapsedTime(began).TotalSeconds / _levels);
        }
    }

    /// <summary>The most probable paths: at each level the best nodes by the product of probabilities, whatever their parents. There is
    /// a next level while it may be expected to pay.</summary>
    private void ProposeLevels(DraftContext context, DraftTree tree, int depth)
    {
        var (width, budget) = (_source.Options.Width, context.Budget);
        _frontier.Clear();
        _frontier.Add(new Leaf(0, _root, 1, 1, 0, 1, 0));
        for (var level = 0; level < depth && budget > 0 && (level == 0 || NextLevelPays(context, tree)); level++)
        {
            Forward(_frontier[0].DraftNode);
            _next.Clear();
            foreach (var leaf in _frontier)
            {
                Expand(context, tree, leaf);
            }

            _next.Sort(Leaf.ByPath);
            _source.ObserveChance(_next.Count == 0 ? 0 : _next[0].Chance / _frontier[0].Chance);
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
                    _frontier.Add(leaf with { TreeNode = node, DraftNode = _tree.Add(leaf.DraftNode, leaf.Token) });
                }
            }
        }
    }

    /// <summary>Drops the paths whose next candidate is not expected to be worth its verification, and says whether what the others may bring
    /// is worth a level of the draft.</summary>
    private bool NextLevelPays(DraftContext context, DraftTree tree)
    {
        var (node, gain) = (CostOfNode(context, tree.Count), 0.0);
        var kept = 0;
        for (var i = 0; i < _frontier.Count; i++)
        {
            var surplus = (_frontier[i].Chance * _source.UsualChance) - node;
            if (surplus > 0)
            {
                gain += surplus;
                _frontier[kept++] = _frontier[i];
            }
        }

        _frontier.RemoveRange(kept, _frontier.Count - kept);
        return gain > CostOfLevel(context);
    }

    /// <summary>What a forward of the draft costs, in tokens that could be written meanwhile.</summary>
    private double CostOfLevel(DraftContext context) => _source.SecondsPerLevel * context.TokensPerSecond;

    /// <summary>What verifying one node more costs, in tokens that could be written meanwhile.</summary>
    private static double CostOfNode(DraftContext context, int nodes) => context.SecondsOfNodeAfter(nodes) * context.TokensPerSecond;

    private void Expand(DraftContext context, DraftTree tree, Leaf leaf)
    {
        var depth = tree.Depth(leaf.TreeNode) + 1;
        var count = SelectLikeliest(leaf.DraftNode);
        for (var rank = 0; rank < count; rank++)
        {
            var p = _probabilities[rank];
            var isAgreed = tree.FindChild(leaf.TreeNode, _source.Vocabulary.ToTarget(_top[rank])) >= 0;
            var chance = leaf.Chance * context.ChanceOf(depth, rank, p, isAgreed);
            _next.Add(new Leaf(leaf.TreeNode, leaf.DraftNode, leaf.Path * p, chance, rank, p, _top[rank]));
        }
    }

    /// <summary>A chain of tokens drawn from the distribution that the request asks for. How deep it goes depends on the path alone, never on
    /// a token after it was drawn.</summary>
    private void Draw(DraftContext context, DraftTree tree, int depth)
    {
        var (node, draftNode) = (0, _root);
        for (var level = 0; level < depth; level++)
        {
            Forward(draftNode);
            var q = context.ProcessDraft(_source.Model.Logits(_forest.LogitRow(0, draftNode)), _source.Vocabulary);
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
            draftNode = _tree.Add(draftNode, _source.Vocabulary.ToDraft(token));
            node = child;
        }
    }

    /// <summary>Another vocabulary: the draft writes text, which is tokenized anew.</summary>
    private void ProposeThroughText(DraftTree tree, int depth)
    {
        Span<int> drafted = stackalloc int[depth];
        var confidence = 1f;
        for (var level = 0; level < depth; level++)
        {
            Forward(_root + level);
            SelectLikeliest(_root + level);
            drafted[level] = _top[0];
            confidence *= _probabilities[0];
            _tree.Add(_root + level, drafted[level]);
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

    /// <summary>Computes the nodes that are new.</summary>
    private void Forward(int firstLogitNode)
    {
        _forest.Clear();
        _forest.Add(_kv, _tree, firstLogitNode, _computed);
        _source.Model.Forward(_forest);
        _computed = _tree.Count;
        _levels++;
    }

    /// <summary>Finds the likeliest tokens after a node, and their probabilities; returns how many.</summary>
    private int SelectLikeliest(int draftNode)
    {
        var logits = _source.Model.Logits(_forest.LogitRow(0, draftNode));
        return TopTokens.SelectLikeliest(logits, LogitScan.Max(logits, _text.Count), _weights, _top, _probabilities);
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
