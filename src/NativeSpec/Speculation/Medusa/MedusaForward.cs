using System.Numerics.Tensors;
using NativeSpec.Backends;
using NativeSpec.Loading.Medusa;
using NativeSpec.Sampling;
using NativeSpec.Tensors;

namespace NativeSpec.Speculation.Medusa;

/// <summary>Computes Medusa heads (Cai et al., 2024, section 2.1) for one hidden state:
/// <code>
/// x ← hidden;  for each block: x ← x + SiLU(A x + b);  logits ← W x;  the k most likely tokens and their probabilities
/// </code></summary>
/// <remarks>Heads that share their vocabulary matrix are multiplied with it in one go, because reading it is what costs. Allocates
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
    private readonly BackendBuffer _x;          // [hidden]
    private readonly BackendBuffer _y;          // [hidden]
    private readonly BackendBuffer _features;   // [heads, hidden], where the vocabulary is shared
    private readonly BackendBuffer _logits;     // [heads or 1, rows]
    private readonly float[] _feature;
    private readonly float[] _weightOf;         // [rows]
    private readonly int[] _tokens;
    private readonly float[] _probabilities;
    private readonly int[] _found;

    /// <summary>Puts the weights on the backend.</summary>
    /// <param name="heads">The heads; their memory must outlive this.</param>
    /// <param name="lmHead">The model's output matrix, for heads that use it.</param>
    /// <param name="backend">Stays the caller's.</param>
    /// <param name="topK">Tokens to find for each head, at most as many as a head has.</param>
    public MedusaForward(MedusaHeads heads, TensorView lmHead, IBackend backend, int topK)
    {
        _backend = backend;
        _hiddenSize = heads.HiddenSize;
        _tokenMap = heads.TokenMap;
        _isVocabShared = heads.IsVocabShared;
        _blocks = [.. heads.Heads.Select(head => head.Blocks.Select(block => Import(block.Weight, block.Bias)).ToArray())];
        _vocabs = [.. heads.Heads.Select(head => Import(head.Vocab ?? lmHead, null))];
        TopK = Math.Min(topK, _vocabs[0].OutFeatures);
        var atOnce = _isVocabShared ? Count : 1;
        _x = backend.Allocate(_hiddenSize);
        _y = backend.Allocate(_hiddenSize);
        _features = backend.Allocate((long)atOnce * _hiddenSize);
        _logits = backend.Allocate((long)atOnce * _vocabs[0].OutFeatures);
        _feature = new float[_hiddenSize];
        _weightOf = new float[_vocabs[0].OutFeatures];
        _tokens = new int[Count * TopK];
        _probabilities = new float[Count * TopK];
        _found = new int[Count];
    }

    /// <summary>Heads there are.</summary>
    public int Count => _vocabs.Length;

    /// <summary>Tokens found for each head.</summary>
    public int TopK { get; }

    /// <summary>[found] the most likely tokens of a head, most likely first; none where its logits are not finite.</summary>
    public ReadOnlySpan<int> Tokens(int head) => _tokens.AsSpan(head * TopK, _found[head]);

    /// <summary>[found] their probabilities.</summary>
    public ReadOnlySpan<float> Probabilities(int head) => _probabilities.AsSpan(head * TopK, _found[head]);

    /// <summary>Computes the first heads.</summary>
    /// <param name="hidden">[hidden] the model's hidden state after the final norm.</param>
    /// <param name="heads">How many: the deepest token that is wanted.</param>
    public void Run(ReadOnlySpan<float> hidden, int heads)
    {
        var rows = _vocabs[0].OutFeatures;
        for (var h = 0; h < heads; h++)
        {
            _backend.Write(_x, 0, hidden);
            foreach (var block in _blocks[h])
            {
                _backend.MatMul(block, _x, _y, rows: 1, accumulate: false);
                _backend.AddSilu(_x, _y, rows: 1, _hiddenSize);
            }

            if (_isVocabShared)
            {
                _backend.Download(_x, 0, _hiddenSize).CopyTo(_feature);
                _backend.Write(_features, (long)h * _hiddenSize, _feature);
            }
            else
            {
                _backend.MatMul(_vocabs[h], _x, _logits, rows: 1, accumulate: false);
                Rank(h, _backend.Download(_logits, 0, rows));
            }
        }

        if (_isVocabShared)
        {
            _backend.MatMul(_vocabs[0], _features, _logits, heads, accumulate: false);
            for (var h = 0; h < heads; h++)
            {
                Rank(h, _backend.Download(_logits, (long)h * rows, rows));
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

    private void Rank(int head, ReadOnlySpan<float> logits)
    {
        // The maximum is NaN if any logit is: then the head is broken, which costs its proposals and nothing else.
        var max = TensorPrimitives.Max(logits);
        _found[head] = 0;
        if (!float.IsFinite(max))
        {
            return;
        }

        var tokens = _tokens.AsSpan(head * TopK, TopK);
        _found[head] = TopTokens.SelectLikeliest(logits, max, _weightOf, tokens, _probabilities.AsSpan(head * TopK, TopK));
        for (var i = 0; i < _found[head] && _tokenMap is not null; i++)
        {
            tokens[i] = _tokenMap[tokens[i]];
        }
    }
}
