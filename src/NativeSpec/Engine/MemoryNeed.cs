using NativeSpec.Backends;
using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Speculation.DraftModels;
using NativeSpec.Tensors;

namespace NativeSpec.Engine;

/// <summary>What an engine takes of the memory, its draft models included, known without starting it.</summary>
/// <param name="Weights">Bytes of the weights. As stored, they stay in the files' pages, which the system shares between processes and may
/// drop; weights that are packed while loading are the process's own, beside the embedding's pages.</param>
/// <param name="KeyValues">Bytes of keys and values for all tokens that the engine holds; taken from the system as they are used.</param>
/// <param name="Buffers">Bytes of activations, logits and rotation angles.</param>
public sealed record MemoryNeed(long Weights, long KeyValues, long Buffers)
{
    /// <summary>All of it.</summary>
    public long Total => checked(Weights + KeyValues + Buffers);

    /// <summary>The need of an engine with these options, of which <see cref="EngineOptions.MaxContext"/> counts as the model's own limit
    /// where it is null.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="ModelFormatException">A draft model's folder is not a model that this engine runs.</exception>
    public static MemoryNeed For(LlamaCheckpoint checkpoint, EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var config = checkpoint.Config;
        var plan = MemoryPlan.For(
            config,
            options with { MaxContext = options.MaxContext ?? config.MaxPositionEmbeddings },
            config.KvBytesPerToken(KvType(options)),
            memory: long.MaxValue); // what it would take, whatever this machine has
        var need = new MemoryNeed(
            WeightBytes(checkpoint, options.Weights),
            CacheBytes(config, options, InferenceEngine.CacheTokens(options, plan.KvTokens)),
            LlamaModel.BufferBytes(config, InferenceEngine.Limits(options, options.PrefillChunk ?? IBackend.DefaultPromptRows, plan.MaxContext)));
        return options.DraftModels.Select(path => OfDraft(path, options, plan)).Aggregate(need, (sum, draft) => checked(new MemoryNeed(
            sum.Weights + draft.Weights, sum.KeyValues + draft.KeyValues, sum.Buffers + draft.Buffers)));
    }

    private static MemoryNeed OfDraft(string path, EngineOptions options, MemoryPlan target)
    {
        using var checkpoint = LlamaCheckpoint.Open(path, options.Limits);
        var (config, draft) = (checkpoint.Config, options.DraftOptions ?? new DraftModelOptions());
        var room = target.ForDraft(config, options, config.KvBytesPerToken(KvType(options)), memory: long.MaxValue);
        return new MemoryNeed(
            WeightBytes(checkpoint, options.Weights),
            CacheBytes(config, options, DraftModelSource.CacheTokens(room, draft)),
            LlamaModel.BufferBytes(config, DraftModelSource.Limits(room, draft)));
    }

    private static long CacheBytes(LlamaConfig config, EngineOptions options, long tokens)
    {
        var pages = (tokens + RowBatch.PageSize - 1) / RowBatch.PageSize;
        return checked(pages * RowBatch.PageSize * config.KvBytesPerToken(KvType(options)));
    }

    private static DType KvType(EngineOptions options) => options.KvFormat == KvFormat.BF16 ? DType.BF16 : DType.F32;

    private static long WeightBytes(LlamaCheckpoint checkpoint, WeightFormat format)
    {
        var tensors = checkpoint.Tensors;
        if (format == WeightFormat.AsStored || checkpoint.Format != WeightFormat.AsStored)
        {
            return checkpoint.WeightBytes;
        }

        var matrices = tensors.Layers.SelectMany(layer => layer.Matrices).Append(tensors.LmHead).ToArray();
        var kept = checkpoint.WeightBytes - matrices.Sum(matrix => ReferenceEquals(matrix, tensors.Embedding) ? 0 : matrix.ByteLength);
        return checked(kept + matrices.Sum(matrix => PackedWeights.Bytes(matrix.Shape[0], matrix.Shape[1], format)));
    }
}
