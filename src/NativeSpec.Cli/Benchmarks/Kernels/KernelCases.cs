using NativeSpec.Backends;
using NativeSpec.Loading.Llama;
using NativeSpec.Model;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Benchmarks.Kernels;

/// <summary>One operation of a forward, on as many layers of a model as it has.</summary>
/// <param name="Name">The operation.</param>
/// <param name="Rows">Nodes.</param>
/// <param name="Calls">Calls in a pass.</param>
/// <param name="Bytes">What a call must read and write.</param>
/// <param name="MultiplyAdds">What a call must compute; 0 where it hardly computes.</param>
/// <param name="Run">A pass over all layers in turn, so that weights, keys and values come from memory as they do in a forward.</param>
/// <param name="RunWarm">A pass over the first layer again and again, so that a cache holds what fits into it.</param>
internal sealed record KernelCase(string Name, int Rows, int Calls, double Bytes, double MultiplyAdds, Action Run, Action RunWarm)
{
    /// <summary>Floating-point operations of a call, a multiply-add being two, over the bytes that it must move.</summary>
    public double Intensity => 2 * MultiplyAdds / Bytes;
}

/// <summary>The operations with the shapes that a model's forward has: what <c>bench kernels</c> and tests/NativeSpec.Benchmarks measure.</summary>
internal sealed class KernelCases : IDisposable
{
    private readonly List<IDisposable> _owned = [];
    private readonly BenchModel _model;
    private readonly BackendWeight[] _qkv, _o, _gateUp, _down;
    private readonly BackendWeight _head, _table;
    private readonly BackendVector _gain;
    private readonly BackendKv _kv;
    private readonly RowBatch _batch;
    private readonly Dictionary<string, IForwardProgram> _programs = [];
    private readonly Dictionary<string, string> _refused = [];
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
        var pages = (context + maxRows + RowBatch.PageSize - 1) / RowBatch.PageSize;
        _kv = Own(backend.AllocateKv(new KvShape(config.NumHiddenLayers, pages * RowBatch.PageSize, config.NumAttentionHeads, config.NumKeyValueHeads, config.HeadDim)));
        var angles = Own(RopeFrequencies.Angles(config, context + maxRows));
        angles.Reach(context + maxRows - 1);
        _batch = new RowBatch(maxRows, pages, angles) { PageCount = pages };
        for (var page = 0; page < pages; page++)
        {
            _batch.Pages[page] = page;
        }

