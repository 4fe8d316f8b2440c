namespace NativeSpec.Tokenization;

/// <summary>A token and the characters it stands for.</summary>
/// <param name="Id">The token.</param>
/// <param name="Start">The first character of <see cref="EncodedText.Text"/> of which it has a byte.</param>
/// <param name="End">One past the last character of which it has a byte. Tokens that spell a character together overlap in it.</param>
public readonly record struct TokenSpan(int Id, int Start, int End);

/// <summary>A text's tokens and where they lie.</summary>
/// <param name="Text">The text as the model reads it: normalized, with a space in front and spaces written as <c>▁</c> where the tokenizer does so. The same string as the
/// input where nothing of that changes it.</param>
/// <param name="Tokens">The tokens in order. Those put around a text are empty, at its start or end.</param>
public sealed record EncodedText(string Text, IReadOnlyList<TokenSpan> Tokens);
