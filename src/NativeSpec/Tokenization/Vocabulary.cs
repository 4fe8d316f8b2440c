using System.Text;
using NativeSpec.Loading;
using NativeSpec.Tokenization.Splitting;

namespace NativeSpec.Tokenization;

/// <summary>What each token adds to a text, all in one array, and which tokens are control tokens. Ids that the files leave out
/// (gaps) add nothing.</summary>
internal sealed class Vocabulary
{
    private readonly byte[] _bytes;
    private readonly int[] _offsets;
    private readonly bool[] _special;

    private Vocabulary(byte[] bytes, int[] offsets, bool[] special) => (_bytes, _offsets, _special) = (bytes, offsets, special);

    /// <summary>One more than the highest id.</summary>
    public int Count => _special.Length;

    /// <summary>The bytes of a token; of a control token, its text.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => _bytes.AsSpan(_offsets[id].._offsets[id + 1]);

    /// <summary>Whether it is a control token.</summary>
    public bool IsSpecial(int id) => _special[id];

    /// <summary>A vocabulary of tokens by their bytes.</summary>
    /// <param name="tokens">By id, the bytes that a token adds to a text; null or empty for a gap.</param>
    /// <param name="isSpecial">Which are control tokens.</param>
    public static Vocabulary Create(IReadOnlyList<byte[]?> tokens, Func<int, bool> isSpecial)
    {
        var offsets = new int[tokens.Count + 1];
        for (var id = 0; id < tokens.Count; id++)
        {
            offsets[id + 1] = checked(offsets[id] + (tokens[id]?.Length ?? 0));
        }

        var all = new byte[offsets[^1]];
        for (var id = 0; id < tokens.Count; id++)
        {
            tokens[id]?.CopyTo(all, offsets[id]);
        }

        var special = new bool[tokens.Count];
        for (var id = 0; id < special.Length; id++)
        {
            special[id] = isSpecial(id);
        }

        return new(all, offsets, special);
    }

    /// <summary>Collects the tokens of a file and checks them: no id and no text twice, ids and sizes within the limits.</summary>
    public sealed class Builder(string file, LoadLimits limits)
    {
        private readonly List<byte[]?> _bytes = [];
        private readonly HashSet<int> _special = [];
        private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
        private long _size;

        /// <summary>One more than the highest id so far.</summary>
        public int Count => _bytes.Count;

        /// <summary>The tokens so far: text to id.</summary>
        public IReadOnlyDictionary<string, int> Ids => _ids;

        /// <summary>Whether a token has been marked as a control token.</summary>
        public bool IsSpecial(int id) => _special.Contains(id);

        /// <summary>Whether no token has an id.</summary>
        public bool IsFree(int id) => id >= _bytes.Count || _bytes[id] is null;

        /// <summary>Adds a token.</summary>
        /// <param name="text">Its text in the file.</param>
        /// <param name="id">Its id.</param>
        /// <param name="bytes">The bytes it adds to a decoded text.</param>
        public void Add(string text, int id, byte[] bytes)
        {
            if (id < 0 || id >= limits.MaxVocabSize)
            {
                throw Bad($"token {Show(text)} has id {id}: expected 0 to {limits.MaxVocabSize - 1} (LoadLimits.MaxVocabSize)");
            }

            if (!_ids.TryAdd(text, id))
            {
                throw Bad($"token {Show(text)} is there twice, with ids {_ids[text]} and {id}");
            }

            while (_bytes.Count <= id)
            {
                _bytes.Add(null);
            }

            if (_bytes[id] is not null)
            {
                throw Bad($"id {id} belongs to two tokens, the second is {Show(text)}");
            }

            _bytes[id] = bytes;
            _size += bytes.Length;
            if (_size > 4L * limits.MaxTokenizerBytes)
            {
                throw Bad($"the tokens decode to more than {4L * limits.MaxTokenizerBytes} bytes (four times LoadLimits.MaxTokenizerBytes)");
            }
        }

        /// <summary>Adds an added token, or finds it among the tokens: then the vocabulary decides its id, whatever the added token's entry
        /// says. Where the entry's id belongs to another token, the token comes after all others; so does Hugging Face's library.</summary>
        /// <returns>The token with the id that it has.</returns>
        public AddedToken AddOrFind(AddedToken token)
        {
            if (!_ids.TryGetValue(token.Content, out var id))
            {
                id = IsFree(token.Id) ? token.Id : _bytes.Count;
                Add(token.Content, id, Encoding.UTF8.GetBytes(token.Content));
            }

            if (token.Special)
            {
                _special.Add(id);
            }

            return token with { Id = id };
        }

        /// <summary>Marks a token as a control token; its text is then what it decodes to when control tokens are shown.</summary>
        public void MarkSpecial(int id) => _special.Add(id);

        /// <summary>The finished vocabulary.</summary>
        public Vocabulary Build()
        {
            if (_bytes.Count == 0)
            {
                throw Bad("the vocabulary is empty");
            }

            return Create(_bytes, _special.Contains);
        }

        private static string Show(string text) => $"'{(text.Length > 60 ? text[..60] + "…" : text)}'";

        private ModelFormatException Bad(string problem) => new(file, problem);
    }
}
