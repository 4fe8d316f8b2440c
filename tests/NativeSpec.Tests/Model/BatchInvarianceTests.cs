using NativeSpec.Model;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Tests.Model;

/// <summary>The contract under "the same text": a node's logits have the same bits alone, inside any tree, and beside any other
/// sequences. Random trees, random prefixes, random batch mates, bits compared; for a plain Llama, and for all at once that families have besides.</summary>
/// <remarks>Back ends, threads and shapes are paired, not multiplied: one thread takes the plain shape, several take both, formats take the shape that has
/// more. A model is loaded once for all tests of a fixture, so that they also compute in pages that others have left.</remarks>
[TestFixtureSource(nameof(Cases))]
public sealed class BatchInvarianceTests(TestBackend backend, string shape)
{
    private const string Plain = nameof(TestConfigs.Tiny), All = nameof(TestConfigs.Mixed), Wide = nameof(TestConfigs.Wide);

    private SyntheticModel _weights = null!;
    private ModelRun _run = null!;

    private static IEnumerable<TestFixtureData> Cases()
    {
        foreach (var backend in TestBackend.All)
        {
            yield return new(backend, Plain);
            if (backend.Threads > 1)
            {
                yield return new(backend, All);
            }
        }

        foreach (var backend in TestBackend.Formats)
        {
            yield return new(backend, All);
        }

        foreach (var backend in TestBackend.Cuda)
        {
            yield return new(backend, Plain);
            yield return new(backend, All);
        }

        foreach (var backend in TestBackend.CudaF32Kv)
        {
            yield return new(backend, All);
            yield return new(backend, Wide);
        }
    }

    /// <summary>An emulated device takes its time; what it does not see here its own conformance tests see. The CUDA back end sees all of the plain shape.</summary>
    private IEnumerable<int> Seeds => Enumerable.Range(0, backend.IsEmulated && !(backend.IsCuda && shape == Plain) ? 2 : 6);

    [OneTimeSetUp]
    public void Load()
    {
        if (shape == Wide)
        {
            backend.RequireWideHeads();
        }

        _weights = new SyntheticModel(TestConfigs.Named(shape), DType.BF16, 3);
        _run = new ModelRun(backend.Create(), _weights.Config, _weights.Tensors);
    }

    [OneTimeTearDown]
    public void Unload()
    {
        _run?.Dispose();
        _weights?.Dispose();
    }

    /// <summary>The other sequence goes through the tree a node at a time: back to the node's parent, then on by its token alone.</summary>
    [Test]
    public void Forward_EveryNodeOfATree_HasTheBitsOfASequentialForwardOfItsPath()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(seed);
            int[] prompt = [.. Enumerable.Range(0, random.Next(1, 90)).Select(_ => random.Next(300))];
            var tree = ModelRun.RandomTree(random, 1 + random.Next(40), 300);
            using var sequence = _run.Open();
            _run.Append(sequence, prompt, chunk: 1 + random.Next(64));
            var inTree = _run.Forward((sequence, tree))[0];
            using var alone = _run.Open();
            _run.Append(alone, prompt, chunk: 64);
            Visit(-1, prompt.Length);

