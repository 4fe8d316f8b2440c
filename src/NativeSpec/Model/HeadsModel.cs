using NativeSpec.Backends;
using NativeSpec.Loading.Medusa;
using NativeSpec.Sampling;
using NativeSpec.Tensors;

namespace NativeSpec.Model;

/// <summary>Medusa heads (Cai et al., 2024, section 2.1), computed for the hidden states of all sequences of a round at once:
/// <code>
/// x ← hidden;  for each block: x ← x + SiLU(A x + b);  logits ← W x;  the k most likely tokens and their probabilities
/// </code></summary>
/// <remarks>A head is a program of its own, because only as many are computed as are expected to pay. A weight is read once for all states; heads that
/// share their vocabulary matrix are multiplied with it in one go. A device ranks tokens where the logits lie. Allocates nothing once it is made.</remarks>
internal sealed class HeadsModel : IDisposable
{
    /// <summary>Most hidden states at once.</summary>
    public const int MaxStates = 16;

    private readonly Dictionary<TensorView, BackendWeight> _weights = new(ReferenceEqualityComparer.Instance);
    private readonly Head[] _heads;
    private readonly Head? _vocabulary; // where all heads share it: its input is their features
    private readonly IReadOnlyList<int>? _tokenMap;
    private readonly RowBatch _batch;
    private readonly float[] _weightOf;      // [rows of a vocabulary matrix]
    private readonly int[] _tokens;          // [states, heads, top k]
    private readonly float[] _probabilities; // [states, heads, top k]
    private readonly int[] _found;           // [states, heads]
    private readonly int _rows;

    /// <summary>Puts the heads on a backend.</summary>
    /// <param name="heads">The heads; their memory must outlive this.</param>
    /// <param name="lmHead">The model's output matrix, for heads that use it.</param>
    /// <param name="backend">The model's backend; stays the caller's.</param>
    /// <param name="rows">Rows of the vocabulary matrices that stand for tokens: the first ones.</param>
    /// <param name="topK">Tokens to find for each head, at most as many as a head has, and <see cref="TopTokens.MaxCount"/>.</param>
    public HeadsModel(MedusaHeads heads, TensorView lmHead, IBackend backend, int rows, int topK)
    {
        _tokenMap = heads.TokenMap;
        var shared = heads.IsVocabShared;
        _heads = new Head[heads.Heads.Count];
        for (var h = 0; h < _heads.Length; h++)
        {
            var plan = new ForwardPlan(MaxStates, shared ? 0 : MaxStates);
            var x = plan.Input(heads.HiddenSize);
            foreach (var block in heads.Heads[h].Blocks)
            {
                plan.Project(x, Import(backend, block.Weight, block.Bias), epilogue: Epilogue.AddSilu, into: x);
            }

            var output = shared ? x : plan.Ask(plan.Project(plan.GatherLogitRows(x), Import(backend, heads.Heads[h].Vocab ?? lmHead, null)));
            _heads[h] = new Head(backend.Compile(plan), x, output);
        }

        if (shared)
        {
            var plan = new ForwardPlan(MaxStates * _heads.Length, MaxStates * _heads.Length);
            var features = plan.Input(heads.HiddenSize);
            var logits = plan.Ask(plan.Project(plan.GatherLogitRows(features), Import(backend, heads.Heads[0].Vocab ?? lmHead, null)));
            _vocabulary = new Head(backend.Compile(plan), features, logits);
        }

        _batch = new RowBatch(MaxStates * _heads.Length, maxPages: 1);
        for (var row = 0; row < _batch.MaxRows; row++)
        {
            _batch.LogitRows[row] = row; // all
        }

        _rows = rows;
        TopK = Math.Min(topK, _rows);
        _weightOf = new float[_rows];
        _tokens = new int[MaxStates * _heads.Length * TopK];
        _probabilities = new float[_tokens.Length];
        _found = new int[MaxStates * _heads.Length];
    }

    /// <summary>Heads there are.</summary>
    public int Count => _heads.Length;

    /// <summary>Tokens found for each head.</summary>
    public int TopK { get; }

    /// <summary>[found] the most likely tokens of a head after a state, most likely first; none where its logits are not finite.</summary>
    public ReadOnlySpan<int> Tokens(int state, int head) => _tokens.AsSpan(Place(state, head) * TopK, _found[Place(state, head)]);

