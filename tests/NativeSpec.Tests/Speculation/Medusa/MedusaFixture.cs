using NativeSpec.Backends;
using NativeSpec.Backends.Cpu;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Medusa;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Medusa;
using NativeSpec.Tests.Model;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>Heads of 16 numbers over a vocabulary of 40, made from a seed, and a source of them on one thread.</summary>
public abstract class MedusaFixture
{
    private protected const int Hidden = 16;
    private protected const int Vocab = 40;

    private protected static readonly LlamaConfig Config = TestConfigs.Tiny with { HiddenSize = Hidden, VocabSize = Vocab };

    private Random _random = null!;

    private protected IBackend Backend { get; private set; } = null!;

    private protected MemoryHeads Memory { get; private set; } = null!;

    [SetUp]
    public void Create()
    {
        Backend = CpuBackend.Create(new CpuOptions { Threads = 1 });
        Memory = new MemoryHeads();
        _random = new Random(17);
    }

    [TearDown]
    public void Release()
    {
        Backend.Dispose();
        Memory.Dispose();
    }

    /// <summary>W with W[(t + step) mod vocab, t] = 1: says t + step for the one-hot state of t.</summary>
    private protected static float[] Counts(int step)
    {
        var vocab = new float[Vocab * Hidden];
        for (var t = 0; t < Hidden; t++)
        {
            vocab[((t + step) % Vocab * Hidden) + t] = 1;
        }

        return vocab;
    }

    private protected static float[] OneHot(int token) => [.. Enumerable.Range(0, Hidden).Select(i => i == token ? 1f : 0)];

    private protected static List<(int Token, double Chance)> Ranked(float[] vocab, float[] hidden)
    {
        var logits = Enumerable.Range(0, Vocab).Select(row => Enumerable.Range(0, Hidden).Sum(i => (double)vocab[(row * Hidden) + i] * hidden[i])).ToArray();
        var sum = logits.Sum(Math.Exp);
        return [.. logits.Select((logit, token) => (token, Math.Exp(logit) / sum)).OrderByDescending(pair => pair.Item2)];
    }

    private protected static DraftTree Tree(int root, int capacity, int maxDepth = 8)
    {
        var tree = new DraftTree(capacity, Vocab);
        tree.Reset(root, maxDepth);
        return tree;
    }

    private protected static DraftContext Context(int budget, int maxDepth) => new() { Budget = budget, MaxDepth = maxDepth };

    private protected static DraftTree Propose(MedusaDrafterSource source, float[] hidden, int root, int budget = 63, int maxDepth = 8, int capacity = 64)
    {
        using var drafter = source.Start(ReadOnlyMemory<int>.Empty);
        drafter.Observe(new TestRound(hidden, Vocab, root));
        var tree = Tree(root, capacity, maxDepth);
        drafter.Propose(Context(budget, maxDepth), tree);
        return tree;
    }

    private protected static IEnumerable<int> Tokens(DraftTree tree) => Enumerable.Range(0, tree.Count).Select(tree.Token);

    private protected static string PathOf(DraftTree tree, int node)
    {
        var path = new List<int>();
        for (; node > 0; node = tree.Parent(node))
        {
            path.Insert(0, tree.Token(node));
        }

        return string.Join(" ", path);
    }

    private protected float[] Random(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(_random.NextDouble() - 0.5) * 2)];

    private protected MedusaDrafterSource Source(MedusaHeads heads, MedusaOptions? options = null) =>
        new(heads, Config, Vocab, Memory.View("lm_head.weight", new float[Vocab * Hidden], Vocab, Hidden), Backend, options);
}
