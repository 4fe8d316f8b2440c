using NativeSpec.Loading.Medusa;
using NativeSpec.Speculation;
using NativeSpec.Tensors;

namespace NativeSpec.Tests.Speculation.Medusa;

/// <summary>Heads in memory, given by their matrices.</summary>
internal sealed class MemoryHeads : IDisposable
{
    private readonly List<NativeBuffer<float>> _memory = [];

    public unsafe TensorView View(string name, float[] values, params long[] shape)
    {
        var memory = new NativeBuffer<float>(values.Length);
        _memory.Add(memory);
        values.CopyTo(memory.Slice(0, values.Length));
        return new TensorView(name, DType.F32, shape, (nint)memory.Pointer, values.Length * 4L);
    }

    /// <summary>Heads without blocks: their matrices alone.</summary>
    public MedusaHeads Plain(int hidden, params float[][] vocabs) => new()
    {
        Source = "test",
        HiddenSize = hidden,
        Rows = vocabs[0].Length / hidden,
        Heads = [.. vocabs.Select((vocab, h) => new MedusaHead([], View($"{h}.0.weight", vocab, vocab.Length / hidden, hidden)))],
    };

    public void Dispose() => _memory.ForEach(memory => memory.Dispose());
}

/// <summary>A round whose root alone was computed, with this hidden state: what the first round of a request looks like.</summary>
internal sealed class TestRound(float[] hidden, int vocab, int emitted) : RoundOutcome
{
    private readonly int[] _path = [0];
    private readonly int[] _emitted = [emitted];
    private readonly float[] _logits = new float[vocab];

    public override DraftTree Tree { get; } = new(1, vocab);

    public override ReadOnlySpan<int> Emitted => _emitted;

    public override ReadOnlySpan<int> AcceptedPath => _path;

    public override bool WasComputed(int node) => node == 0;

    public override ReadOnlySpan<float> Logits(int node) => _logits;

    public override ReadOnlySpan<float> Hidden(int node) => node == 0 ? hidden : throw new ArgumentOutOfRangeException(nameof(node));
}
