using NativeSpec.Backends;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>One operation of a forward, on all layers of a model in turn, so that weights, keys and values come from memory as they do in a
/// forward.</summary>
/// <param name="Name">The operation.</param>
/// <param name="Rows">Nodes.</param>
/// <param name="Calls">Calls in a pass.</param>
/// <param name="Bytes">What a call must read and write.</param>
/// <param name="MultiplyAdds">What a call must compute; 0 where it hardly computes.</param>
/// <param name="Run">A pass.</param>
internal sealed record KernelCase(string Name, int Rows, int Calls, double Bytes, double MultiplyAdds, Action Run);

/// <summary>The operations with the shapes that a model's forward has: what <c>bench kernels</c> and tests/NativeSpec.Benchmarks measure.</summary>
internal sealed class KernelCases : IDisposable
{
    private readonly List<IDisposable> _owned = [];
    private readonly BenchModel _model;
    private readonly BackendWeight[] _qkv, _o, _gateUp, _down;
    private readonly BackendWeight _head, _table;
    private readonly BackendBuffer _gain, _x, _wide, _logits;
    private readonly BackendKv _kv;
    private readonly RowBatch _batch;
    private readonly int _context;

    /// <summary>Puts weights, a cache and activations on the model's backend.</summary>
    /// <param name="model">The weights; stays the caller's.</param>
    /// <param name="context">Tokens before the first node.</param>
    /// <param name="maxRows">Most nodes.</param>
    public KernelCases(BenchModel model, int context, int maxRows)
    {
        (_model, _context) = (model, context);
        var (backend, config, tensors) = (model.Backend, model.Config, model.Tensors);
        BackendWeight Import(params TensorView[] parts) => Own(backend.ImportWeight(parts, new TensorView?[parts.Length]));
        _qkv = [.. tensors.Layers.Select(layer => Import(layer.QProj, layer.KProj, layer.VProj))];
        _o = [.. tensors.Layers.Select(layer => Import(layer.OProj))];
        _gateUp = [.. tensors.Layers.Select(layer => Import(layer.GateProj, layer.UpProj))];
        _down = [.. tensors.Layers.Select(layer => Import(layer.DownProj))];
        _head = Import(tensors.LmHead);
        _table = Own(backend.ImportTable(tensors.Embedding));
        _gain = Own(backend.ImportVector(tensors.FinalNorm));
        var widest = Math.Max(2 * config.IntermediateSize, (config.NumAttentionHeads + (2 * config.NumKeyValueHeads)) * config.HeadDim);
        _x = Own(backend.Allocate((long)maxRows * Math.Max(widest, config.HiddenSize)));
        _wide = Own(backend.Allocate((long)maxRows * Math.Max(widest, config.HiddenSize)));
        _logits = Own(backend.Allocate((long)maxRows * config.VocabSize));
        var pages = (context + maxRows + RowBatch.PageSize - 1) / RowBatch.PageSize;
        _kv = Own(backend.AllocateKv(new KvShape(config.NumHiddenLayers, pages * RowBatch.PageSize, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim)));
        _batch = new RowBatch(maxRows, pages, config.HeadDim) { PageCount = pages };
        for (var page = 0; page < pages; page++)
        {
            _batch.Pages[page] = page;
        }

        for (var row = 0; row < maxRows; row++)
        {
            (_batch.Tokens[row], _batch.LogitRows[row]) = (row * 7919 % config.VocabSize, row);
            (_batch.Positions[row], _batch.KvRows[row], _batch.Trunk[row]) = (context + row, context + row, context + row + 1); // a chain
        }

        Array.Fill(_batch.Cos, 0.8f);
        Array.Fill(_batch.Sin, 0.6f);
        var noise = new Random(1);
        backend.Write(_x, 0, [.. Enumerable.Range(0, (int)_x.Length).Select(_ => (float)noise.NextDouble() - 0.5f)]);
    }

    /// <summary>All operations with so many nodes.</summary>
    public IEnumerable<KernelCase> Of(int rows)
    {
        var (backend, c) = (_model.Backend, _model.Config);
        (_batch.Count, _batch.LogitCount) = (rows, rows);
        backend.Upload(_batch);
        int layers = c.NumHiddenLayers, hidden = c.HiddenSize, inner = c.IntermediateSize;
        int query = c.NumAttentionHeads * c.HeadDim, key = c.NumKeyValueHeads * c.HeadDim;
        var seen = (rows * (double)_context) + (rows * (rows + 1.0) / 2);
        yield return MatMul("matmul q·k·v", rows, _qkv, layer => [layer.QProj, layer.KProj, layer.VProj]);
        yield return MatMul("matmul o", rows, _o, layer => [layer.OProj]);
        yield return MatMul("matmul gate·up", rows, _gateUp, layer => [layer.GateProj, layer.UpProj]);
        yield return MatMul("matmul down", rows, _down, layer => [layer.DownProj]);
        yield return new KernelCase("matmul head", rows, 1, _model.Tensors.LmHead.ByteLength + Floats(rows * ((double)hidden + c.VocabSize)), (double)rows * hidden * c.VocabSize,
            () => Prepared(rows).MatMul(_head, _x, _logits, rows, accumulate: false));
        yield return EachLayer("tree attention", rows, Floats((2.0 * key * (_context + rows)) + (2.0 * query * rows)), 2 * seen * query, (b, layer) => b.TreeAttention(_x, _kv, layer, _wide));
        yield return EachLayer("rope", rows, Floats(rows * ((2.0 * (query + key)) + (2.0 * key))), 2.0 * rows * (query + key), (b, layer) => b.Rope(_x, _kv, layer));
        yield return EachLayer("rms norm", rows, Floats(2.0 * rows * hidden), 2.0 * rows * hidden, (b, _) => b.RmsNorm(_x, _gain, 1e-5f, _wide, rows));
        yield return EachLayer("swiglu", rows, Floats(3.0 * rows * inner), 0, (b, _) => b.SwiGlu(_x, _wide, rows, inner));
        yield return EachLayer("embed", rows, rows * hidden * 6.0, 0, (b, _) => b.Embed(_table, _wide));
        yield return EachLayer("gather rows", rows, Floats(2.0 * rows * hidden), 0, (b, _) => b.GatherLogitRows(_x, _wide, hidden));
    }

    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

    private static double Floats(double count) => sizeof(float) * count;

    private KernelCase MatMul(string name, int rows, BackendWeight[] weights, Func<LlamaLayerTensors, TensorView[]> parts)
    {
        var (inputs, outputs) = (weights[0].InFeatures, weights[0].OutFeatures);
        var bytes = parts(_model.Tensors.Layers[0]).Sum(part => part.ByteLength) + Floats(rows * ((double)inputs + outputs));
        return EachLayer(name, rows, bytes, (double)rows * inputs * outputs, (backend, layer) => backend.MatMul(weights[layer], _x, _wide, rows, accumulate: false));
    }

    private KernelCase EachLayer(string name, int rows, double bytes, double multiplyAdds, Action<IBackend, int> run)
    {
        var layers = _model.Config.NumHiddenLayers;
        return new KernelCase(name, rows, layers, bytes, multiplyAdds, () =>
        {
            var backend = Prepared(rows);
            for (var layer = 0; layer < layers; layer++)
            {
                run(backend, layer);
            }
        });
    }

    /// <summary>The backend with a batch of so many rows.</summary>
    private IBackend Prepared(int rows)
    {
        if (_batch.Count != rows)
        {
            (_batch.Count, _batch.LogitCount) = (rows, rows);
            _model.Backend.Upload(_batch);
        }

        return _model.Backend;
    }

    private T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
