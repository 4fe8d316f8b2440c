using System.Text;
using Microsoft.ML.Tokenizers;
using NativeSpec.Tokenization.Bpe;
using NativeSpec.Tokenization.Tiktoken;

namespace NativeSpec.MLTokenizers;

/// <summary>Encodes as a <see cref="TiktokenTokenizer"/> does, in O(n log n) time: it cuts the text, and NativeSpec's BPE merges by its ranks, which are its ids. Its own merging looks
/// through the whole piece for every merge, and text of others may be one piece.</summary>
internal sealed class TiktokenEncoder
{
    private static readonly byte[] Replacement = Encoding.UTF8.GetBytes("\uFFFD");

    private readonly PreTokenizer? _preTokenizer;
    private readonly ByteBpeModel _model;

    /// <summary>Makes the encoder.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="tokens">By id, the bytes of its tokens.</param>
    /// <exception cref="ArgumentException">A byte has no token.</exception>
    public TiktokenEncoder(TiktokenTokenizer tokenizer, List<ReadOnlyMemory<byte>> tokens)
    {
        _preTokenizer = tokenizer.PreTokenizer;
        HashSet<int> control = [.. tokenizer.SpecialTokens?.Values ?? []];
        Dictionary<byte[], int> ranks = new(TokenBytesComparer.Instance);
        for (var id = 0; id < tokens.Count; id++)
        {
            if (!tokens[id].IsEmpty && !control.Contains(id) && (tokens[id].Span.IndexOf(Replacement) < 0 || Spells(tokenizer, tokens[id].Span, id)))
            {
                ranks.TryAdd(tokens[id].ToArray(), id);
            }
        }

        for (var value = 0; value < 256; value++)
        {
            if (IsInUtf8((byte)value) && !ranks.ContainsKey([(byte)value]))
            {
                throw new ArgumentException($"the tokenizer has no token of the byte 0x{value:X2}: expected one of every byte that stands in UTF-8, or texts cannot be spelled");
            }
        }

        _model = TiktokenRanks.MakeModel(tokenizer.GetType().Name, ranks, firstId: 0, needsAllBytes: false);
    }

    /// <summary>The ids of a text.</summary>
    public IReadOnlyList<int> Encode(string text)
    {
        List<int> ids = [];
        var encoder = _model.CreateEncoder();
        foreach (var (offset, length) in _preTokenizer?.PreTokenize(text) ?? [(0, text.Length)])
        {
            encoder.Encode(text.AsSpan(offset, length), ids);
        }

        return ids;
    }

    private static bool IsInUtf8(byte value) => value is not (0xC0 or 0xC1 or >= 0xF5);

    // U+FFFD is a token's own, or stands for bytes that are in no UTF-8 and therefore in no text.
    private static bool Spells(TiktokenTokenizer tokenizer, ReadOnlySpan<byte> bytes, int id)
        => tokenizer.EncodeToIds(Encoding.UTF8.GetString(bytes), considerPreTokenization: false, considerNormalization: false) is [var only] && only == id;
}
