using NativeSpec.Backends;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Model;

/// <summary>A model's weights on a backend: q·k·v and gate·up stacked, so that each layer is four projections.</summary>
internal sealed class LlamaWeights : IDisposable
{
    private LlamaWeights(BackendWeight embedding, LlamaLayer[] layers, BackendVector finalNorm, BackendWeight lmHead)
    {
        Embedding = embedding;
        Layers = layers;
        FinalNorm = finalNorm;
        LmHead = lmHead;
    }

    public BackendWeight Embedding { get; }

    public LlamaLayer[] Layers { get; }

    public BackendVector FinalNorm { get; }

    public BackendWeight LmHead { get; }

    /// <summary>Puts a checkpoint's weights on a backend. What <paramref name="progress"/> throws ends it, and nothing stays there.</summary>
    public static LlamaWeights Import(IBackend backend, LlamaTensors tensors, IProgress<double>? progress)
    {
        var tied = ReferenceEquals(tensors.LmHead, tensors.Embedding);
        var all = tensors.LmHead.ByteLength + tensors.Layers.Sum(Bytes);
        var done = 0L;
        List<IDisposable> imported = [];
        try
        {
            var embedding = Keep(tied ? backend.ImportWeight([tensors.Embedding], [null]) : backend.ImportTable(tensors.Embedding));
            var lmHead = tied ? embedding : Keep(backend.ImportWeight([tensors.LmHead], [null]));
            Report(tensors.LmHead.ByteLength);
            var layers = new LlamaLayer[tensors.Layers.Count];
            for (var i = 0; i < layers.Length; i++)
            {
                layers[i] = Keep(LlamaLayer.Import(backend, tensors.Layers[i]));
                Report(Bytes(tensors.Layers[i]));
            }

            return new LlamaWeights(embedding, layers, backend.ImportVector(tensors.FinalNorm), lmHead);
        }
        catch
        {
            imported.ForEach(weight => weight.Dispose());
            throw;
        }

        T Keep<T>(T weight)
            where T : IDisposable
        {
            imported.Add(weight);
            return weight;
        }

        void Report(long bytes)
        {
            done += bytes;
            progress?.Report((double)done / all);
        }
    }

    /// <summary>The extents alone.</summary>
    public static LlamaWeights Shapes(LlamaConfig config)
    {
        var head = new WeightShape(config.VocabSize, config.HiddenSize);
        return new LlamaWeights(head, [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => LlamaLayer.Shapes(config))], new VectorShape(config.HiddenSize), head);
    }

    public void Dispose()
    {
        Embedding.Dispose();
        foreach (var layer in Layers)
        {
            layer.Dispose();
        }

        FinalNorm.Dispose();
        LmHead.Dispose();
    }

    private static long Bytes(LlamaLayerTensors layer) => layer.Matrices.Sum(matrix => matrix.ByteLength);
}

/// <summary>One decoder layer's weights.</summary>
internal sealed record LlamaLayer(
    BackendVector InputNorm, BackendWeight QkvProj, BackendVector? QNorm, BackendVector? KNorm, BackendWeight OProj, BackendVector PostAttentionNorm,
    BackendWeight GateUpProj, BackendWeight DownProj)
    : IDisposable
{
    public static LlamaLayer Import(IBackend backend, LlamaLayerTensors tensors) => new(
        backend.ImportVector(tensors.InputNorm),
        backend.ImportWeight([tensors.QProj, tensors.KProj, tensors.VProj], [tensors.QBias, tensors.KBias, tensors.VBias]),
        tensors.QNorm is null ? null : backend.ImportVector(tensors.QNorm),
        tensors.KNorm is null ? null : backend.ImportVector(tensors.KNorm),
        backend.ImportWeight([tensors.OProj], [tensors.OBias]),
        backend.ImportVector(tensors.PostAttentionNorm),
        backend.ImportWeight([tensors.GateProj, tensors.UpProj], [tensors.GateBias, tensors.UpBias]),
        backend.ImportWeight([tensors.DownProj], [tensors.DownBias]));

    public static LlamaLayer Shapes(LlamaConfig config)
    {
        var (hidden, inner, query, key) = (config.HiddenSize, config.IntermediateSize, config.NumAttentionHeads * config.HeadDim, config.NumKeyValueHeads * config.HeadDim);
        return new LlamaLayer(
            new VectorShape(hidden), new WeightShape(query + (2 * key), hidden), QkNorm(), QkNorm(), new WeightShape(hidden, query),
            new VectorShape(hidden), new WeightShape(2 * inner, hidden), new WeightShape(hidden, inner));

        VectorShape? QkNorm() => config.QkNorm ? new VectorShape(config.HeadDim) : null;
    }

    public void Dispose()
    {
        InputNorm.Dispose();
        QkvProj.Dispose();
        QNorm?.Dispose();
        KNorm?.Dispose();
        OProj.Dispose();
        PostAttentionNorm.Dispose();
        GateUpProj.Dispose();
        DownProj.Dispose();
    }
}
