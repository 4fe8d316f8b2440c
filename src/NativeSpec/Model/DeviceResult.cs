using NativeSpec.Backends;
using NativeSpec.Sampling;

namespace NativeSpec.Model;

/// <summary>The rows of a forward that lie on a device, which chooses tokens and finds the likeliest ones there. Where a rule needs more than the row (penalties,
/// bias, a mask) or cuts it (top-k, top-p, min-p), and where something is wrong with it, the row comes to the host and is chosen from as any other:
/// for equal logits both choose the same token.</summary>
internal sealed class DeviceResult(LlamaModel model, IRowAnswers answers) : IForwardResult
{
    private readonly ForwardResult _host = new(model);

    /// <summary>Says how a row is to be chosen from, if the device can.</summary>
    /// <returns>Whether it can.</returns>
    public static bool Ask(IRowAnswers answers, int row, in RowChoice choice)
    {
        var rule = choice.Rule;
        if (rule.ChangesScores || !choice.Mask.IsEmpty || (!rule.IsGreedy && (rule.TopK != 0 || rule.TopP < 1 || rule.MinP > 0)))
        {
            return false;
        }

        answers.Ask(row, new RowQuestion(rule.Seed, choice.Position, rule.Temperature));
        return true;
    }

    public int Choose(int row)
    {
        if (model.ChoicesOf(row).Choices is null)
        {
            return _host.Choose(row); // says what is wrong
        }

        var answer = answers.Answer(row);
        return float.IsFinite(answer.Highest) && (uint)answer.Chosen < (uint)model.Config.VocabSize ? answer.Chosen : _host.Choose(row);
    }

    public int Top(int row, Span<TokenLogProb> into)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(into.Length, TopTokens.MaxCount);
        Span<int> ids = stackalloc int[into.Length];
        Span<float> logits = stackalloc float[into.Length];
        var logSum = LogSum(row);
        var count = Top(row, ids, logits);
        for (var i = 0; i < count; i++)
        {
            into[i] = new TokenLogProb(ids[i], (float)(logits[i] - logSum));
        }

        return count;
    }

    public int Top(int row, Span<int> into)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(into.Length, TopTokens.MaxCount);
        Span<float> logits = stackalloc float[into.Length];
        return Top(row, into, logits);
    }

    public float LogProb(int row, int token) => (float)(answers.At(row, token) - LogSum(row));

    public ReadOnlySpan<float> Logits(int row) => model.Logits(row);

    public HiddenRow Hidden(int row) => model.Hidden(row);

    private double LogSum(int row)
    {
        var answer = answers.Answer(row);
        return float.IsFinite(answer.Highest) ? answer.LogSum : throw new NonFiniteLogitsException(model.PositionAfter(row), answer.Highest);
    }

    /// <summary>The highest logits, without those that are −∞ or not numbers.</summary>
    private int Top(int row, Span<int> ids, Span<float> logits)
    {
        var (found, count) = (answers.Top(row, ids, logits), 0);
        for (var i = 0; i < found; i++)
        {
            if (logits[i] > float.NegativeInfinity)
            {
                (ids[count], logits[count]) = (ids[i], logits[i]);
                count++;
            }
        }

        return count;
    }
}
