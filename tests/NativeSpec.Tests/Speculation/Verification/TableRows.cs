using NativeSpec.Model;
using NativeSpec.Sampling;
using NativeSpec.Speculation.Verification;

namespace NativeSpec.Tests.Speculation.Verification;

/// <summary>The rows of a tree that nobody has computed: their logits are a function of the path.</summary>
internal sealed class TableRows : IForwardResult
{
    private readonly PlannedTree _planned;
    private readonly Func<IReadOnlyList<int>, float[]> _logits;
    private readonly RequestSampling _sampling;

    public TableRows(PlannedTree planned, Func<IReadOnlyList<int>, float[]> logits, RequestSampling sampling)
    {
        (_planned, _logits, _sampling) = (planned, logits, sampling);
        sampling.Follow(planned);
    }

    public int Choose(int row)
    {
        var choice = ((IRowChoices)_sampling).Describe(row);
        return _sampling.Chance is Branches branches ? branches.Choose(_sampling.Chooser, Logits(row), choice) : _sampling.Chooser.Choose(Logits(row), choice);
    }

    public ReadOnlySpan<float> Logits(int row)
    {
        List<int> path = [];
        for (var node = _planned.Nodes[row]; node.Parent >= 0; node = _planned.Nodes[node.Parent])
        {
            path.Insert(0, node.Token);
        }

        return _logits(path);
    }

    public int Top(int row, Span<TokenLogProb> into) => throw new NotSupportedException("walks ask for logits");

    public int Top(int row, Span<int> into)
    {
        var logits = Logits(row).ToArray();
        int[] ids = [.. Enumerable.Range(0, logits.Length).Where(id => logits[id] > float.NegativeInfinity).OrderByDescending(id => logits[id]).Take(into.Length)];
        ids.CopyTo(into);
        return ids.Length;
    }

    public float LogProb(int row, int token) => throw new NotSupportedException("walks ask for logits");

    public HiddenRow Hidden(int row) => throw new NotSupportedException("a table has no hidden states");
}

/// <summary>A text that takes what a walk writes.</summary>
internal sealed class TextList(TokenHistory history) : ITextWriter
{
    public List<int> Tokens { get; } = [];

    public bool Take(int token, IForwardResult rows, int row)
    {
        Tokens.Add(token);
        history.Push(token);
        return true;
    }
}
