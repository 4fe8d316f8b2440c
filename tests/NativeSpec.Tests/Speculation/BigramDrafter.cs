using NativeSpec.Speculation;

namespace MyDrafters;

/// <summary>Proposes what followed the last token when it was last seen, and so on from there.</summary>
public sealed class BigramDrafter : IDrafterSource
{
    public string Name => "bigram";

    public IDrafter Start(ReadOnlyMemory<int> prompt) => new Session();

    public void Dispose() { }

    private sealed class Session : IDrafter
    {
        private readonly Dictionary<int, int> _next = [];
        private int _read = 1;

        public void Propose(DraftContext context, DraftTree tree)
        {
            for (; _read < context.Text.Length; _read++)
            {
                _next[context.Text[_read - 1]] = context.Text[_read];
            }

            var (node, token, left) = (0, context.Text[^1], Math.Min(context.Budget, context.MaxDepth));
            while (node >= 0 && left-- > 0 && _next.TryGetValue(token, out token))
            {
                node = tree.Add(node, token);
            }
        }

        public void Observe(RoundOutcome outcome) { }

        public void Dispose() { }
    }
}
