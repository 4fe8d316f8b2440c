using Microsoft.Extensions.Logging;
using NativeSpec.Loading.Llama;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine.Building;

/// <summary>The tokenizer of an engine: the folder's own, or the caller's, whose size must be the model's.</summary>
internal static partial class EngineTokenizer
{
    /// <summary>Begins to read the folder's own, on another thread: it takes as long as opening the checkpoint, and neither needs the other.</summary>
    /// <returns>The tokenizer, or what is wrong with its files.</returns>
    public static Task<Tokenizer> Begin(string path, EngineOptions options)
        => options.Tokenizer is { } tokenizer ? Task.FromResult(tokenizer) : Task.Run(() => Tokenizer.Load(path, options.Limits));

    /// <summary>The tokenizer.</summary>
    /// <exception cref="Loading.ModelFormatException">The folder's own cannot be read.</exception>
    /// <exception cref="ArgumentException">The caller's has tokens that the model has no row for.</exception>
    public static Tokenizer Of(string path, LlamaConfig config, EngineOptions options) => Of(Begin(path, options), path, config, options);

    /// <summary>The same where reading has begun.</summary>
    public static Tokenizer Of(Task<Tokenizer> begun, string path, LlamaConfig config, EngineOptions options)
    {
        var tokenizer = begun.GetAwaiter().GetResult();
        if (options.Tokenizer is null)
        {
            return tokenizer;
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
