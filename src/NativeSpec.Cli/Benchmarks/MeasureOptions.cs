using System.CommandLine;
using NativeSpec.Engine;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>What the commands that measure on prompts have in common.</summary>
internal static class MeasureOptions
{
    public static Option<string> Prompts() => new("--prompts")
    {
        Description = "Prompts: lines of a text file, or a .jsonl file's prompt, question or turns; .gz too",
        HelpName = "FILE",
        Required = true,
    };

    public static Option<int?> Limit() => new("--limit") { Description = "The first N prompts; by default all", HelpName = "N" };

    public static Option<int> MaxTokens() => new("--max-tokens") { Description = "Most tokens to write for each (default 128)", HelpName = "N", DefaultValueFactory = _ => 128 };

    public static Option<float?> Temperature() => new("--temperature") { Description = "0 is greedy; by default what the checkpoint recommends", HelpName = "T" };

    /// <summary>The prompts as tokens; those that leave no room for the output are left out, and said to be.</summary>
    /// <exception cref="UsageException">None is left.</exception>
    public static List<int[]> Fitting(InferenceEngine engine, IReadOnlyList<string> texts, int maxTokens, Terminal terminal)
    {
        List<int[]> prompts = [.. texts.Select(text => engine.Tokenizer.Encode(text).ToArray()).Where(ids => ids.Length > 0 && ids.Length + maxTokens <= engine.MaxContext)];
        if (prompts.Count < texts.Count && !terminal.IsErrorRedirected)
        {
            terminal.Error.WriteLine($"[{texts.Count - prompts.Count} of {texts.Count} prompts leave no room for {maxTokens} tokens in a context of {engine.MaxContext} and are left out]");
        }

        return prompts.Count > 0 ? prompts
            : throw new UsageException($"none of the {texts.Count} prompts leaves room for {maxTokens} tokens in a context of {engine.MaxContext}: give shorter ones, or fewer --max-tokens");
    }

    /// <summary>Says on standard error how far a measurement is, where somebody looks.</summary>
    public static void Progress(Terminal terminal, string what)
    {
        if (!terminal.IsErrorRedirected)
        {
            terminal.Error.WriteLine($"[{what}]");
        }
    }
}
