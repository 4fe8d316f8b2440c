using NativeSpec.Backends;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Model;

/// <summary>A model's weights on a backend: q·k·v and gate·up stacked, so that each layer is four matmuls.</summary>
internal sealed class LlamaWeights : IDisposable
{
    public LlamaWeights(IBackend backend, LlamaTensors tensors, IProgress<double>? progress)
    {
        var tied = ReferenceEquals(tensors.LmHead, tensors.Embedding);
        var all = tensors.LmHead.ByteLength + tensors.Layers.Sum(Bytes);
        var done = 0L;
        Embedding = tied ? backend.ImportWeight([tensors.Embedding], [null]) : backend.ImportTable(tensors.Embedding);
        LmHead = tied ? Embedding : backend.ImportWeight([tensors.LmHead], [null]);
        Report(tensors.LmHead.ByteLength);
        Layers = new LlamaLayer[tensors.Layers.Count];
        for (var i = 0; i < Layers.Length; i++)
        {
            Layers[i] = new LlamaLayer(backend, tensors.Layers[i]);
            Report(Bytes(tensors.Layers[i]));
        }

        FinalNorm = backend.ImportVector(tensors.FinalNorm);

        void Report(long bytes)
        {
            done += bytes;
            progress?.Report((double)done / all);
        }
    }

    public BackendWeight Embedding { get; }

    public LlamaLayer[] Layers { get; }

    public BackendBuffer FinalNorm { get; }

    public BackendWeight LmHead { get; }

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
internal sealed class LlamaLayer(IBackend backend, LlamaLayerTensors tensors) : IDisposable
{
    public BackendBuffer InputNorm { get; } = backend.ImportVector(tensors.InputNorm);

    public BackendWeight QkvProj { get; } =
        backend.ImportWeight([tensors.QProj, tensors.KProj, tensors.VProj], [tensors.QBias, tensors.KBias, tensors.VBias]);

    public BackendWeight OProj { get; } = backend.ImportWeight([tensors.OProj], [tensors.OBias]);

    public BackendBuffer PostAttentionNorm { get; } = backend.ImportVector(tensors.PostAttentionNorm);

    public BackendWeight GateUpProj { get; } =
        backend.ImportWeight([tensors.GateProj, tensors.UpProj], [tensors.GateBias, tensors.UpBias]);

    public BackendWeight DownProj { get; } = backend.ImportWeight([tensors.DownProj], [tensors.DownBias]);

    public void Dispose()
    {
        InputNorm.Dispose();
        QkvProj.Dispose();
        OProj.Dispose();
        PostAttentionNorm.Dispose();
        GateUpProj.Dispose();
        DownProj.Dispose();
    }
}
