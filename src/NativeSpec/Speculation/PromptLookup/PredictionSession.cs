namespace NativeSpec.Speculation.PromptLookup;

/// <summary>Follows one request's output through the text that it is expected to be like.</summary>
/// <remarks>
/// <para>The output is expected to begin with the prediction's first token and to go on as it does. A token that is another one leaves it; then the place is looked
/// for again: the longest end of the output that stands in the prediction, first after the place where it was left, then anywhere. Short ends are everywhere,
/// so fewer than <see cref="SureMatch"/> tokens count only in the <see cref="Window"/> behind that place: an edit replaces, leaves out or adds a few
/// tokens and then goes on.</para>
/// <para>Until the place is found the two likely ones are proposed: as many tokens further as the output has (something was replaced), and
/// where it was left (something was added).</para>
/// <para>Confidence is the rule of succession, as of <see cref="PromptLookupSession"/>: after m agreements the next has probability (m+1)/(m+2). The
/// beginning, which nothing agrees with yet, counts as <see cref="TrustAtStart"/> agreements.</para>
/// </remarks>
internal sealed class PredictionSession : IDrafter
{
    private const int SureMatch = 3, LongestMatch = 8, Window = 64;
    private const int TrustAtStart = 8;
    private const int TokensPerAgreement = 4, MaxDraft = 64, MaxGuess = 8;

    private readonly int[] _prediction;
    private readonly OwnCandidates _candidates = new();
    private readonly int _begins; // of the output, in the text
    private int _read;            // tokens of the text followed so far
    private int _next;            // the place in the prediction that comes next, while the output follows it
    private int _agreed = TrustAtStart;
    private int _left;            // the last place that was sure
    private int _missed;          // tokens since the output left the prediction; 0 while it follows

    public PredictionSession(int[] prediction, int promptLength) => (_prediction, _begins, _read) = (prediction, promptLength, promptLength);

    public void Propose(DraftContext context, DraftTree tree)
    {
        Follow(context.Text);
        _candidates.Begin(context, tree);
        if (_missed == 0)
        {
            Branch(_next, _agreed, share: 1, Math.Min(MaxDraft, TokensPerAgreement * _agreed));
            return;
        }

        Branch(_left + _missed, agreement: 0, share: 1, MaxGuess);
        Branch(_left, agreement: 0, share: 0.5f, MaxGuess);
    }

    public void Observe(RoundOutcome outcome)
    {
        // The text itself says what was accepted.
    }

    public void Dispose()
    {
    }

    private void Follow(ReadOnlySpan<int> text)
    {
        for (; _read < text.Length; _read++)
        {
            if (_missed == 0 && _next < _prediction.Length && _prediction[_next] == text[_read])
            {
                _next++;
                _agreed++;
                _left = _agreed >= SureMatch ? _next : _left;
            }
            else
            {
                _missed++;
                FindPlace(text[_begins..(_read + 1)]);
            }
        }
    }

    /// <summary>Looks for the longest end of the output.</summary>
    private void FindPlace(ReadOnlySpan<int> output)
    {
        var behind = Math.Min(_left, _prediction.Length);
        var (next, length) = FindSure(output, behind, _prediction.Length, least: 0);
        var (earlier, longer) = FindSure(output, 0, Math.Min(behind + SureMatch - 1, _prediction.Length), least: length);
        (next, length) = longer > length ? (earlier, longer) : (next, length);
        for (var unsure = Math.Min(SureMatch - 1, output.Length); length == 0 && unsure > 0; unsure--)
        {
            var at = _prediction.AsSpan(behind, Math.Min(_missed + Window, _prediction.Length - behind)).IndexOf(output[^unsure..]);
            (next, length) = at < 0 ? (0, 0) : (behind + at + unsure, unsure);
        }

        if (length > 0)
        {
            (_next, _agreed, _missed) = (next, length, 0);
            _left = length >= SureMatch ? next : _left;
        }
    }

    /// <summary>The longest end of the output of <see cref="SureMatch"/> tokens or more, the first of those: one pass over the places of its last tokens.</summary>
    /// <param name="output">The output so far.</param>
    /// <param name="from">Where in the prediction those last tokens may begin.</param>
    /// <param name="to">Where they must have ended.</param>
    /// <param name="least">A length that is too short.</param>
    /// <returns>What comes behind it, and its length; 0 where there is none.</returns>
    private (int Next, int Length) FindSure(ReadOnlySpan<int> output, int from, int to, int least)
    {
        var most = Math.Min(LongestMatch, output.Length);
        var found = (Next: 0, Length: 0);
        if (most < SureMatch)
        {
            return found;
        }

        var last = output[^SureMatch..];
        for (var length = least; length < most && from < to; from++)
        {
            var at = _prediction.AsSpan(from, to - from).IndexOf(last);
            if (at < 0)
            {
                return found;
            }

            from += at;
            var next = from + SureMatch;
            var same = SureMatch;
            while (same < most && same < next && _prediction[next - same - 1] == output[^(same + 1)])
            {
                same++;
            }

            if (same > length)
            {
                found = (next, length = same);
            }
        }

        return found;
    }

    private void Branch(int start, int agreement, float share, int length)
    {
        var node = 0;
        for (var i = 0; i < length && start + i < _prediction.Length; i++)
        {
            var confidence = (agreement + i + 1f) / (agreement + i + 2f) * (i == 0 ? share : 1);
            node = _candidates.Add(node, _prediction[start + i], confidence);
            if (node < 0)
            {
                return;
            }
        }
    }
}
