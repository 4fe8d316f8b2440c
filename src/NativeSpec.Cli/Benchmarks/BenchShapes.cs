using NativeSpec.Loading;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>Shapes of known models, for measurements with random weights, which cost the same.</summary>
internal static class BenchShapes
{
    public static readonly IReadOnlyDictionary<string, LlamaConfig> All = new Dictionary<string, LlamaConfig>
    {
        ["110m"] = Shape(hidden: 768, intermediate: 2048, layers: 12, heads: 12, kvHeads: 12, tied: true),
        ["15m"] = Shape(hidden: 288, intermediate: 768, layers: 6, heads: 6, kvHeads: 6, tied: true),
        ["tinyllama-1.1b"] = Shape(hidden: 2048, intermediate: 5632, layers: 22, heads: 32, kvHeads: 4, tied: false),
    };

    /// <summary>A known shape by name, or that of a checkpoint's config.json.</summary>
    /// <exception cref="UsageException">It is neither.</exception>
    /// <exception cref="ModelFormatException">The file is no configuration that the engine computes.</exception>
    public static LlamaConfig Find(string nameOrFile) => All.TryGetValue(nameOrFile, out var shape) ? shape
        : File.Exists(nameOrFile) ? LlamaConfig.Read(nameOrFile)
        : throw new UsageException($"--shape is '{nameOrFile}'; expected {string.Join(", ", All.Keys)}, or a config.json");

    private static LlamaConfig Shape(int hidden, int intermediate, int layers, int heads, int kvHeads, bool tied) => new()
    {
        HiddenSize = hidden,
        IntermediateSize = intermediate,
        NumHiddenLayers = layers,
        NumAttentionHeads = heads,
        NumKeyValueHeads = kvHeads,
        HeadDim = hidden / heads,
        VocabSize = 32_000,
        MaxPositionEmbeddings = 2048,
        TieWordEmbeddings = tied,
    };
}
