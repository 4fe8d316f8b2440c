using NativeSpec.Engine;
using NativeSpec.Speculation;
using NativeSpec.Speculation.PromptLookup;

namespace MyDrafters;

/// <summary>The ways to use a drafter of your own.</summary>
public static class UsingADrafter
{
    /// <summary>As one of an engine's drafters: requests use it unless they choose others by name. The engine disposes it.</summary>
    public static InferenceEngine Load(string model)
        => InferenceEngine.Load(model, new EngineOptions { Drafters = [new BigramDrafter(), new PromptLookupDrafter()] });

    /// <summary>For one request, beside those of the engine. It stays yours.</summary>
    public static Task<GenerationResult> WriteAsync(InferenceEngine engine, string prompt, IDrafterSource source)
        => engine.CompleteAsync(prompt, new() { MaxTokens = 64, Speculation = SpeculationOptions.Auto with { Sources = [source] } });

    /// <summary>Without an engine: what it proposes after a text.</summary>
    public static DraftTree Propose(IDrafterSource source, int[] text, int vocabSize)
    {
        using var drafter = source.Start(text);
        var tree = new DraftTree(capacity: 64, vocabSize, root: text[^1], maxDepth: 8);
        drafter.Propose(new DraftContext(text, budget: 16, maxDepth: 8), tree);
        return tree;
    }
}
