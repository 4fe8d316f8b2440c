using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;
using NativeSpec.Tokenization;
using MLTokenizer = Microsoft.ML.Tokenizers.Tokenizer;
using Tokenizer = NativeSpec.Tokenization.Tokenizer;

namespace NativeSpec.MLTokenizers;

/// <summary>A NativeSpec tokenizer as a <see cref="MLTokenizer"/>: for text splitters, counters and prompt budgets that are written for those. Offsets are into the
/// normalized text, or into the text where nothing normalizes it. Safe for use by several threads at once.</summary>
/// <remarks>Normalizer and pre-tokenizer are part of the tokenizer, so <see cref="MLTokenizer.Normalizer"/> and <see cref="MLTokenizer.PreTokenizer"/> are null; the
/// settings that leave them out act nevertheless. Models were not trained on what then comes out.</remarks>
/// <param name="tokenizer">The tokenizer.</param>
/// <param name="addSpecial">Whether encoding adds the tokens that the tokenizer puts around a text, such as the begin-of-text token.</param>
/// <param name="parseSpecial">Whether the text of a control token becomes that token. False for text of others.</param>
/// <param name="skipSpecial">Whether decoding leaves control tokens out.</param>
public sealed class NativeSpecTokenizer(Tokenizer tokenizer, bool addSpecial = true, bool parseSpecial = false, bool skipSpecial = true) : MLTokenizer
{
    /// <summary>The tokenizer that does the work.</summary>
    public Tokenizer Inner { get; } = tokenizer ?? throw new ArgumentNullException(nameof(tokenizer));

    /// <inheritdoc/>
    protected override EncodeResults<EncodedToken> EncodeToTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        var encoded = Encode(text, textSpan, settings, out var count, out var consumed, out var normalized);
        var tokens = new EncodedToken[count];
        for (var i = 0; i < count; i++)
        {
            var (id, start, end) = encoded.Tokens[i];
            tokens[i] = new(id, Inner.IsSpecial(id) ? Inner.TokenText(id) : encoded.Text[start..end], start..end);
        }

        return new() { Tokens = tokens, NormalizedText = normalized, CharsConsumed = consumed };
    }

    /// <inheritdoc/>
    protected override EncodeResults<int> EncodeToIds(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        var encoded = Encode(text, textSpan, settings, out var count, out var consumed, out var normalized);
        return new() { Tokens = [.. encoded.Tokens.Take(count).Select(token => token.Id)], NormalizedText = normalized, CharsConsumed = consumed };
    }

    /// <inheritdoc/>
    protected override int CountTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        if (settings is { ConsiderNormalization: true, ConsiderPreTokenization: true, MaxTokenCount: int.MaxValue })
        {
            return Inner.Encode(Whole(text, textSpan), addSpecial, parseSpecial).Length;
        }

        Encode(text, textSpan, settings, out var count, out _, out _);
        return count;
    }

    /// <inheritdoc/>
    protected override int GetIndexByTokenCount(
        string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings, bool fromEnd, out string? normalizedText, out int tokenCount)
    {
        if (!fromEnd)
        {
            Encode(text, textSpan, settings, out tokenCount, out var consumed, out normalizedText);
            return consumed;
        }

        var most = settings.MaxTokenCount;
        RequirePositive(most);
        settings.MaxTokenCount = int.MaxValue;
        var encoded = Encode(text, textSpan, settings, out var count, out _, out normalizedText);
        var first = Math.Max(0, count - most);
        while (first < count && !BeginsCharacter(encoded, first))
        {
            first++;
        }

        tokenCount = count - first;
        return first == 0 ? 0 : first < count ? encoded.Tokens[first].Start : encoded.Text.Length;
    }

    /// <summary>The text of tokens.</summary>
    /// <exception cref="InvalidOperationException">An id is not in the vocabulary.</exception>
    /// <inheritdoc/>
    public override string Decode(IEnumerable<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        int[] all = [.. ids];
        var unknown = Array.FindIndex(all, id => (uint)id >= (uint)Inner.VocabSize);
        return unknown < 0
            ? Inner.Decode(all, skipSpecial)
            : throw new InvalidOperationException($"token id {all[unknown]} is not in the vocabulary, which is 0 to {Inner.VocabSize - 1}");
    }

    /// <summary>The text of tokens, as far as it fits: whole characters of whole tokens.</summary>
    /// <returns>Done; DestinationTooSmall; NeedMoreData where the last tokens are a part of a character, which are not counted as consumed; or InvalidData at an id that is not
    /// in the vocabulary.</returns>
    /// <inheritdoc/>
    public override OperationStatus Decode(IEnumerable<int> ids, Span<char> destination, out int idsConsumed, out int charsWritten)
    {
        ArgumentNullException.ThrowIfNull(ids);
        (idsConsumed, charsWritten) = (0, 0);
        var detokenizer = Inner.CreateDetokenizer(skipSpecial, atTextStart: true);
        var utf8 = new ArrayBufferWriter<byte>();
        var taken = 0;
        var written = 0;
        foreach (var id in ids)
        {
            if ((uint)id >= (uint)Inner.VocabSize)
            {
                return OperationStatus.InvalidData;
            }

            utf8.ResetWrittenCount();
            detokenizer.Append(id, utf8);
            if (!Encoding.UTF8.TryGetChars(utf8.WrittenSpan, destination[written..], out var chars))
            {
                return OperationStatus.DestinationTooSmall;
            }

            taken++;
            written += chars;
            if (!detokenizer.IsWithinCharacter)
            {
                (idsConsumed, charsWritten) = (taken, written);
            }
        }

        return taken == idsConsumed ? OperationStatus.Done : OperationStatus.NeedMoreData;
    }

    private static string Whole(string? text, ReadOnlySpan<char> textSpan) => text ?? textSpan.ToString();

    private static void RequirePositive(int count) => ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count, nameof(EncodeSettings.MaxTokenCount));

    // The tokens, and how many of them the most allows without half a character.
    private EncodedText Encode(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings, out int count, out int consumed, out string? normalized)
    {
        RequirePositive(settings.MaxTokenCount);
        var whole = Whole(text, textSpan);
        var encoded = Inner.EncodeWithOffsets(whole, addSpecial, parseSpecial, settings.ConsiderNormalization, settings.ConsiderPreTokenization);
        normalized = ReferenceEquals(encoded.Text, whole) ? null : encoded.Text;
        count = Math.Min(encoded.Tokens.Count, settings.MaxTokenCount);
        while (count > 0 && count < encoded.Tokens.Count && !BeginsCharacter(encoded, count))
        {
            count--;
        }

        consumed = count == encoded.Tokens.Count ? encoded.Text.Length : count == 0 ? 0 : encoded.Tokens[count - 1].End;
        return encoded;
    }

    // Tokens that spell a character together overlap in it.
    private static bool BeginsCharacter(EncodedText encoded, int index) => index == 0 || encoded.Tokens[index].Start >= encoded.Tokens[index - 1].End;
}
