using NativeSpec.Loading.Medusa;
using NativeSpec.Model;
using NativeSpec.Tests.Speculation.Medusa;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>Medusa heads on the device: their tokens are ranked where the logits lie, as the host ranks the same logits.</summary>
public sealed class CudaHeadsTests
{
    private const int Hidden = 24, Vocab = 2000, TopK = 10, States = 5, Count = 3;

    [SetUp]
    public void Require() => CudaEmulator.Require();

    /// <summary>Rows that stand for no token make the host rank: the same logits, since an output's sum does not know of the rows below it.</summary>
    [Test]
    public void Run_OnTheDevice_RanksAsTheHostDoes([Values] bool isShared)
    {
        using var memory = new MemoryHeads();
        using var backend = CudaEmulator.Create();
        var random = new Random(7);
        var blocks = Enumerable.Range(0, Count).Select(_ => new MedusaBlock(memory.View("A", Floats(Hidden * Hidden), Hidden, Hidden), memory.View("b", Floats(Hidden), Hidden))).ToArray();
        var matrices = Enumerable.Range(0, isShared ? 1 : Count).Select(_ => Floats(Vocab * Hidden)).ToArray();
        using var onDevice = Make(padding: 0);
        using var onHost = Make(padding: 4);
        foreach (var heads in new[] { onDevice, onHost })
        {
            random = new Random(8);
            for (var state = 0; state < States; state++)
            {
                heads.SetState(state, Floats(Hidden));
            }
        }

        onHost.Run(States, Count);
        var (bytes, waits) = (CudaEmulator.Count("download_bytes"), CudaEmulator.Count("synchronizations"));
        onDevice.Run(States, Count);

        var programs = isShared ? Count + 1 : Count;
        Assert.That(CudaEmulator.Count("download_bytes") - bytes, Is.LessThan(8192), "ids and logits of the likeliest, and what rows say of themselves");
        Assert.That(CudaEmulator.Count("synchronizations") - waits, Is.LessThanOrEqualTo(2 * programs));
        for (var state = 0; state < States; state++)
        {
            for (var head = 0; head < Count; head++)
            {
                Assert.That(onDevice.Tokens(state, head).ToArray(), Is.EqualTo(onHost.Tokens(state, head).ToArray()), $"state {state}, head {head}");
                Assert.That(onDevice.Probabilities(state, head).ToArray(), Is.EqualTo(onHost.Probabilities(state, head).ToArray()).Within(1e-6), $"state {state}, head {head}");
                Assert.That(onDevice.Tokens(state, head).Length, Is.EqualTo(TopK));
            }
        }

        HeadsModel Make(int padding)
        {
            var views = matrices.Select(matrix => memory.View("W", [.. matrix, .. Enumerable.Repeat(9f, padding * Hidden)], Vocab + padding, Hidden)).ToArray();
            var heads = new MedusaHeads
            {
                Source = "test",
                HiddenSize = Hidden,
                Heads = [.. Enumerable.Range(0, Count).Select(h => new MedusaHead([blocks[h]], views[isShared ? 0 : h]))],
            };
            return new HeadsModel(heads, views[0], backend, Vocab, TopK);
        }

        float[] Floats(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)random.NextDouble() - 0.5f)];
    }

    [Test]
    public void Run_AStateThatIsNoNumber_CostsItsProposalsAlone()
    {
        using var memory = new MemoryHeads();
        using var backend = CudaEmulator.Create();
        var values = Enumerable.Range(0, 40 * Hidden).Select(i => i % 7 / 7f).ToArray();
        using var heads = new HeadsModel(memory.Plain(Hidden, values), memory.View("lm", values, 40, Hidden), backend, 40, 3);
        heads.SetState(0, [.. Enumerable.Repeat(float.NaN, Hidden)]);
        heads.SetState(1, [.. Enumerable.Repeat(1f, Hidden)]);

        heads.Run(2, 1);

        Assert.That((heads.Tokens(0, 0).Length, heads.Tokens(1, 0).Length), Is.EqualTo((0, 3)));
    }
}