        for (var row = 0; row < maxRows; row++)
        {
            (_batch.Tokens[row], _batch.LogitRows[row]) = (row * 7919 % config.VocabSize, row);
            (_batch.Positions[row], _batch.KvRows[row], _batch.Trunk[row]) = (context + row, context + row, context + row + 1); // a chain
        }
    }

    /// <summary>The operations that the backend does not compute alone, and why; known once <see cref="Of"/> has been run through.</summary>
    public IReadOnlyDictionary<string, string> Refused => _refused;

    /// <summary>All operations with so many nodes that the backend computes alone.</summary>
    public IEnumerable<KernelCase> Of(int rows) => All(rows).OfType<KernelCase>();

    private IEnumerable<KernelCase?> All(int rows)
    {
        var c = _model.Config;
        int layers = c.NumHiddenLayers, hidden = c.HiddenSize, inner = c.IntermediateSize;
        int query = c.NumAttentionHeads * c.HeadDim, key = c.NumKeyValueHeads * c.HeadDim, qkv = query + (2 * key);
        var attention = Enumerable.Range(0, layers).Select(layer => Attention(layer, layer)).ToArray();
        var seen = attention.Average(a => Enumerable.Range(_context, rows).Sum(position => (double)(position + 1 - a.FirstSeen(position)))); // by all rows, each for itself
        var read = attention.Average(a => (double)(_context + rows - a.FirstSeen(_context))); // once for all rows
        var kvRow = (double)_model.Backend.KvBytesPerRow(_kv.Shape with { Layers = 1, Rows = 1 }); // a key and a value
        yield return Project("matmul q·k·v", rows, _qkv, layer => [layer.QProj, layer.KProj, layer.VProj]);
        yield return Project("matmul o", rows, _o, layer => [layer.OProj]);
        yield return Project("matmul gate·up", rows, _gateUp, layer => [layer.GateProj, layer.UpProj]);
        yield return Project("matmul gate·up with norm and swiglu", rows, _gateUp, layer => [layer.GateProj, layer.UpProj], new RmsGain(_gain, 1e-5f), Epilogue.SwiGlu);
        yield return Project("matmul down", rows, _down, layer => [layer.DownProj]);
        yield return Case("matmul head", rows, 1, _model.Tensors.LmHead.ByteLength + Floats(rows * ((double)hidden + c.VocabSize)), (double)rows * hidden * c.VocabSize,
            hidden, (plan, x, _, _) => plan.Project(x, _head));
        yield return Case("tree attention", rows, layers, (kvRow * read) + Floats(2.0 * query * rows), 2 * seen * query, qkv,
            (plan, x, layer, call) => plan.Attend(x, Attention(layer, call)));
        yield return Case("rope", rows, layers, (kvRow * rows) + Floats(2.0 * rows * (query + key)), 2.0 * rows * (query + key), qkv,
            (plan, x, layer, call) => plan.RopeAppend(x, Attention(layer, call)));
        yield return Case("rope, tree attention, matmul o", rows, layers,
            (kvRow * (read + rows)) + Floats(rows * ((2.0 * (query + key)) + (4.0 * query) + hidden)) + _model.Tensors.Layers[0].OProj.ByteLength,
            (2 * seen * query) + (2.0 * rows * (query + key)) + ((double)rows * query * hidden), qkv,
            (plan, x, layer, call) =>
            {
                plan.RopeAppend(x, Attention(layer, call));
                plan.Project(plan.Attend(x, Attention(layer, call)), _o[layer]);
            });
        yield return Case("rms norm", rows, layers, Floats(2.0 * rows * hidden), 2.0 * rows * hidden, hidden, (plan, x, _, _) => plan.Normalize(x, new RmsGain(_gain, 1e-5f)));
        yield return Case("embed", rows, layers, rows * hidden * 6.0, 0, hidden, (plan, _, _, _) => plan.Embed(_table));
        yield return Case("gather rows", rows, layers, Floats(2.0 * rows * hidden), 0, hidden, (plan, x, _, _) => plan.GatherLogitRows(x));
    }

    public void Dispose()
    {
        foreach (var program in _programs.Values)
        {
            program.Dispose();
        }

        _owned.ForEach(owned => owned.Dispose());
    }

    private static double Floats(double count) => sizeof(float) * count;

    // A layer's memory, attended to as another layer does: warm passes have one layer's memory and every layer's window.
    private AttentionPlan Attention(int layer, int like) => new(layer, _model.Config.NumAttentionHeads, _model.Config.NumKeyValueHeads, _model.Config.HeadDim)
    {
        Scale = _model.Config.AttentionScale,
        RotaryDim = _model.Config.RotaryDimOf(like),
        Window = _model.Config.WindowOf(like),
    };

    private KernelCase? Project(
        string name, int rows, BackendWeight[] weights, Func<LlamaLayerTensors, TensorView[]> parts, RmsGain? norm = null, Epilogue epilogue = Epilogue.Store)
    {
        var (inputs, outputs) = (weights[0].InFeatures, weights[0].OutFeatures);
        var bytes = parts(_model.Tensors.Layers[0]).Sum(part => part.ByteLength) + Floats(rows * ((double)inputs + outputs));
        return Case(name, rows, weights.Length, bytes, (double)rows * inputs * outputs, inputs, (plan, x, layer, _) => plan.Project(x, weights[layer], norm, epilogue));
    }

    private KernelCase? Case(
        string name, int rows, int calls, double bytes, double multiplyAdds, int width, Action<ForwardPlan, Rows, int, int> describe)
    {
        IForwardProgram cold, warm;
        try
        {
            cold = Program(name, calls, width, (plan, x, call) => describe(plan, x, call, call));
            warm = calls == 1 ? cold : Program(name + ", one layer", calls, width, (plan, x, call) => describe(plan, x, 0, call));
        }
        catch (ArgumentException e)
        {
            // A device may have an operation only as a part of a larger one.
            _refused[name] = e.Message;
            return null;
        }

        return new KernelCase(name, rows, calls, bytes, multiplyAdds, () => Run(cold), () => Run(warm));

        void Run(IForwardProgram program)
        {
            (_batch.Count, _batch.LogitCount) = (rows, rows);
            program.Run(_batch, _kv);
        }
    }

    /// <summary>An operation some times over, as one program: a pass is a run.</summary>
    private IForwardProgram Program(string name, int calls, int width, Action<ForwardPlan, Rows, int> describe)
    {
        if (_programs.TryGetValue(name, out var known))
        {
            return known;
        }

        var plan = new ForwardPlan(_batch.MaxRows, _batch.MaxRows);
        var x = plan.Input(width);
        for (var call = 0; call < calls; call++)
        {
            describe(plan, x, call);
        }

        var program = _model.Backend.Compile(plan);
        _programs.Add(name, program);
        program.Prepare(_kv, _batch);
        var noise = new Random(1);
        for (var row = 0; row < _batch.MaxRows; row++)
        {
            program.Write(x, row, [.. Enumerable.Range(0, width).Select(_ => (float)noise.NextDouble() - 0.5f)]);
        }

        return program;
    }

    private T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
