using NativeSpec.Backends;
using NativeSpec.Backends.Cuda;
using NativeSpec.Backends.Cuda.Driver;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;

namespace NativeSpec.Engine.Building;

/// <summary>What an engine takes of a CUDA device's memory, known without starting it. Draft models come on top.</summary>
/// <param name="Device">The device's name; null where there is none.</param>
/// <param name="DeviceMemory">Bytes of its memory; 0 where there is none.</param>
/// <param name="Need">What the engine takes: packed weights and the embedding, keys and values, buffers.</param>
internal sealed record DeviceNeed(string? Device, long DeviceMemory, MemoryNeed Need)
{
    /// <summary>Whether it fits, with a twentieth to spare for the driver.</summary>
    public bool Fits => Need.Total <= DeviceMemory / 20 * 19;

    /// <summary>The need of an engine with these options, of which the context is given, on the device that the environment names.</summary>
    public static DeviceNeed For(LlamaCheckpoint checkpoint, EngineOptions options)
    {
        var (config, tensors, format) = (checkpoint.Config, checkpoint.Tensors, options.Weights);
        var context = options.MaxContext ?? config.MaxPositionEmbeddings;
        var tokens = InferenceEngine.CacheTokens(options, options.KvTokens ?? ((long)context * options.MaxSequences));
        var rows = checked((int)((tokens + RowBatch.PageSize - 1) / RowBatch.PageSize * RowBatch.PageSize));
        var shape = new KvShape(config.NumHiddenLayers, rows, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim);
        IEnumerable<IReadOnlyList<TensorView>> stacks =
        [
            .. tensors.Layers.SelectMany(layer => new TensorView[][] { [layer.QProj, layer.KProj, layer.VProj], [layer.OProj], [layer.GateProj, layer.UpProj], [layer.DownProj] }),
            [tensors.LmHead],
        ];
        var finishesGates = config.MlpBias || tensors.Layers.Any(layer => CudaMemory.RowParts([layer.GateProj, layer.UpProj], format) != CudaMemory.RowParts([layer.DownProj], format));
        var device = CudaDevice.Find(options.Device, out _);
        return new DeviceNeed(device?.Name, device?.Memory ?? 0, new MemoryNeed(
            tensors.Embedding.ByteLength + stacks.Sum(parts => CudaMemory.WeightBytes(parts, format)),
            CudaMemory.CacheBytes(shape, EngineBackend.KvFormatOnDevice(options, tensors)),
            CudaMemory.BufferBytes(LlamaModel.PlanOf(config, InferenceEngine.Limits(options, options.PrefillChunk ?? CudaLayout.PromptRows, context)), finishesGates, stacks.Max(parts => CudaLayout.RowsOfParts(CudaMemory.RowParts(parts, format))))));
    }
}
