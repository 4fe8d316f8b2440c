using System.Runtime.InteropServices;
using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Planning;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>One request's drafts by a draft model: level by level the most probable continuations, or a chain of sampled ones. The source
/// computes a level of all requests at once; here is what one request wants of it, and makes of it.</summary>
internal sealed class DraftModelSession : IDrafter
{
    private readonly DraftModelSource _source;
    private readonly DraftReader _reader;
    private readonly List<Leaf> _frontier = []; // the nodes after which the next level comes
    private readonly List<Leaf> _next = [];
    private readonly List<int> _spelt = [];  // what was drafted in the draft's own tokens, where these are not the target's
    private readonly TokenLogProb[] _top;    // [width] the likeliest tokens after a node
    private DraftItem _item;
    private int _depth;
    private int _level;
    private int _budget;
    private float _confidence; // of what is spelt
    private int _textRows; // of the forward pass under way

    public DraftModelSession(DraftModelSource source)
    {
        _source = source;
        _reader = new DraftReader(source);
        _top = new TokenLogProb[source.Options.Width];
    }

    /// <summary>Its place in the batch.</summary>
    public int Place { get; private set; }

    /// <summary>The rate at which text is written; 0 where the request does not follow cost.</summary>
    public double TokensPerSecond => _item.Context.TokensPerSecond;

    /// <summary>Tokens at the text's end that are not computed yet.</summary>
    public int Uncomputed => _reader.Uncomputed;

    /// <summary>Rows of the next level.</summary>
    public int RowsOfLevel => _level == 0 ? _reader.Uncomputed : _frontier.Count;

    public void Propose(DraftContext context, DraftTree tree) => _source.ProposeAlone(this, context, tree);

    public void Observe(RoundOutcome outcome)
    {
        // Nothing to learn: the next draft computes what the text has gained.
    }

    public void Dispose() => _reader.Dispose();

    /// <summary>Rows of text to read before candidates can be computed. A text that has outgrown the draft is read no further.</summary>
    public int Owed(DraftContext context)
    {
        _reader.Follow(context);
        return _reader.Uncomputed <= DraftModelSource.ShortText || DepthFor(context) <= 0 ? 0 : _reader.Uncomputed - 1;
    }

    /// <summary>Begins a draft at the text's end.</summary>
    /// <returns>Whether there is any use in one.</returns>
    public bool Begin(in DraftItem item, int place)
    {
        (_item, Place) = (item, place);
        (_level, _budget, _textRows) = (0, item.Context.Budget, 0);
        _reader.Follow(item.Context);
        (_confidence, _depth) = (1, DepthFor(item.Context));
        _spelt.Clear();
        _frontier.Clear();
        _frontier.Add(new Leaf(0, -1, 1, 1, 0, 1, -1));
        return _depth > 0;
    }

    /// <summary>What the next level may be expected to bring, less what its rows cost, in tokens: at most 0 where there is none. The first
    /// one counts as if it were certain to be right wherever the candidates that are there are wrong. Paths whose next candidate is not
    /// expected to be worth its verification are dropped.</summary>
    public double NetGain()
    {
        if (_level == _depth || _frontier.Count == 0)
        {
            return 0;
        }

        if (TokensPerSecond == 0 || (_level > 0 && !_source.Vocabulary.MapsTokens))
        {
            return double.PositiveInfinity;
        }

        var gain = 0.0;
        _next.Clear();
        foreach (var leaf in _frontier)
        {
            var surplus = Surplus(leaf.TreeNode, leaf.Chance, _level == 0 ? 1 : _source.Level.UsualChance);
            if (surplus > 0)
            {
                gain += surplus;
                _next.Add(leaf);
            }
        }

        _frontier.Clear();
        _frontier.AddRange(_next);
        return gain - (_frontier.Count * _source.Level.SecondsPerRow * TokensPerSecond);
    }

    /// <summary>Adds the next tokens of the text to a forward pass.</summary>
    /// <param name="forest">The forward pass.</param>
    /// <param name="most">The most tokens.</param>
    /// <returns>How many; 0 when the cache has no room for them.</returns>
    public int AddText(Forest forest, int most)
    {
        var tokens = Math.Min(most, Math.Max(_reader.Uncomputed - 1, 1));
        var later = _reader.Uncomputed - tokens + (_depth * _source.Options.Width);
        if (!_reader.TryStartTree(tokens, later)) // no part of a text is read for which there is no room as a whole
        {
            return 0;
        }

        _reader.AddTo(forest, hasLogits: false);
        return _textRows = tokens;
    }

    /// <summary>What was added of the text is computed; returns how many tokens.</summary>
    public int CommitText()
    {
        if (_textRows > 0)
        {
            _reader.MarkComputed();
            _reader.Commit();
        }

        return _textRows;
    }

    /// <summary>Adds the next level to a forward pass; the first one brings what of the text is not computed yet.</summary>
    public void AddLevel(Forest forest)
    {
        if (_level > 0)
        {
            for (var i = 0; i < _frontier.Count; i++)
            {
                _frontier[i] = _frontier[i] with { DraftNode = _reader.Add(_frontier[i].DraftNode, _frontier[i].Token) };
            }
        }
        else if (_reader.TryStartTree(_reader.Uncomputed, _depth * _source.Options.Width))
        {
            _frontier[0] = _frontier[0] with { DraftNode = _reader.Root };
        }
        else
        {
            _frontier.Clear(); // the cache has no room for it now
            return;
        }

        _reader.AddTo(forest, hasLogits: true);
    }

