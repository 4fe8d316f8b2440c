using NativeSpec.Speculation;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>A drafter of known quality, to measure how requests that follow cost deal with it: sure of itself, wrong up to a place of the
/// text, and right from there on. It knows the text that plain decoding wrote.</summary>
/// <param name="name">The name under which its quality is known: two of different quality need two.</param>
/// <param name="text">Prompt and output.</param>
/// <param name="rightFrom">The first position where it proposes the text's own token.</param>
/// <param name="vocabSize">Tokens there are.</param>
internal sealed class ReplayDrafter(string name, int[] text, int rightFrom, int vocabSize) : IDrafterSource, IDrafter
{
    private const int Depth = 6;
    private const float Confidence = 0.8f;

    public string Name => name;

    public IDrafter Start(ReadOnlyMemory<int> prompt) => this;

    public void Propose(DraftContext context, DraftTree tree)
    {
        var node = 0;
        for (var i = 0; i < Math.Min(Depth, Math.Min(context.MaxDepth, context.Budget)) && node >= 0; i++)
        {
            var position = context.Text.Length + i;
            if (position < text.Length)
            {
                node = tree.Add(node, position < rightFrom ? (text[position] + 1) % vocabSize : text[position], 0, Confidence);
            }
        }
    }

    public void Observe(RoundOutcome outcome)
    {
        // It knows all there is to know.
    }

    public void Dispose()
    {
    }
}