    /// <summary>[found] their probabilities.</summary>
    public ReadOnlySpan<float> Probabilities(int state, int head) => _probabilities.AsSpan(Place(state, head) * TopK, _found[Place(state, head)]);

    /// <summary>Sets a state for the next run: a row where the model left it.</summary>
    /// <exception cref="InvalidOperationException">The model has computed another forward since.</exception>
    public void SetState(int state, in HiddenRow hidden)
    {
        RequireState(state);
        foreach (var head in _heads)
        {
            hidden.CopyTo(head.Program, head.Input, state);
        }
    }

    /// <summary>Sets a state for the next run.</summary>
    /// <param name="state">Which one.</param>
    /// <param name="hidden">[hidden] the model's hidden state after the final norm.</param>
    public void SetState(int state, ReadOnlySpan<float> hidden)
    {
        RequireState(state);
        foreach (var head in _heads)
        {
            head.Program.Write(head.Input, state, hidden);
        }
    }

    /// <summary>Computes the first heads of the first states, which have been set since the last run: the blocks compute in their place.</summary>
    /// <param name="states">How many states.</param>
    /// <param name="heads">How many heads: the deepest token that is wanted.</param>
    public void Run(int states, int heads)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)states, (uint)MaxStates);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)heads, (uint)Count);
        for (var h = 0; h < heads; h++)
        {
            var head = _heads[h];
            _batch.Count = states;
            _batch.LogitCount = _vocabulary is null ? states : 0;
            head.Program.Run(_batch);
            for (var state = 0; state < states; state++)
            {
                if (_vocabulary is { } vocabulary)
                {
                    vocabulary.Program.Copy(vocabulary.Input, (h * states) + state, head.Program, head.Output, state);
                }
                else
                {
                    Rank(state, h, head, state);
                }
            }
        }

        if (_vocabulary is { } shared)
        {
            _batch.Count = _batch.LogitCount = heads * states;
            shared.Program.Run(_batch);
            for (var row = 0; row < heads * states; row++)
            {
                Rank(row % states, row / states, shared, row);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var head in _heads)
        {
            head.Program.Dispose();
        }

        _vocabulary?.Program.Dispose();
        foreach (var weight in _weights.Values)
        {
            weight.Dispose();
        }
    }

    private static void RequireState(int state) => ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)state, (uint)MaxStates);

    // One module may stand for several blocks, and one matrix for several heads.
    private BackendWeight Import(IBackend backend, TensorView weight, TensorView? bias)
    {
        if (!_weights.TryGetValue(weight, out var imported))
        {
            imported = backend.ImportWeight([weight], [bias]);
            _weights.Add(weight, imported);
        }

        return imported;
    }

    private int Place(int state, int head) => (state * Count) + head;

    private void Rank(int state, int head, Head computed, int row)
    {
        var place = Place(state, head);
        Span<int> tokens = _tokens.AsSpan(place * TopK, TopK);
        var probabilities = _probabilities.AsSpan(place * TopK, TopK);
        // A device counts all rows of the matrix.
        _found[place] = computed.Program is IRowAnswers answers && computed.Output.Width == _rows
            ? Rank(answers, row, tokens, probabilities)
            : Rank(computed.Program.Read(computed.Output, row)[.._rows], tokens, probabilities);
        for (var i = 0; i < _found[place] && _tokenMap is not null; i++)
        {
            tokens[i] = _tokenMap[tokens[i]];
        }
    }

    /// <summary>The most likely tokens and their probabilities; none where a logit is not a number: then the head is broken, which costs its proposals and
    /// nothing else.</summary>
    private int Rank(ReadOnlySpan<float> logits, Span<int> tokens, Span<float> probabilities)
    {
        var max = LogitScan.MaxOrNaN(logits);
        return float.IsFinite(max) ? TopTokens.SelectLikeliest(logits, max, _weightOf, tokens, probabilities) : 0;
    }

    /// <summary>The same where the logits lie.</summary>
    private static int Rank(IRowAnswers answers, int row, Span<int> tokens, Span<float> probabilities)
    {
        var summary = answers.Answer(row);
        if (!float.IsFinite(summary.Highest))
        {
            return 0;
        }

        var (found, count) = (answers.Top(row, tokens, probabilities), 0);
        while (count < found && probabilities[count] > float.NegativeInfinity)
        {
            probabilities[count] = (float)Math.Exp(probabilities[count] - summary.LogSum);
            count++;
        }

        return count;
    }

    private sealed record Head(IForwardProgram Program, Rows Input, Rows Output);
}
