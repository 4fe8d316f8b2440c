using System.CommandLine;
using NativeSpec.Engine;

namespace NativeSpec.Cli;

/// <summary>The options by which commands say how much is written and how tokens are chosen.</summary>
internal sealed class SamplingFlags
{
    private readonly Option<int?> _maxTokens = new("--max-tokens") { Description = "Most tokens to write; by default until the text ends or the context is full", HelpName = "N" };
    private readonly Option<float?> _temperature = new("--temperature") { Description = "0 is greedy; by default what the checkpoint recommends", HelpName = "T" };
    private readonly Option<int?> _topK = new("--top-k") { Description = "Draw from the K most likely tokens; 0 is all", HelpName = "K" };
    private readonly Option<float?> _topP = new("--top-p") { Description = "Draw from the most likely tokens that together have probability P", HelpName = "P" };
    private readonly Option<float?> _minP = new("--min-p") { Description = "Draw from tokens at least P times as likely as the most likely one", HelpName = "P" };
    private readonly Option<float?> _repetitionPenalty = new("--repetition-penalty") { Description = "Divides the logits of tokens seen before; 1 is none", HelpName = "R" };
    private readonly Option<float> _presencePenalty = new("--presence-penalty") { Description = "Subtracted from the logits of tokens already written", HelpName = "A" };
    private readonly Option<float> _frequencyPenalty = new("--frequency-penalty") { Description = "The same, once for each time a token was written", HelpName = "A" };
    private readonly Option<string[]> _stop = new("--stop") { Description = "End where this text appears, without it; may be given several times", HelpName = "S" };
    private readonly Option<ulong?> _seed = new("--seed") { Description = "The same seed gives the same text; by default a random one, which --json reports", HelpName = "S" };

    /// <summary>All of them.</summary>
    public Option[] All => [_maxTokens, _temperature, _topK, _topP, _minP, _repetitionPenalty, _presencePenalty, _frequencyPenalty, _stop, _seed];

    /// <summary>The options with what the command line says.</summary>
    /// <exception cref="UsageException">A value is out of its range.</exception>
    public GenerationOptions Read(ParseResult parsed, GenerationOptions options)
    {
        options = options with
        {
            MaxTokens = parsed.GetValue(_maxTokens),
            Temperature = parsed.GetValue(_temperature),
            TopK = parsed.GetValue(_topK),
            TopP = parsed.GetValue(_topP),
            MinP = parsed.GetValue(_minP),
            RepetitionPenalty = parsed.GetValue(_repetitionPenalty),
            PresencePenalty = parsed.GetValue(_presencePenalty),
            FrequencyPenalty = parsed.GetValue(_frequencyPenalty),
            StopStrings = parsed.GetValue(_stop) ?? [],
            Seed = parsed.GetValue(_seed),
        };
        try
        {
            options.Validate(int.MaxValue);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(CommandLine.Message(error));
        }

        return options;
    }
}