    /// <summary>Makes candidates of the level that was computed.</summary>
    /// <param name="rows">What the forward pass left.</param>
    /// <param name="forest">What it computed.</param>
    public void TakeLevel(IForwardResult rows, Forest forest)
    {
        _level++;
        if (_frontier.Count == 0)
        {
            return;
        }

        _reader.MarkComputed();
        try
        {
            if (!_source.Vocabulary.MapsTokens)
            {
                Spell(rows, forest);
            }
            else if (_item.Context.SamplesDrafts)
            {
                Sample(rows, forest);
            }
            else
            {
                Expand(rows, forest);
            }
        }
        catch (NonFiniteLogitsException)
        {
            _frontier.Clear(); // a draft model that breaks costs its candidates and nothing else
        }
    }

    /// <summary>Ends the draft.</summary>
    public void End()
    {
        _item.Context.PopDrafted();
        var (node, tree) = (0, _item.Tree);
        foreach (var token in _spelt.Count == 0 ? [] : _source.Vocabulary.Respell(CollectionsMarshal.AsSpan(_spelt)))
        {
            node = node < 0 ? node : tree.Add(node, token, 0, _confidence);
        }
    }

    /// <summary>How deep candidates may go; 0 where the text has outgrown the draft, which needs no pages then.</summary>
    private int DepthFor(DraftContext context)
    {
        if (_reader.Length >= _source.MaxContext)
        {
            _reader.GiveBack();
            return 0;
        }

        var most = Math.Min(_source.Options.Depth, Math.Min(context.MaxDepth, context.Budget));
        return _reader.Length == 0 ? 0 : Math.Min(most, _source.MaxContext - _reader.Length);
    }

    /// <summary>What a candidate of the draft may bring besides those of others that are there: where these are wrong it may be right, and a
    /// node is to be verified for it unless one of them would be in any case.</summary>
    /// <param name="parent">The node that the candidate would follow.</param>
    /// <param name="path">How likely that one is right.</param>
    /// <param name="chance">How likely the candidate is, if it is.</param>
    private double Surplus(int parent, double path, double chance)
    {
        var (there, price) = (_item.Context.ChanceBelow(parent), LevelWorth.CostOfNode(_item.Context, _item.Tree.Count));
        return (path * chance * (1 - there)) - (path * there > price ? 0 : price);
    }

    /// <summary>The most probable paths: the best nodes by the product of probabilities, whatever their parents.</summary>
    private void Expand(IForwardResult rows, Forest forest)
    {
        _next.Clear();
        foreach (var leaf in _frontier)
        {
            var count = rows.Top(_reader.Row(forest, leaf.DraftNode), _top);
            for (var rank = 0; rank < count; rank++)
            {
                var (token, p) = (_top[rank].Id, MathF.Exp(_top[rank].LogProb));
                var chance = leaf.Chance * _item.Context.ChanceOf(leaf.TreeNode, _source.Vocabulary.ToTarget(token), rank, p);
                _next.Add(new Leaf(leaf.TreeNode, leaf.DraftNode, leaf.Path * p, chance, rank, p, token));
            }
        }

        _next.Sort(Leaf.ByPath);
        _source.Level.ObserveChance(_next.Count == 0 ? 0 : _next[0].Chance / _frontier[0].Chance);
        _frontier.Clear();
        foreach (var leaf in _next)
        {
            if (_frontier.Count == _source.Options.Width || _budget == 0 || leaf.Path < _source.Options.StopBelow)
            {
                break;
            }

            var node = _item.Tree.Add(leaf.TreeNode, _source.Vocabulary.ToTarget(leaf.Token), leaf.Rank, leaf.Confidence);
            if (node >= 0)
            {
                _budget--;
                _frontier.Add(leaf with { TreeNode = node });
            }
        }
    }

    /// <summary>One token sampled from the distribution that the request asks for, without those that are there. How deep a chain goes
    /// depends on what was drafted before its end, and never is a token taken back.</summary>
    private void Sample(IForwardResult rows, Forest forest)
    {
        var (context, leaf) = (_item.Context, _frontier[0]);
        _frontier.Clear();
        var q = context.ProcessDraft(rows.Logits(_reader.Row(forest, leaf.DraftNode)), _source.Vocabulary);
        if (_item.Tree.Sample(leaf.TreeNode, q)?.Draw(context.DraftChance) is >= 0 and var child)
        {
            var token = _item.Tree.Token(child);
            context.PushDrafted(token);
            _frontier.Add(new Leaf(child, leaf.DraftNode, 1, leaf.Chance * _source.Level.UsualChance, 0, 0, _source.Vocabulary.ToDraft(token)));
        }
    }

    /// <summary>Another vocabulary: the draft writes text, which is tokenized anew at the end.</summary>
    private void Spell(IForwardResult rows, Forest forest)
    {
        var leaf = _frontier[0];
        _frontier.Clear();
        if (rows.Top(_reader.Row(forest, leaf.DraftNode), _top.AsSpan(0, 1)) > 0)
        {
            _spelt.Add(_top[0].Id);
            _confidence *= MathF.Exp(_top[0].LogProb);
            _frontier.Add(leaf with { Token = _top[0].Id });
        }
    }

    /// <summary>A node that may be followed.</summary>
    /// <param name="TreeNode">Its node in the round's tree; before it has one, its parent's.</param>
    /// <param name="DraftNode">The same in the draft's own tree, which it joins when it is computed.</param>
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