            void Visit(int parent, int length)
            {
                for (var node = parent + 1; node < tree.Count; node++)
                {
                    if (tree.Parents[node] == parent)
                    {
                        alone.Truncate(length);
                        Assert.That(_run.Append(alone, [tree.Tokens[node]])[0], Is.EqualTo(inTree[node]), $"seed {seed}, node {node} at depth {length - prompt.Length}");
                        Visit(node, length + 1);
                    }
                }
            }
        }
    }

    [Test]
    public void Forward_ATreeInParts_HasTheBitsOfTheWholeTree()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(300 + seed);
            int[] prompt = [.. Enumerable.Range(0, random.Next(1, 90)).Select(_ => random.Next(300))];
            var tree = ModelRun.RandomTree(random, 12 + random.Next(30), 300);
            using var sequence = _run.Open();
            _run.Append(sequence, prompt, chunk: 64);
            var whole = _run.Forward((sequence, tree))[0];

            using var grown = _run.Open();
            _run.Append(grown, prompt, chunk: 64);
            var part = new TokenTree(tree.Count);
            var forest = new Forest(1);
            for (var node = 0; node < tree.Count;)
            {
                for (var (first, end) = (node, Math.Min(tree.Count, node + 1 + random.Next(6))); node < end; node++)
                {
                    part.Add(tree.Parents[node], tree.Tokens[node]);
                    if (node + 1 == end)
                    {
                        forest.Clear();
                        forest.Add(grown, part, first, first);
                        _run.Model.Forward(forest);
                        for (var computed = first; computed < end; computed++)
                        {
                            Assert.That(_run.Model.Logits(forest.LogitRow(0, computed)).SequenceEqual(whole[computed]), $"seed {seed}, node {computed} of a part from {first}");
                        }
                    }
                }
            }
        }
    }

    [Test]
    public void Forward_BesideOtherSequences_HasTheBitsItHasAlone()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(100 + seed);
            var sequences = Enumerable.Range(0, 5).Select(_ => _run.Open()).ToArray();
            foreach (var sequence in sequences)
            {
                _run.Append(sequence, [.. Enumerable.Range(0, random.Next(1, 80)).Select(_ => random.Next(300))], chunk: 16);
            }

            var trees = sequences.Select(_ => ModelRun.RandomTree(random, 1 + random.Next(12), 300)).ToArray();
            var together = _run.Forward([.. sequences.Zip(trees)]);

            for (var i = 0; i < sequences.Length; i++)
            {
                Assert.That(_run.Forward((sequences[i], trees[i]))[0], Is.EqualTo(together[i]), $"seed {seed}, sequence {i}");
                sequences[i].Dispose();
            }
        }
    }

    [Test]
    public void Prefill_InChunksOfAnySize_GivesTheSameBits()
    {
        int[] prompt = [.. Enumerable.Range(0, 150).Select(i => i * 7 % 300)];
        using var reference = _run.Open();
        var expected = _run.Append(reference, prompt, chunk: 1);
        foreach (var chunk in new[] { 2, 5, 64, 80, 128 })
        {
            using var sequence = _run.Open();
            Assert.That(_run.Append(sequence, prompt, chunk), Is.EqualTo(expected), $"chunks of {chunk}");
        }
    }

    [Test]
    public void Commit_AfterAnyPath_LeavesTheCacheOfAFreshPrefill()
    {
        foreach (var seed in Seeds)
        {
            var random = new Random(200 + seed);
            int[] prompt = [.. Enumerable.Range(0, 50 + random.Next(30)).Select(_ => random.Next(300))];
            using var speculated = _run.Open();
            _run.Append(speculated, prompt, chunk: 32);
            List<int> text = [.. prompt];
            for (var round = 0; round < 6; round++)
            {
                var tree = ModelRun.RandomTree(random, 1 + random.Next(20), 300);
                _run.Forward((speculated, tree));
                var path = ModelRun.PathTo(tree, random.Next(tree.Count));
                speculated.Commit(path);
                text.AddRange(path.Select(node => tree.Tokens[node]));
            }

            using var fresh = _run.Open();
            _run.Append(fresh, [.. text], chunk: 32);
            var probe = ModelRun.RandomTree(random, 9, 300);
            Assert.That(_run.Forward((speculated, probe))[0], Is.EqualTo(_run.Forward((fresh, probe))[0]), $"seed {seed}");
        }
    }

    [Test]
    public void Truncate_ThenOtherTokens_GivesTheBitsOfAFreshPrefill()
    {
        using var rolledBack = _run.Open();
        _run.Append(rolledBack, [.. Enumerable.Range(0, 100)], chunk: 50);
        rolledBack.Truncate(37);
        var continued = _run.Append(rolledBack, [200, 201, 202]);

        using var fresh = _run.Open();
        _run.Append(fresh, [.. Enumerable.Range(0, 37)], chunk: 5);
        Assert.That(continued, Is.EqualTo(_run.Append(fresh, [200, 201, 202])));
    }

    [Test]
    public void Forward_TwoTreesThatDifferInOneToken_Differ()
    {
        using var sequence = _run.Open();
        _run.Append(sequence, [1, 2, 3]);
        var one = _run.Forward((sequence, ModelRun.Chain(4, 5)))[0][1];
        var other = _run.Forward((sequence, ModelRun.Chain(6, 5)))[0][1];
        Assert.That(one, Is.Not.EqualTo(other), "or the comparisons of this fixture could not fail");
    }
}
