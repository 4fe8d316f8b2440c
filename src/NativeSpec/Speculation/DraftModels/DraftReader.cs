using System.Runtime.InteropServices;
using NativeSpec.Model;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>A draft model's place in one text: what it has read, and the tree that it grows below the text's last token.</summary>
/// <remarks>Every token goes through the model once. A tree grows on the keys and values of the levels above it, and what the text takes of
/// it stays in the cache: then only the last accepted candidate and the target's own token are new.</remarks>
internal sealed class DraftReader : IDisposable
{
    private readonly DraftModelSource _source;
    private KvSequence? _kv; // null before the text is known, and after its pages were given back
    private string? _salt;
    private readonly TokenTree _tree;
    private readonly List<int> _text = []; // the text in the draft's tokens; the first _kv.Length of them are computed
    private readonly List<int> _path = []; // nodes of the last tree that the text has taken
    private int _seen;                     // target tokens that _text holds
    private int _computed;                 // nodes whose keys and values are in the cache
    private int _inForest;

    public DraftReader(DraftModelSource source)
    {
        _source = source;
        _tree = new TokenTree(DraftModelSource.Chunk + (source.Options.Depth * source.Options.Width));
    }

    /// <summary>Tokens of the text, in the draft's vocabulary.</summary>
    public int Length => _text.Count;

    /// <summary>Tokens at the text's end that are not computed yet. The last one never is: the next draft needs the logits after it.</summary>
    public int Uncomputed => _text.Count - Kv.Length;

    /// <summary>The node of the text's last token.</summary>
    public int Root { get; private set; }

    private KvSequence Kv => _kv ??= _source.Cache.Open(_salt);

    /// <summary>Takes over what the text has gained, commits what it has taken of the last tree, and takes what others have computed of it.
    /// Computes nothing.</summary>
    public void Follow(DraftContext context)
    {
        var text = context.Text;
        _salt = context.CacheSalt;
        for (; _seen < text.Length; _seen++)
        {
            _source.Vocabulary.AppendToDraft(text[_seen], _text);
        }

        Commit();
    }

    /// <summary>Commits what the text has taken of the last tree.</summary>
    public void Commit()
    {
        CommitDrafted();
        if (_text.Count < _source.MaxContext)
        {
            Kv.Share(CollectionsMarshal.AsSpan(_text));
            Kv.Reuse(CollectionsMarshal.AsSpan(_text));
        }
    }

    /// <summary>Gives the pages back; what was computed is forgotten.</summary>
    public void GiveBack()
    {
        _kv?.Dispose();
        _kv = null;
        _computed = 0;
    }

    /// <summary>Begins a tree with the next tokens of the text; what was computed of another is forgotten.</summary>
    /// <param name="tokens">How many.</param>
    /// <param name="candidates">Nodes that may be added to them.</param>
    /// <returns>False when the cache has no room for them now.</returns>
    public bool TryStartTree(int tokens, int candidates)
    {
        _computed = 0;
        _tree.Clear();
        if (!Kv.TryReserve(Kv.Length + tokens + candidates))
        {
            return false;
        }

        _tree.AddChain(CollectionsMarshal.AsSpan(_text).Slice(Kv.Length, tokens));
        Root = tokens - 1;
        return true;
    }

    /// <summary>Adds a node to the tree and returns it.</summary>
    public int Add(int parent, int token) => _tree.Add(parent, token);

    /// <summary>Adds the nodes that are new to a forest.</summary>
    /// <param name="forest">The next forward pass.</param>
    /// <param name="hasLogits">Whether logits are wanted: of all new nodes, but of the text's tokens only after the last.</param>
    public void AddTo(Forest forest, bool hasLogits)
        => _inForest = forest.Add(Kv, _tree, hasLogits ? Math.Max(_computed, Root) : _tree.Count, _computed);

    /// <summary>The forward pass has computed what was added to it.</summary>
    public void MarkComputed() => _computed = _tree.Count;

    /// <summary>The row of a node in what the last forward pass left.</summary>
    public int Row(Forest forest, int node) => forest.LogitRow(_inForest, node);

    public void Dispose() => _kv?.Dispose();

    /// <summary>Follows the text down the last tree.</summary>
    private void CommitDrafted()
    {
        _path.Clear();
        for (var node = _computed > 0 ? 0 : -1; node >= 0 && Kv.Length + _path.Count < _text.Count - 1;)
        {
            _path.Add(node);
            node = ComputedChild(node, _text[Kv.Length + _path.Count]);
        }

        _computed = 0;
        Kv.Commit(CollectionsMarshal.AsSpan(_path));
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
