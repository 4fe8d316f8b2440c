using NativeSpec.Loading.Safetensors;

namespace NativeSpec.Loading;

/// <summary>The most that a file may ask for. Every reader checks against these before it allocates; raise one by
/// <c>LoadLimits.Default with { … }</c>.</summary>
public sealed record LoadLimits
{
    /// <summary>The limits used when none are given.</summary>
    public static LoadLimits Default { get; } = new();

    /// <summary>Largest safetensors header (the reference implementation's own limit) or zip directory of a .pt file, in bytes.</summary>
    public int MaxHeaderBytes { get; init; } = 100_000_000;

    /// <summary>Most tensors in one file.</summary>
    public int MaxTensors { get; init; } = 100_000;

    /// <summary>Longest tensor name, in characters.</summary>
    public int MaxNameLength { get; init; } = 1024;

    /// <summary>Most extents of a tensor.</summary>
    public int MaxRank { get; init; } = 8;

    /// <summary>Most memory, in bytes, that the misaligned tensors of one file are copied into; see
    /// <see cref="SafetensorsFile.CopiedBytes"/>.</summary>
    public long MaxCopiedBytes { get; init; } = 16L << 30;

    /// <summary>Most shards of a checkpoint.</summary>
    public int MaxShards { get; init; } = 1000;

    /// <summary>Largest config.json, generation_config.json, index, or data.pkl of a .pt file, in bytes.</summary>
    public int MaxConfigBytes { get; init; } = 16_000_000;

    /// <summary>Largest tokenizer.json or tokenizer.model, in bytes.</summary>
    public int MaxTokenizerBytes { get; init; } = 64_000_000;

    /// <summary>Largest vocabulary.</summary>
    public int MaxVocabSize { get; init; } = 1_000_000;

    /// <summary>Widest layer (hidden or intermediate size).</summary>
    public int MaxWidth { get; init; } = 262_144;

    /// <summary>Most decoder layers.</summary>
    public int MaxLayers { get; init; } = 1_000;

    /// <summary>Most attention heads.</summary>
    public int MaxHeads { get; init; } = 4_096;

    /// <summary>Longest context, in tokens.</summary>
    public int MaxContext { get; init; } = 16_777_216;

    /// <summary>Longest text that one call of a tokenizer takes, in UTF-16 code units.</summary>
    public int MaxTextLength { get; init; } = 64_000_000;
}
