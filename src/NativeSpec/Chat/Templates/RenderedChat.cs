using NativeSpec.Tokenization;

namespace NativeSpec.Chat.Templates;

/// <summary>A conversation as text for a model, in which every character is known to be the template's or the conversation's.</summary>
public sealed class RenderedChat
{
    private readonly MarkedText _text;

    internal RenderedChat(MarkedText text) => _text = text;

    /// <summary>The text.</summary>
    public string Text => _text.Text;

    /// <summary>Whether the template itself wrote a part of the text, so that it may be a control token.</summary>
    /// <param name="start">Where the part begins, in UTF-16 units.</param>
    /// <param name="end">Where it ends.</param>
    public bool IsOfTemplate(int start, int end) => _text.IsOfTemplate(start, end);

    /// <summary>The token ids of the text, with nothing put around it: a template writes its own begin-of-text token. Where the conversation
    /// spells no control token they are those of the whole text with special tokens parsed.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <exception cref="ArgumentException">The text is longer than <see cref="Loading.LoadLimits.MaxTextLength"/>.</exception>
    public int[] Encode(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return tokenizer.EncodePartlyTrusted(Text, _text.PartsOfTemplate);
    }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
