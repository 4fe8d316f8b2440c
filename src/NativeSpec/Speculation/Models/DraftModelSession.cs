using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeSpec.Model;
using NativeSpec.Sampling;

namespace NativeSpec.Speculation.Models;

/// <summary>One request's drafts by a draft model: catch up with the text, then level by level the most probable continuations.</summary>
internal sealed class DraftModelSession : IDrafter
{
    private readonly DraftModelSource _source;
    private readonly KvSequence _kv;
    private readonly Forest _forest = new(1);
    private readonly TokenTree _tree;
    private readonly List<int> _text = [];      // the text in the draft's tokens; the first _kv.Length of them are computed
    private readonly List<Leaf> _frontier = [];
    private readonly List<Leaf> _next = [];
    private readonly float[] _probabilities;    // [draft vocab]
    private readonly SampledChildren?[] _sampled;
    private readonly int[] _top;
    private int _textSeen;                      // target tokens that _text holds
    private double _secondsPerForward;

    public DraftModelSession(DraftModelSource source, KvSequence kv)
    {
        _source = source;
        _kv = kv;
        _tree = new TokenTree(Math.Max(DraftModelSource.Chunk, 1 + (source.Options.Depth * source.Options.Width)));
        _probabilities = new float[source.Model.Config.VocabSize];
        _sampled = new SampledChildren?[source.Options.Depth];
        _top = new int[source.Options.Width];
    }

    public void Propose(DraftContext context, DraftTree tree)
    {
        for (; _textSeen < context.Text.Length; _textSeen++)
        {
            _source.Vocabulary.AppendToDraft(context.Text[_textSeen], _text);
        }

        var depth = Math.Min(_source.Options.Depth, Math.Min(context.MaxDepth, context.Budget));
        if (depth <= 0 || _text.Count == 0 || _text.Count + depth > _source.MaxContext)
        {
            return;
        }

        CatchUp();
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

    public void Observe(RoundOutcome outcome)
    {
        // Nothing to learn: the next draft computes what the text has gained.
    }

    public void Dispose() => _kv.Dispose();

    /// <summary>Computes the text up to, not with, its last token, which becomes the draft's root.</summary>
    private void CatchUp()
    {
        while (_text.Count - 1 > _kv.Length)
        {
            var count = Math.Min(_text.Count - 1 - _kv.Length, DraftModelSource.Chunk);
            _tree.Clear();
            _tree.AddChain(CollectionsMarshal.AsSpan(_text).Slice(_kv.Length, count));
            Forward(firstLogitNode: count);
            _kv.CommitChain(count);
        }

        _tree.Clear();
        _tree.Add(-1, _text[^1]);
    }

    /// <summary>The most probable paths: at each level the best nodes by the product of probabilities, whatever their parents.</summary>
    private void ProposeLevels(DraftContext context, DraftTree tree, int depth)
    {
        var (width, budget) = (_source.Options.Width, context.Budget);
        _frontier.Clear();
        _frontier.Add(new Leaf(0, 0, 1, 0, 1, 0));
        for (var level = 0; level < depth && _frontier.Count > 0 && budget > 0; level++)
        {
            Forward(_frontier[0].DraftNode);
            _next.Clear();
            foreach (var leaf in _frontier)
            {
                Expand(leaf);
            }

            _next.Sort(Leaf.ByPath);
            _frontier.Clear();
            foreach (var leaf in _next)
            {
                if (_frontier.Count == width || budget == 0 || leaf.Path < Threshold(context))
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

    /// <summary>A path is worth following while its probability pays for the draft's forward and the node's verification.</summary>
    private double Threshold(DraftContext context)
        => Math.Max(_source.Options.StopBelow, (context.SecondsPerNode + _secondsPerForward) * context.TokensPerSecond);

    private void Expand(Leaf leaf)
    {
        SoftmaxOf(_source.Model.Logits(_forest.LogitRow(0, leaf.DraftNode)));
        TopTokens.Select(_probabilities, _top);
        for (var rank = 0; rank < _top.Length && _top[rank] >= 0; rank++)
        {
            var token = _top[rank];
            var p = _probabilities[token];
            _next.Add(new Leaf(leaf.TreeNode, leaf.DraftNode, leaf.Path * p, rank, p, token));
        }
    }

    /// <summary>A chain of tokens drawn from the distribution that the request asks for. How deep it goes depends on the path alone, never on
    /// a token after it was drawn.</summary>
    private void Draw(DraftContext context, DraftTree tree, int depth)
    {
        var (node, draftNode) = (0, 0);
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

        context.PopDrafted();
    }

    /// <summary>Another vocabulary: the draft writes text, which is tokenized anew.</summary>
    private void ProposeThroughText(DraftTree tree, int depth)
    {
        Span<int> drafted = stackalloc int[depth];
        var confidence = 1f;
        for (var level = 0; level < depth; level++)
        {
            Forward(level);
            SoftmaxOf(_source.Model.Logits(_forest.LogitRow(0, level)));
            TopTokens.Select(_probabilities, _top);
            drafted[level] = _top[0];
            confidence *= _probabilities[drafted[level]];
            _tree.Add(level, drafted[level]);
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

    private void Forward(int firstLogitNode)
    {
        var began = Stopwatch.GetTimestamp();
        _forest.Clear();
        _forest.Add(_kv, _tree, firstLogitNode);
        _source.Model.Forward(_forest);
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        if (firstLogitNode < _tree.Count)
        {
            _secondsPerForward = _secondsPerForward == 0 ? seconds : _secondsPerForward + (0.1 * (seconds - _secondsPerForward));
        }
    }

    private void SoftmaxOf(ReadOnlySpan<float> logits)
    {
        var max = LogitScan.Max(logits, _text.Count);
        Softmax.Weights(logits, max, 1, _probabilities);
        Residual.Normalise(_probabilities, Softmax.Sum(_probabilities));
    }

    /// <summary>A node that may be followed.</summary>
    private readonly record struct Leaf(int TreeNode, int DraftNode, double Path, int Rank, float Confidence, int Token)
    {
        public static readonly Comparison<Leaf> ByPath = (a, b) =>
        {
            var order = b.Path.CompareTo(a.Path);
            order = order != 0 ? order : a.DraftNode.CompareTo(b.DraftNode);
            return order != 0 ? order : a.Token.CompareTo(b.Token);
        };
    }
}
