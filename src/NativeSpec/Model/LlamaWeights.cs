using NativeSpec.Backends;
using NativeSpec.Loading;

namespace NativeSpec.Model;

/// <summary>A model's weights on a backend: q·k·v and gate·up stacked, so that each layer is four matmuls.</summary>
internal sealed class LlamaWeights : IDisposable
{
    public LlamaWeights(IBackend backend, LlamaTensors tensors)
    {
        var tied = ReferenceEquals(tensors.LmHead, tensors.Embedding);
        Embedding = tied ? backend.ImportWeight([tensors.Embedding], [null]) : backend.ImportTable(tensors.Embedding);
        Layers = [.. tensors.Layers.Select(layer => new LlamaLayer(backend, layer))];
        FinalNorm = backend.ImportVector(tensors.FinalNorm);
        LmHead = tied ? Embedding : backend.ImportWeight([tensors.LmHead], [null]);
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
