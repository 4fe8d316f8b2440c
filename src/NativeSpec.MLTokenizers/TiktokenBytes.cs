using System.Text;
using Microsoft.ML.Tokenizers;
using NativeSpec.Loading;

namespace NativeSpec.MLTokenizers;

/// <summary>The bytes of a <see cref="TiktokenTokenizer"/>'s tokens, of which it shows only texts. A token that is no text by itself (a part of a character) is decoded between
/// others: after a byte that begins a character, and before bytes that end one, it becomes text from which its bytes can be read.</summary>
internal sealed class TiktokenBytes
{
    private const char Replacement = '\uFFFD';
    private const int Gap = 1 << 12;

    private readonly TiktokenTokenizer _tokenizer;
    private readonly int[] _leads; // tokens of one byte that begins a character of 2, 3 and 4 bytes
    private readonly int[] _continuations; // tokens of one byte that continues one: a low and a high one

    private TiktokenBytes(TiktokenTokenizer tokenizer)
    {
        _tokenizer = tokenizer;
        _leads = [FindLead(0x80, 0x7FF, 2), FindLead(0x1000, 0xCFFF, 3), FindLead(0x40000, 0xFFFFF, 4)];
        _continuations = [FindContinuation(0x80, 0x8F), FindContinuation(0xA0, 0xAF)];
    }

    /// <summary>By id, the bytes; empty where there is no token.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="maxVocabSize">Ids from here on are refused.</param>
    /// <exception cref="ArgumentException">Parts of characters cannot be told, because single bytes have no tokens; or there are more tokens.</exception>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Of(TiktokenTokenizer tokenizer, int maxVocabSize)
    {
        List<ReadOnlyMemory<byte>> all = [];
        TiktokenBytes? probe = null;
        var one = new int[1];
        for (var id = 0; id < maxVocabSize; id++)
        {
            one[0] = id;
            var text = tokenizer.Decode(one);
            if (text.Length == 0)
            {
                continue;
            }

            while (all.Count < id)
            {
                all.Add(default);
            }

            all.Add(text.Contains(Replacement) ? (probe ??= new(tokenizer)).BytesOf(id) : Encoding.UTF8.GetBytes(text));
        }

        // It shows no vocabulary, so nothing says where ids end: those that follow the last are looked at, as far as a gap may be.
        for (var id = maxVocabSize; id < maxVocabSize + Gap; id++)
        {
            one[0] = id;
            if (tokenizer.Decode(one).Length > 0)
            {
                throw new ArgumentException($"the tokenizer has a token {id}: expected 0 to {maxVocabSize - 1} ({nameof(LoadLimits)}.{nameof(LoadLimits.MaxVocabSize)})");
            }
        }

        return all;
    }

    // A byte that is in no UTF-8 stays U+FFFD, which is what it decodes to wherever it stands.
    private byte[] BytesOf(int id)
    {
        List<int> ids = [id];
        var before = 0;
        for (var length = _leads.Length + 1; length >= 2 && before == 0; length--)
        {
            if (Decode([_leads[length - 2], id]) is [not Replacement, ..] text && Utf8Length(text) == length)
            {
                ids.Insert(0, _leads[length - 2]);
                before = 1;
            }
        }

        var after = 0;
        if (Decode(ids)[^1] == Replacement)
        {
            for (var count = 1; count <= 3 && after == 0; count++)
            {
                foreach (var continuation in _continuations)
                {
                    int[] probe = [.. ids, .. Enumerable.Repeat(continuation, count)];
                    if (Decode(probe)[^1] != Replacement)
                    {
                        ids = [.. probe];
                        after = count;
                        break;
                    }
                }
            }
        }

        return Encoding.UTF8.GetBytes(Decode(ids))[before..^after];
    }

    private int FindLead(int first, int last, int bytes)
        => FindCharacter(first, last, bytes, _ => true)[0];

    private int FindContinuation(byte first, byte last)
        => FindCharacter(0x80, 0x7FF, 2, rune => (rune & 0x3F | 0x80) >= first && (rune & 0x3F | 0x80) <= last)[1];

    // A character that is spelled in single bytes.
    private IReadOnlyList<int> FindCharacter(int first, int last, int bytes, Func<int, bool> suits)
    {
        for (var rune = last; rune >= first; rune--)
        {
            if (suits(rune) && _tokenizer.EncodeToIds(char.ConvertFromUtf32(rune), considerPreTokenization: false, considerNormalization: false) is var ids && ids.Count == bytes)
            {
                return ids;
            }
        }

        throw new ArgumentException($"the tokenizer spells no character of {bytes} bytes in single bytes, so the bytes of its tokens cannot be told: is it a byte-level tokenizer?");
    }

    private string Decode(IEnumerable<int> ids) => _tokenizer.Decode(ids);

    private static int Utf8Length(string text) => Rune.GetRuneAt(text, 0).Utf8SequenceLength;
}
