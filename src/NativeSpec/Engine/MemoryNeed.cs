using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;

namespace NativeSpec.Engine;

/// <summary>What an engine takes of the memory, known without starting it.</summary>
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
    public static MemoryNeed For(LlamaCheckpoint checkpoint, EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var config = checkpoint.Config;
        var plan = MemoryPlan.For(
            config,
            options with { MaxContext = options.MaxContext ?? config.MaxPositionEmbeddings },
            config.KvBytesPerToken(DType.F32),
            memory: long.MaxValue); // what it would take, whatever this machine has
        var limits = InferenceEngine.Limits(options, plan.MaxContext);
        var pages = (InferenceEngine.CacheTokens(options, plan.KvTokens) + Backends.RowBatch.PageSize - 1) / Backends.RowBatch.PageSize;
        return new MemoryNeed(
            WeightBytes(checkpoint, options.Weights),
            checked(pages * Backends.RowBatch.PageSize * config.KvBytesPerToken(DType.F32)),
            LlamaModel.BufferBytes(config, limits));
    }

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
