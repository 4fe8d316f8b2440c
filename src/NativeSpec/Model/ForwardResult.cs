using NativeSpec.Sampling;

namespace NativeSpec.Model;

/// <summary>The rows of a forward that lie in this process's memory: every question is answered when it is asked, so rows that nobody visits
/// cost nothing.</summary>
internal sealed class ForwardResult(LlamaModel model) : IForwardResult
{
    private readonly float[] _weights = new float[model.Config.VocabSize];
    private readonly Chooser _chooser = new(model.Config.VocabSize);
    private (long Forward, int Row, double LogSum) _last = (-1, -1, 0); // a row is often asked twice: its own token, then the likeliest

    public int Choose(int row)
    {
        var (choices, node) = model.ChoicesOf(row);
        return choices is null
            ? throw new InvalidOperationException($"row {row} belongs to a tree that was added without choices")
            : _chooser.Choose(Logits(row), choices.Describe(node));
    }

    public int Top(int row, Span<TokenLogProb> into)
    {
        Span<int> ids = stackalloc int[Math.Min(into.Length, TopTokens.MaxCount)];
        ArgumentOutOfRangeException.ThrowIfGreaterThan(into.Length, TopTokens.MaxCount);
        var count = Top(row, ids);
        for (var i = 0; i < count; i++)
        {
            into[i] = new TokenLogProb(ids[i], LogProb(row, ids[i]));
        }

        return count;
    }

    public int Top(int row, Span<int> into)
    {
        TopTokens.Select(Logits(row), into);
        var count = into.IndexOf(-1);
        return count < 0 ? into.Length : count;
    }

    public float LogProb(int row, int token)
    {
        var logits = Logits(row);
        if (_last.Forward != model.Forwards || _last.Row != row)
        {
            _last = (model.Forwards, row, LogProbs.LogSumExp(logits, model.PositionAfter(row), _weights));
        }

        return (float)(logits[token] - _last.LogSum);
    }

    public ReadOnlySpan<float> Logits(int row) => model.Logits(row);

    public HiddenRow Hidden(int row) => model.Hidden(row);
}
