using NativeSpec.Backends.Cpu;
using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.Verification;
using NativeSpec.Tests.Engine;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>The likeliest tokens of a row are asked for where the row lies, and are those that its logits say.</summary>
public sealed class WalkResultTests
{
    [TestCase(1)]
    [TestCase(3)]
    [TestCase(8)]
    public void Likeliest_OfARowWithHoles_IsWhatItsLogitsSay(int count)
    {
        float[] logits = [1, float.NaN, 3, float.NegativeInfinity, 3, 2];
        var tree = new DraftTree(4, logits.Length);
        tree.Reset(0, 3);
        var planned = new PlannedTree(tree);
        planned.Begin(most: 1);
        planned.End();
        var history = new TokenHistory(logits.Length, 8, tracksTokens: false);
        history.Start([0]);
        var sampling = new RequestSampling(new Chooser(logits.Length), new SamplingRule(new SamplingOptions { Temperature = 1 }, 1, logits.Length), history);
        var result = new WalkResult(planned);
        result.Begin(new TableRows(planned, _ => logits, sampling), firstRow: 0);

        var ids = new int[count];
        result.Likeliest(0, ids);

        int[] expected = [2, 4, 5, 0, -1, -1, -1, -1];
        Assert.That(ids, Is.EqualTo(expected.Take(count)));
        TopTokens.Select(logits, ids);
        Assert.That(ids, Is.EqualTo(expected.Take(count)), "which is what is said where all logits are at hand");
    }

    /// <summary>Two requests in one forward, so that the rows of one do not begin at the first.</summary>
    [Test]
    public async Task Likeliest_OfAModelsRows_IsWhatTheirLogitsSay()
    {
        using var folder = new TestFolder(poisoned: false);
        using var engine = InferenceEngine.Load(folder.Path, new EngineOptions { CreateBackend = _ => CpuBackend.Create(new CpuOptions { Threads = 1 }) });
        var drafter = new Comparing();
        var options = new GenerationOptions { MaxTokens = 12, Temperature = 0, IgnoreEndOfText = true, Speculation = new() { Drafters = [], Sources = [drafter], Unplanned = true } };
        await Task.WhenAll(engine.CompleteAsync("hello", options), engine.CompleteAsync("world", options));
        Assert.That(drafter.Nodes, Is.GreaterThan(20));
        Assert.That(drafter.Different, Is.Zero);
    }

    private sealed class Comparing : IDrafterSource, IDrafter
    {
        public int Nodes { get; private set; }

        public int Different { get; private set; }

        public string Name => "comparing";

        public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

        public void Propose(DraftContext context, DraftTree tree)
        {
            tree.Add(tree.Add(0, 7), 8);
            tree.Add(0, 9);
        }

        public void Observe(RoundOutcome outcome)
        {
            Span<int> asked = stackalloc int[10], selected = stackalloc int[10];
            for (var node = 0; node < outcome.Tree.Count; node++)
            {
                if (outcome.WasComputed(node))
                {
                    outcome.Likeliest(node, asked);
                    TopTokens.Select(outcome.Logits(node), selected);
                    Nodes++;
                    Different += asked.SequenceEqual(selected) ? 0 : 1;
                }
            }
        }

        public void Dispose()
        {
        }
    }
}
