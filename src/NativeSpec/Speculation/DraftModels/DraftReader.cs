using System.Runtime.InteropServices;
using NativeSpec.Model;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>A draft model's place in one text: what it has read, and the tree that it grows below the text's last token.</summary>
/// <remarks>Every token goes through the model once. A tree grows on the keys and values of the levels above it, and what the text takes of
/// it stays in the cache: then only the last accepted candidate and the target's own token are new.</remarks>
internal sealed class DraftReader : IDisposable
{
    private readonly DraftModelSource _source;
    private readonly KvSequence _kv;
    private readonly Forest _forest = new(1);
    private readonly TokenTree _tree;
    private readonly List<int> _text = []; // the text in the draft's tokens; the first _kv.Length of them are computed
    private readonly List<int> _path = []; // nodes of the last tree that the text has taken
    private int _seen;                     // target tokens that _text holds
    private int _computed;                 // nodes whose keys and values are in the cache

    public DraftReader(DraftModelSource source, KvSequence kv)
    {
        (_source, _kv) = (source, kv);
        _tree = new TokenTree(DraftModelSource.Chunk + (source.Options.Depth * source.Options.Width));
    }

    /// <summary>Tokens of the text, in the draft's vocabulary.</summary>
    public int Length => _text.Count;

    /// <summary>The node of the text's last token.</summary>
    public int Root { get; private set; }

    /// <summary>Forwards since the tree was begun.</summary>
    public int Levels { get; private set; }

    /// <summary>Takes over what the text has gained. Computes nothing.</summary>
    public void Append(ReadOnlySpan<int> text)
    {
        for (; _seen < text.Length; _seen++)
        {
            _source.Vocabulary.AppendToDraft(text[_seen], _text);
        }
    }

    /// <summary>Commits what the text has taken of the last tree, computes what it has gained besides but for its last tokens, and begins a
    /// tree with these: they are the trunk that it grows from.</summary>
    public void CatchUp()
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

    /// <summary>Computes one token, only to see how long that takes.</summary>
    public void TryOneToken()
    {
        StartTree(1);
        Forward(Root);
    }

    /// <summary>Adds a node to the tree and returns it.</summary>
    public int Add(int parent, int token) => _tree.Add(parent, token);

    /// <summary>Computes the nodes that are new.</summary>
    /// <param name="firstLogitNode">Logits are wanted from this one on.</param>
    public void Forward(int firstLogitNode)
    {
        _forest.Clear();
        _forest.Add(_kv, _tree, firstLogitNode, _computed);
        _source.Model.Forward(_forest);
        _computed = _tree.Count;
        Levels++;
    }

    /// <summary>[draft vocab] the logits after a node of the last forward.</summary>
    public ReadOnlySpan<float> Logits(int node) => _source.Model.Logits(_forest.LogitRow(0, node));

    public void Dispose() => _kv.Dispose();

    /// <summary>Begins a tree with the next tokens of the text; what was computed of another is forgotten.</summary>
    private void StartTree(int tokens)
    {
        _computed = 0;
        _tree.Clear();
        _tree.AddChain(CollectionsMarshal.AsSpan(_text).Slice(_kv.Length, tokens));
        (Root, Levels) = (tokens - 1, 0);
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
}
