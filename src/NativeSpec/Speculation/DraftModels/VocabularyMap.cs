using System.Text;
using NativeSpec.Tokenization;

namespace NativeSpec.Speculation.DraftModels;

/// <summary>From a target's tokens to a draft model's and back. Tokens of equal bytes are equal; what only one of them has is spelt in the
/// other's tokens on the way in, and cannot be proposed on the way out.</summary>
internal sealed class VocabularyMap
{
    /// <summary>Below this share of the draft's tokens that the target has too, its proposals go through text instead.</summary>
    private const double EnoughShared = 0.5;

    private readonly Tokenizer _target;
    private readonly Tokenizer _draft;
    private readonly int[] _toTarget; // [draft] −1 where the target has no such token
    private readonly int[] _toDraft;  // [target] −1 where the draft has no such token

    private readonly int _draftRows;

    private VocabularyMap(Tokenizer target, Tokenizer draft, int draftRows, int[] toTarget, int[] toDraft, double shared)
    {
        (_target, _draft, _draftRows, _toTarget, _toDraft, Shared) = (target, draft, draftRows, toTarget, toDraft, shared);
    }

    /// <summary>Share of the draft's ordinary tokens that the target has too.</summary>
    public double Shared { get; }

    /// <summary>Whether proposals are mapped token by token; otherwise they are decoded to text and tokenized anew.</summary>
    public bool MapsTokens => Shared >= EnoughShared;

    /// <summary>Compares two vocabularies. Rows and tokens are not as many where a model's matrices are padded, or a tokenizer has got tokens that
    /// its model was never made for: a token without a row cannot be read, a row without a token is not proposed.</summary>
    /// <param name="target">The target's tokenizer.</param>
    /// <param name="draft">The draft's.</param>
    /// <param name="draftRows">Rows of the draft's embedding.</param>
    /// <param name="draftName">For messages.</param>
    /// <exception cref="ArgumentException">The draft can neither share tokens with the target nor spell its text.</exception>
    public static VocabularyMap Create(Tokenizer target, Tokenizer draft, int draftRows, string draftName)
    {
        var byBytes = new Dictionary<string, int>(target.VocabSize);
        for (var id = 0; id < target.VocabSize; id++)
        {
            byBytes.TryAdd(Key(target, id), id);
        }

        var toTarget = new int[Math.Min(draft.VocabSize, draftRows)];
        var toDraft = Enumerable.Repeat(-1, target.VocabSize).ToArray();
        var (shared, ordinary) = (0, 0);
        for (var id = 0; id < toTarget.Length; id++)
        {
            // The same id with the same bytes first, so that equal vocabularies map every token to itself.
            var key = Key(draft, id);
            toTarget[id] = id < target.VocabSize && Key(target, id) == key ? id : byBytes.GetValueOrDefault(key, -1);
            ordinary += draft.IsSpecial(id) ? 0 : 1;
            shared += toTarget[id] >= 0 && !draft.IsSpecial(id) ? 1 : 0;
            if (toTarget[id] >= 0 && toDraft[toTarget[id]] < 0)
            {
                toDraft[toTarget[id]] = id;
            }
        }

        var map = new VocabularyMap(target, draft, draftRows, toTarget, toDraft, (double)shared / Math.Max(ordinary, 1));
        const string Sample = "The quick brown fox, 42 times.";
        if (!map.MapsTokens && draft.Decode(draft.Encode(Sample, addSpecial: false)) != Sample)
        {
            throw new ArgumentException(
                $"the draft model {draftName} shares {map.Shared:P0} of its tokens with the target and cannot spell ordinary text: take one with the target's vocabulary");
        }

        return map;
    }

    /// <summary>Appends a target token in the draft's tokens; one without text, of a padded row, adds none.</summary>
    public void AppendToDraft(int token, List<int> draft)
    {
        if (token < _toDraft.Length && _toDraft[token] >= 0)
        {
            draft.Add(_toDraft[token]);
        }
        else if (token < _target.VocabSize)
        {
            foreach (var piece in _draft.Encode(Encoding.UTF8.GetString(_target.TokenBytes(token)), addSpecial: false))
            {
                if (piece < _draftRows)
                {
                    draft.Add(piece);
                }
            }
        }
    }

    /// <summary>The target's token for one of the draft's; −1 if it has none.</summary>
    public int ToTarget(int draftToken) => draftToken < _toTarget.Length ? _toTarget[draftToken] : -1;

    /// <summary>The draft's token for one of the target's; −1 if it has none.</summary>
    public int ToDraft(int targetToken) => _toDraft[targetToken];

    /// <summary>The draft's tokens as text in the target's tokens. The last one is left out: more text might have made it another.</summary>
    public int[] Respell(ReadOnlySpan<int> draftTokens)
    {
        var tokens = _target.Encode(_draft.Decode(draftTokens, atTextStart: false), addSpecial: false);
        return tokens.Length == 0 ? [] : tokens[..^1];
    }

    private static string Key(Tokenizer tokenizer, int id)
        => (tokenizer.IsSpecial(id) ? "special " : "") + Convert.ToHexString(tokenizer.TokenBytes(id, includeSpecial: true));
}
