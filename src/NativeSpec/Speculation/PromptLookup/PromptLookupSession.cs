namespace NativeSpec.Speculation.PromptLookup;

/// <summary>Prompt lookup for one request.</summary>
/// <remarks>
/// <para>The first branch copies what followed the latest earlier occurrence of the longest suffix that has one. The others begin with
/// the tokens that followed that suffix most often, and then, at its suffix links, the shorter suffixes; each goes on as after its own
/// latest occurrence. A copy that reaches the text's end goes on with itself, as if the text repeated from there.</para>
/// <para>Confidence is the rule of succession: after m agreements in a row the next one has probability (m+1)/(m+2). At the root a suffix
/// of length m shares this among its successors by their counts and leaves 1/(m+2) to its shorter suffixes; below the root, each token
/// accepted would have been one more agreement. Nodes are added in descending order of the product along their path, so a small budget
/// goes to the best of all branches.</para>
/// <para>The text is read as it comes: a prompt piece by piece while it is computed. Proposing allocates nothing. The automaton grows with the text; its size is doubled when it is full.</para>
/// </remarks>
internal sealed class PromptLookupSession : IDrafter
{
    private const int TokensPerAgreement = 4; // SAM-Decoding's α
    private const int MaxLinks = 8;

    private readonly PromptLookupOptions _options;
    private readonly SuffixAutomaton _automaton;
    private readonly OwnCandidates _candidates = new();
    private readonly Branch[] _branches;
    private readonly SuffixAutomaton.Successor[] _successors;
    private int _branchCount;

    public PromptLookupSession(PromptLookupOptions options, int promptLength)
    {
        _options = options;
        _automaton = new SuffixAutomaton(promptLength + 256);
        _branches = new Branch[options.MaxBranches];
        _successors = new SuffixAutomaton.Successor[options.MaxBranches + 1];
    }

    /// <summary>Tokens read so far.</summary>
    public int TokensRead => _automaton.Length;

    public void ReadPrompt(ReadOnlySpan<int> prompt) => Read(prompt);

    public void Propose(DraftContext context, DraftTree tree)
    {
        Read(context.Text);
        FindBranches(context.Text);
        _candidates.Begin(context, tree);
        while (!_candidates.IsFull && BestBranch() is var best and >= 0)
        {
            ref var branch = ref _branches[best];
            branch.Node = _candidates.Add(branch.Node, branch.Next(context.Text), branch.Confidence);
            if (branch.Node >= 0)
            {
                branch.Advance();
            }
            else
            {
                branch.Remaining = 0;
            }
        }
    }

    public void Observe(RoundOutcome outcome)
    {
        // The text itself says what was accepted.
    }

    public void Dispose()
    {
    }

    private void Read(ReadOnlySpan<int> text)
    {
        for (var i = _automaton.Length; i < text.Length; i++)
        {
            _automaton.Append(text[i]);
        }
    }

    private void FindBranches(ReadOnlySpan<int> text)
    {
        _branchCount = 0;
        var mass = 1f;
        var state = _automaton.Match;
        for (var i = 0; i < MaxLinks && _automaton.LengthOf(state) >= _options.MinMatch && _branchCount < _branches.Length; i++)
        {
            var agreement = _automaton.LengthOf(state);
            var count = _automaton.Successors(state, _successors, out var total);
            if (i == 0)
            {
                var end = _automaton.EndOf(state);
                var latest = _automaton.CountOf(state, text[end]);
                AddBranch(text, end, agreement, mass * latest / Math.Max(total, latest));
            }

            foreach (var successor in _successors.AsSpan(0, count))
            {
                AddBranch(text, successor.End - 1, agreement, mass * successor.Count / total);
            }

            mass /= agreement + 2;
            state = _automaton.LinkOf(state);
        }
    }

    /// <summary>Adds the branch that copies from a place of the text, unless one begins with the same token.</summary>
    private void AddBranch(ReadOnlySpan<int> text, int start, int agreement, float share)
    {
        for (var i = 0; i < _branchCount; i++)
        {
            if (text[_branches[i].Start] == text[start])
            {
                return;
            }
        }

        if (_branchCount < _branches.Length)
        {
            var length = (int)Math.Min(_options.MaxDraft, (long)TokensPerAgreement * agreement);
            _branches[_branchCount++] = new Branch(start, agreement, length, share);
        }
    }

    /// <summary>The branch whose next token is most likely to be reached and right; −1 when all are at their end.</summary>
    private int BestBranch()
    {
        var best = -1;
        var bestReach = 0f;
        for (var i = 0; i < _branchCount; i++)
        {
            ref readonly var branch = ref _branches[i];
            if (branch.Remaining > 0 && branch.Reach * branch.Confidence > bestReach)
            {
                best = i;
                bestReach = branch.Reach * branch.Confidence;
            }
        }

        return best;
    }

    /// <summary>A copy in progress.</summary>
    /// <param name="Start">Where in the text it copies from.</param>
    /// <param name="Agreement">How many tokens agree before that place.</param>
    /// <param name="Remaining">Tokens still to be added.</param>
    /// <param name="Share">The first token's share of the trust in a match of this length.</param>
    private record struct Branch(int Start, int Agreement, int Remaining, float Share)
    {
        /// <summary>The node that the next token goes below.</summary>
        public int Node;

        /// <summary>The product of confidences down to <see cref="Node"/>.</summary>
        public float Reach = 1;

        private int _copied;

        /// <summary>The next token's probability, given all before it.</summary>
        public readonly float Confidence => (Agreement + _copied + 1f) / (Agreement + _copied + 2f) * (_copied == 0 ? Share : 1);

        public readonly int Next(ReadOnlySpan<int> text) => text[Start + (_copied % (text.Length - Start))];

        public void Advance()
        {
            Reach *= Confidence;
            _copied++;
            Remaining--;
        }
    }
}
