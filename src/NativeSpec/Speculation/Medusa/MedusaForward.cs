using System.Numerics.Tensors;
using NativeSpec.Backends;
using NativeSpec.Loading.Medusa;
using NativeSpec.Sampling;
using NativeSpec.Tensors;

namespace NativeSpec.Speculation.Medusa;

/// <summary>Computes Medusa heads (Cai et al., 2024, section 2.1) for the hidden states of several sequences at once:
/// <code>
/// x ← hidden;  for each block: x ← x + SiLU(A x + b);  logits ← W x;  the k most likely tokens and their probabilities
/// </code></summary>
/// <remarks>A weight is read once for all states, because reading it is what costs. Heads that share their vocabulary matrix are multiplied with it in one go. Allocates
/// nothing once it is made.</remarks>
internal sealed class MedusaForward : IDisposable
{
    private readonly IBackend _backend;
    private readonly Dictionary<TensorView, BackendWeight> _weights = new(ReferenceEqualityComparer.Instance);
    private readonly BackendWeight[][] _blocks;
    private readonly BackendWeight[] _vocabs;
    private readonly IReadOnlyList<int>? _tokenMap;
    private readonly bool _isVocabShared;
    private readonly int _hiddenSize;
    private readonly int _rows;
    private readonly BackendBuffer _x;          // [states, hidden]
    private readonly BackendBuffer _y;          // [states, hidden]
    private readonly BackendBuffer _features;   // [heads, states, hidden], where the vocabulary is shared
    private readonly BackendBuffer _logits;     // [heads or 1, states, vocabulary rows]
    private readonly float[] _states;           // [states, hidden]
    private readonly float[] _feature;          // [states, hidden]
    private readonly float[] _weightOf;         // [rows]
    private readonly int[] _tokens;             // [states, heads, top k]
    private readonly float[] _probabilities;    // [states, heads, top k]
    private readonly int[] _found;              // [states, heads]

    /// <summary>Puts the weights on the backend.</summary>
    /// <param name="heads">The heads; their memory must outlive this.</param>
    /// <param name="lmHead">The model's output matrix, for heads that use it.</param>
    /// <param name="backend">Stays the caller's.</param>
    /// <param name="rows">Rows of the vocabulary matrices that stand for tokens: the first ones.</param>
    /// <param name="topK">Tokens to find for each head, at most as many as a head has.</param>
    public MedusaForward(MedusaHeads heads, TensorView lmHead, IBackend backend, int rows, int topK)
    {
        _backend = backend;
        _hiddenSize = heads.HiddenSize;
        _tokenMap = heads.TokenMap;
        _isVocabShared = heads.IsVocabShared;
        _blocks = [.. heads.Heads.Select(head => head.Blocks.Select(block => Import(block.Weight, block.Bias)).ToArray())];
        _vocabs = [.. heads.Heads.Select(head => Import(head.Vocab ?? lmHead, null))];
        _rows = rows;
        TopK = Math.Min(topK, rows);
        var atOnce = MaxStates * (_isVocabShared ? Count : 1L);
        _x = backend.Allocate(MaxStates * (long)_hiddenSize);
        _y = backend.Allocate(MaxStates * (long)_hiddenSize);
        _features = backend.Allocate(atOnce * _hiddenSize);
        _logits = backend.Allocate(atOnce * _vocabs[0].OutFeatures);
        _states = new float[MaxStates * _hiddenSize];
        _feature = new float[MaxStates * _hiddenSize];
        _weightOf = new float[rows];
        _tokens = new int[MaxStates * Count * TopK];
        _probabilities = new float[_tokens.Length];
        _found = new int[MaxStates * Count];
    }

    /// <summary>Most hidden states at once.</summary>
    public const int MaxStates = 16;

    /// <summary>Heads there are.</summary>
    public int Count => _vocabs.Length;

    /// <summary>Tokens found for each head.</summary>
    public int TopK { get; }

    /// <summary>[found] the most likely tokens of a head after a state, most likely first; none where its logits are not finite.</summary>
    public ReadOnlySpan<int> Tokens(int state, int head) => _tokens.AsSpan(Place(state, head) * TopK, _found[Place(state, head)]);

    /// <summary>[found] their probabilities.</summary>
    public ReadOnlySpan<float> Probabilities(int state, int head) => _probabilities.AsSpan(Place(state, head) * TopK, _found[Place(state, head)]);

    /// <summary>Sets a state.</summary>
    /// <param name="state">Which one.</param>
    /// <param name="hidden">[hidden] the model's hidden state after the final norm.</param>
    public void SetState(int state, ReadOnlySpan<float> hidden) => hidden.CopyTo(_states.AsSpan(state * _hiddenSize, _hiddenSize));

    /// <summary>Computes the first heads of the first states.</summary>
    /// <param name="states">How many states.</param>
    /// <param name="heads">How many heads: the deepest token that is wanted.</param>
    public void Run(int states, int heads)
    {
        var values = states * _hiddenSize;
        for (var h = 0; h < heads; h++)
        {
            _backend.Write(_x, 0, _states.AsSpan(0, values));
            foreach (var block in _blocks[h])
            {
                _backend.MatMul(block, _x, _y, states, accumulate: false);
                _backend.AddSilu(_x, _y, states, _hiddenSize);
            }

            if (_isVocabShared)
            {
                _backend.Download(_x, 0, values).CopyTo(_feature);
                _backend.Write(_features, (long)h * values, _feature.AsSpan(0, values));
            }
            else
            {
                _backend.MatMul(_vocabs[h], _x, _logits, states, accumulate: false);
                Rank(h, firstRow: 0, states);
            }
        }

        if (_isVocabShared)
        {
            _backend.MatMul(_vocabs[0], _features, _logits, heads * states, accumulate: false);
            for (var h = 0; h < heads; h++)
            {
                Rank(h, firstRow: h * states, states);
            }
        }
    }

    public void Dispose()
    {
        foreach (var weight in _weights.Values)
        {
            weight.Dispose();
        }

        _x.Dispose();
        _y.Dispose();
        _features.Dispose();
        _logits.Dispose();
    }

    // One module may stand for several blocks, and one matrix for several heads.
    private BackendWeight Import(TensorView weight, TensorView? bias)
    {
        if (!_weights.TryGetValue(weight, out var imported))
        {
            imported = _backend.ImportWeight([weight], [bias]);
            _weights.Add(weight, imported);
        }

        return imported;
    }

    private int Place(int state, int head) => (state * Count) + head;

    private void Rank(int head, int firstRow, int states)
    {
        for (var state = 0; state < states; state++)
        {
            var logits = _backend.Download(_logits, (firstRow + (long)state) * _vocabs[0].OutFeatures, _rows);
            // The maximum is NaN if any logit is: then the head is broken, which costs its proposals and nothing else.
            var (max, place) = (TensorPrimitives.Max(logits), Place(state, head));
            _found[place] = 0;
            if (!float.IsFinite(max))
            {
                continue;
            }

            var tokens = _tokens.AsSpan(place * TopK, TopK);
            _found[place] = TopTokens.SelectLikeliest(logits, max, _weightOf, tokens, _probabilities.AsSpan(place * TopK, TopK));
            for (var i = 0; i < _found[place] && _tokenMap is not null; i++)
            {
                tokens[i] = _tokenMap[tokens[i]];
            }
        }
    }
}
