using Microsoft.ML.Tokenizers;
using NativeSpec.Engine;
using NativeSpec.Loading;
using NativeSpec.Tokenization;
using MLTokenizer = Microsoft.ML.Tokenizers.Tokenizer;
using Tokenizer = NativeSpec.Tokenization.Tokenizer;

namespace NativeSpec.MLTokenizers;

/// <summary>From NativeSpec's tokenizers to Microsoft.ML.Tokenizers and back.</summary>
public static class MLTokenizerExtensions
{
    /// <summary>The tokenizer as one of Microsoft.ML.Tokenizers.</summary>
    /// <param name="tokenizer">The tokenizer, such as <see cref="InferenceEngine.Tokenizer"/>.</param>
    /// <param name="addSpecial">Whether encoding adds the tokens that the tokenizer puts around a text.</param>
    /// <param name="parseSpecial">Whether the text of a control token becomes that token. False for text of others.</param>
    /// <param name="skipSpecial">Whether decoding leaves control tokens out.</param>
    public static NativeSpecTokenizer AsMLTokenizer(this Tokenizer tokenizer, bool addSpecial = true, bool parseSpecial = false, bool skipSpecial = true)
        => new(tokenizer, addSpecial, parseSpecial, skipSpecial);

    /// <summary>A tokenizer of Microsoft.ML.Tokenizers as NativeSpec's, for <see cref="EngineOptions.Tokenizer"/>: <see cref="TiktokenTokenizer"/>,
    /// <see cref="SentencePieceTokenizer"/> with <see cref="LlamaTokenizer"/>, <see cref="CodeGenTokenizer"/> with <see cref="Phi2Tokenizer"/>, and
    /// <see cref="BpeTokenizer"/> by bytes. Ids are those that it gives; control tokens are looked for in trusted text alone.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="options">What the tokenizer does not say of itself; null where it says all.</param>
    /// <param name="limits">The most that it may ask for; null for <see cref="LoadLimits.Default"/>.</param>
    /// <exception cref="ArgumentException">The tokenizer is of another kind, its tokens have no exact bytes, or their ids pass the limits: the message says which and what to do.</exception>
    public static Tokenizer AsNativeSpec(this MLTokenizer tokenizer, MLTokenizerOptions? options = null, LoadLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (options, limits) = (options ?? new(), limits ?? LoadLimits.Default);
        return tokenizer switch
        {
            NativeSpecTokenizer own => own.Inner,
            TiktokenTokenizer tiktoken => Tokenizer.Create(Definitions.Of(tiktoken, options, limits), limits),
            SentencePieceTokenizer sentencePiece => Tokenizer.Create(Definitions.Of(sentencePiece, options, limits), limits),
            CodeGenTokenizer codeGen => Tokenizer.Create(Definitions.Of(codeGen, options, limits), limits),
            BpeTokenizer bpe => Tokenizer.Create(Definitions.Of(bpe, options, limits), limits),
            _ => throw new ArgumentException(
                $"a {tokenizer.GetType().Name} does not say which bytes each of its tokens adds to a text: make a {nameof(TokenizerDefinition)} of it with {nameof(Tokenizer)}.{nameof(Tokenizer.Create)}",
                nameof(tokenizer)),
        };
    }
}
