using Microsoft.Extensions.Logging;
using NativeSpec.Loading.Llama;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine.Building;

/// <summary>The tokenizer of an engine: the folder's own, or the caller's, whose size must be the model's.</summary>
internal static partial class EngineTokenizer
{
    /// <summary>The tokenizer.</summary>
    /// <exception cref="Loading.ModelFormatException">The folder's own cannot be read.</exception>
    /// <exception cref="ArgumentException">The caller's has tokens that the model has no row for.</exception>
    public static Tokenizer Of(string path, LlamaConfig config, EngineOptions options)
    {
        if (options.Tokenizer is not { } tokenizer)
        {
            return Tokenizer.Load(path, options.Limits);
        }

        // Control tokens may come after the last row (a padding token that somebody added): no text becomes one.
        for (var id = config.VocabSize; id < tokenizer.VocabSize; id++)
        {
            if (!tokenizer.IsSpecial(id) && !tokenizer.TokenBytes(id).IsEmpty)
            {
                throw new ArgumentException(
                    $"EngineOptions.Tokenizer is not this model's: its token {id} ({tokenizer.TokenText(id)}) has no row, the model {path} has {config.VocabSize} ({tokenizer.Description})",
                    nameof(options));
            }
        }

        if (config.VocabSize - tokenizer.VocabSize > config.VocabSize / 16 && options.Logger is { } logger)
        {
            LogFewTokens(logger, tokenizer.Description, config.VocabSize, path);
        }

        return tokenizer;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "the caller's tokenizer ({Tokenizer}) has far fewer tokens than the {Rows} rows of {Path}: is it another model's?")]
    private static partial void LogFewTokens(ILogger logger, string tokenizer, int rows, string path);
}
