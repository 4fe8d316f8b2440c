using NativeSpec.Backends;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;

namespace NativeSpec.Tests.Model;

/// <summary>A model on a backend with a cache, and the few moves that the tests of the forward are made of.</summary>
internal sealed class ModelRun : IDisposable
{
    private readonly IBackend _backend;
    private readonly Forest _forest = new(8);

    public ModelRun(IBackend backend, LlamaConfig config, LlamaTensors tensors, long cacheTokens = 4096, int context = 256, bool sharesPrefixes = false)
    {
        _backend = backend;
        Model = new LlamaModel(config, tensors, backend, new ForwardLimits(MaxRows: 128, MaxLogitRows: 128, MaxSequences: 8, context));
        Cache = Model.CreateCache(cacheTokens, sharesPrefixes);
    }

    public IBackend Backend => _backend;

    public LlamaModel Model { get; }

    public KvCache Cache { get; }

    public static TokenTree Chain(params int[] tokens)
    {
        var tree = new TokenTree(Math.Max(tokens.Length, 1));
        tree.AddChain(tokens);
        return tree;
    }

    /// <summary>A tree whose nodes hang anywhere.</summary>
    public static TokenTree RandomTree(Random random, int nodes, int vocab)
    {
        var tree = new TokenTree(nodes);
        for (var node = 0; node < nodes; node++)
        {
            tree.Add(node == 0 ? -1 : random.Next(node), random.Next(vocab));
        }

        return tree;
    }

    public static int[] PathTo(TokenTree tree, int node)
    {
        List<int> path = [];
        for (; node >= 0; node = tree.Parents[node])
        {
            path.Insert(0, node);
        }

        return [.. path];
    }

    public KvSequence Open(int? capacity = null) => Cache.TryOpen(capacity ?? Model.Limits.MaxContext - 6) ?? throw new InvalidOperationException("the test's cache is full");

    /// <summary>Computes the trees together; result[tree][node] are logits.</summary>
    public float[][][] Forward(params (KvSequence Sequence, TokenTree Tree)[] trees)
    {
        _forest.Clear();
        foreach (var (sequence, tree) in trees)
        {
            _forest.Add(sequence, tree, 0);
        }

        Model.Forward(_forest);
        return [.. trees.Select((t, i) => Enumerable.Range(0, t.Tree.Count).Select(node => Model.Logits(_forest.LogitRow(i, node)).ToArray()).ToArray())];
    }

    /// <summary>Computes and commits tokens as chains of at most <paramref name="chunk"/>; the logits after each token.</summary>
    public List<float[]> Append(KvSequence sequence, int[] tokens, int chunk = 1)
    {
        List<float[]> logits = [];
        foreach (var part in tokens.Chunk(chunk))
        {
            logits.AddRange(Forward((sequence, Chain(part)))[0]);
            sequence.CommitChain(part.Length);
        }

        return logits;
    }

    public void Dispose()
    {
        Cache.Dispose();
        Model.Dispose();
        _backend.Dispose();
    }
}
