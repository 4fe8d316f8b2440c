using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using NativeSpec.Engine.Requests;
using NativeSpec.Loading.Llama;
using NativeSpec.Sampling;
using NativeSpec.Speculation;
using NativeSpec.Speculation.PromptLookup;
using NativeSpec.Speculation.Rounds;
using NativeSpec.Tokenization;

namespace NativeSpec.Engine;

/// <summary>Makes of what a caller wants what the engine computes: refuses at the call what could not be served, and fills in what a checkpoint says where the caller says nothing.</summary>
/// <param name="checkpoint">Whose tokens end a text, and whose temperature and filters are the default.</param>
/// <param name="tokenizer">Its tokenizer.</param>
/// <param name="speculation">Knows the drafters and how many nodes a request has.</param>
/// <param name="maxContext">Tokens of a prompt and its text at most.</param>
/// <param name="logger">Is told of prompts that begin twice.</param>
internal sealed partial class RequestPreparation(LlamaCheckpoint checkpoint, Tokenizer tokenizer, SpeculationCore speculation, int maxContext, ILogger? logger)
{
    private readonly SamplingOptions _defaults = Defaults(checkpoint.Generation);
    private readonly int _vocabSize = checkpoint.Config.VocabSize;

    /// <summary>Checks a request, and completes it by what the checkpoint says.</summary>
    /// <param name="promptIds">The prompt.</param>
    /// <param name="options">What the caller wants.</param>
    /// <exception cref="ArgumentException">Something of it cannot be served; the message says what.</exception>
    /// <exception cref="ContextLengthException">The prompt leaves no room for a token.</exception>
    public SequenceRequest Prepare(IReadOnlyList<int> promptIds, GenerationOptions options)
    {
        ArgumentNullException.ThrowIfNull(promptIds);
        options.Validate(_vocabSize);
        options.Speculation.Validate(speculation.Names);
        _ = new StopMatcher(options.StopStrings); // refuses bad ones at the call, not when the text is read
        int[] prompt = [.. promptIds];
        if (prompt.Length == 0)
        {
            throw new ArgumentException("the prompt has no tokens: give it some text, or ids", nameof(promptIds));
        }

        if (prompt.Length >= maxContext)
        {
            throw new ContextLengthException(prompt.Length, maxContext);
        }

        if (tokenizer.BeginsTwice(prompt) && logger is not null)
        {
            LogBeginsTwice(logger, prompt[0]);
        }

        foreach (var id in prompt)
        {
            if ((uint)id >= (uint)_vocabSize)
            {
                throw new ArgumentException($"the prompt has the token id {id}; the model's vocabulary is 0 to {_vocabSize - 1}", nameof(promptIds));
            }
        }

        options = options with { Speculation = WithPrediction(options) };
        HashSet<int> stopIds = [.. options.StopIds];
        if (!options.IgnoreEndOfText)
        {
            stopIds.UnionWith(checkpoint.EosTokenIds);
            foreach (var id in tokenizer.EosIds)
            {
                if (id < _vocabSize)
                {
                    stopIds.Add(id);
                }
            }
        }

        return new SequenceRequest(
            prompt,
            (GenerationOptions)options.WithDefaults(_defaults),
            options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))),
            Math.Min(options.MaxTokens ?? int.MaxValue, maxContext - prompt.Length),
            stopIds,
            speculation.MaxNodesOf(options.Speculation));
    }

    private SpeculationOptions WithPrediction(GenerationOptions options)
    {
        if (options.Prediction is null || options.Speculation.IsOff)
        {
            return options.Speculation;
        }

        var ids = tokenizer.Encode(options.Prediction, addSpecial: false);
        GenerationOptions.RequirePrediction(ids.Length, maxContext);
        return options.Speculation with { Sources = [.. options.Speculation.Sources, new PredictionDrafter(ids)] };
    }

    /// <summary>Hugging Face's rule: a checkpoint's temperature and filters count when it says that it samples; otherwise it is greedy.</summary>
    private static SamplingOptions Defaults(GenerationConfig generation) => generation.DoSample == true
        ? new SamplingOptions
        {
            Temperature = generation.Temperature ?? 1,
            TopK = generation.TopK,
            TopP = generation.TopP,
            MinP = generation.MinP,
            RepetitionPenalty = generation.RepetitionPenalty,
        }
        : new SamplingOptions { Temperature = 0, RepetitionPenalty = generation.RepetitionPenalty };

    [LoggerMessage(Level = LogLevel.Warning, Message = "the prompt begins with the beginning-of-text token {Id} twice: its text has one and the tokenizer puts one before it (GenerationOptions.AddSpecial = false leaves that out)")]
    private static partial void LogBeginsTwice(ILogger logger, int id);
}
