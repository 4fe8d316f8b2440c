using NativeSpec.Backends;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>A plan on a device, interpreted: each step is one or a few kernels, which the device runs in order. A run uploads the batch, launches, and brings back what rows answer;
/// kept rows come to the host when they are asked for.</summary>
internal sealed class IlgpuProgram : IForwardProgram, IRowAnswers
{
    private readonly ForwardPlan _plan;
    private readonly IlgpuDevice _device;
    private readonly BatchCheck _check;
    private readonly BufferLayout _layout;
    private readonly DeviceRows[] _buffers;
    private readonly Dictionary<int, DeviceRows> _normed; // [width]
    private readonly DeviceBuffer<float> _squares;
    private readonly DeviceBuffer<float> _partials;
    private readonly DeviceBuffer<Word4>? _tileRows; // rows as tensor cores take them
    private readonly DeviceRound _round;
    private readonly RowAnswers? _answers;
    private readonly Dictionary<Rows, HostRow[]> _here; // rows of kept values that have come to the host
    private readonly DeviceWeight[] _weights;
    private readonly long _mostPartials;
    private AttentionRoom? _attention;
    private bool _disposed;

    /// <summary>Uploads the weights that the plan needs and allocates buffers.</summary>
    /// <param name="plan">What is to be computed.</param>
    /// <param name="device">Where.</param>
    /// <param name="mostPartials">Partial sums that a product has at once, where eight rows have not more.</param>
    public IlgpuProgram(ForwardPlan plan, IlgpuDevice device, long mostPartials)
    {
        _mostPartials = mostPartials;
        (_plan, _device, _check, _layout) = (plan, device, new BatchCheck(plan), BufferLayout.Of(plan));
        _weights = [.. plan.Steps.Select(step => (step as ProjectStep)?.Weight ?? (step as EmbedStep)?.Table).OfType<DeviceWeight>().Distinct()];
        foreach (var step in plan.Steps)
        {
            _ = step switch
            {
                ProjectStep project => ((DeviceWeight)project.Weight).Panels(),
                EmbedStep embed => ((DeviceWeight)embed.Table).Table(),
                _ => null,
            };
        }

        _buffers = [.. _layout.Buffers.Select(buffer => new DeviceRows(device, BufferLayout.RowCount(plan, buffer), buffer.Width))];
        _normed = plan.Steps.OfType<ProjectStep>().Where(step => step.Norm is not null).Select(step => step.X.Width).Distinct().ToDictionary(width => width, width => new DeviceRows(device, plan.MaxRows, width));
        _squares = device.Allocate<float>(checked((long)plan.MaxRows * RmsNorm.Slices));
        var products = plan.Steps.OfType<ProjectStep>().Select(step => (Weight: (DeviceWeight)step.Weight, Rows: RowsAtOnce((DeviceWeight)step.Weight, BufferLayout.RowCount(plan, step.X)))).ToArray();
        _partials = device.Allocate<float>(products.Select(p => checked((long)p.Rows * p.Weight.Segments * p.Weight.Outputs)).DefaultIfEmpty(0).Max());
        if (products.Any(p => p.Weight.UsesTiles))
        {
            _tileRows = device.Allocate<Word4>(products.Where(p => p.Weight.UsesTiles).Max(p => (long)p.Rows / MatMul.Rows * p.Weight.Steps * MatMulTiles.Lanes));
        }

        _round = new DeviceRound(device);
        _answers = plan.Asked is { } asked ? new RowAnswers(device, asked.Width, plan.MaxLogitRows) : null;
        _here = plan.Values.Where(plan.IsKept).ToDictionary(value => value, value => new HostRow[BufferLayout.RowCount(plan, value)]);
    }

    /// <inheritdoc/>
    public long BufferBytes => _buffers.Concat(_normed.Values).Sum(rows => rows.Bytes) + _squares.Bytes + _partials.Bytes + (_tileRows?.Bytes ?? 0) + (_attention?.Bytes ?? 0) + (_answers?.Bytes ?? 0);

    /// <inheritdoc/>
    public void Prepare(BackendKv kv, RowBatch batch)
    {
        _round.Reserve(batch);
        RequireRoom((DeviceKv)kv);
    }

    /// <inheritdoc/>
    public void Run(RowBatch batch, BackendKv? kv = null, CancellationToken cancellationToken = default)
    {
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            foreach (var weight in _weights)
            {
                ObjectDisposedException.ThrowIf(weight.IsDisposed, weight);
            }

            _check.Require(batch, kv);
            ObjectDisposedException.ThrowIf(kv is DeviceKv { IsDisposed: true }, kv!);
            Execute(batch, (DeviceKv?)kv, cancellationToken);
        }
        finally
        {
            Forget(); // questions are for this run, whatever became of it
        }
    }

    /// <inheritdoc/>
    public ReadOnlySpan<float> Read(Rows value, int row)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ref var here = ref HereOf(value, row);
        if (!here.IsHere)
        {
            here.Values ??= new float[value.Width];
            BufferOf(value).Read(row, here.Values);
            here.IsHere = true;
        }

        return here.Values;
    }

    /// <inheritdoc/>
    public void Write(Rows input, int row, ReadOnlySpan<float> values)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, input.Width);
        HereOf(input, row).IsHere = false;
        BufferOf(input).Write(row, values);
    }

    /// <inheritdoc/>
    public void Copy(Rows input, int row, IForwardProgram from, Rows value, int fromRow)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var source = from as IlgpuProgram ?? throw new ArgumentException("rows are copied between programs of one back end", nameof(from));
        ObjectDisposedException.ThrowIf(source._disposed, source);
        ArgumentOutOfRangeException.ThrowIfNotEqual(value.Width, input.Width);
        _ = source.HereOf(value, fromRow);
        HereOf(input, row).IsHere = false;
        _device.Copy(source.BufferOf(value).Row(fromRow), BufferOf(input).Row(row));
    }

    /// <inheritdoc/>
    public void Ask(int row, in RowQuestion question) => _answers!.Ask(row, question);

    /// <inheritdoc/>
    public void Forget() => _answers?.Forget();

    /// <inheritdoc/>
    public RowSummary Answer(int row) => _answers!.Answer(row);

    /// <inheritdoc/>
    public int Top(int row, Span<int> ids, Span<float> logits) => _answers!.Top(BufferOf(_plan.Asked!), row, ids, logits);

    /// <inheritdoc/>
    public float At(int row, int id)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var asked = _plan.Asked!;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)id, (uint)asked.Width);
        ref readonly var here = ref HereOf(asked, row);
        return here.IsHere ? here.Values![id] : BufferOf(asked).At(row, id);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        foreach (var rows in _buffers.Concat(_normed.Values))
        {
            rows.Dispose();
        }

        _squares.Dispose();
        _partials.Dispose();
        _tileRows?.Dispose();
        _round.Dispose();
        _answers?.Dispose();
        _attention?.Dispose();
    }

    private static int Count(Rows value, RowBatch batch) => value.Of == RowSet.All ? batch.Count : batch.LogitCount;

    private DeviceRows BufferOf(Rows value) => _buffers[_layout.BufferOf(value)];

    private ref HostRow HereOf(Rows value, int row)
    {
        if (!_here.TryGetValue(value, out var rows) || (uint)row >= (uint)rows.Length)
        {
            throw new ArgumentOutOfRangeException(nameof(row), $"row {row} of {value}, of which {rows?.Length ?? 0} rows are kept");
        }

        return ref rows[row];
    }

    /// <summary>Makes room for attention in such a cache, and anew where the one that is there was made for a shorter context.</summary>
    private void RequireRoom(DeviceKv? kv, int longest = 0)
    {
        if (kv is null || _plan.Steps.OfType<AttendStep>().FirstOrDefault()?.Attention is not { } attention)
        {
            return;
        }

        var context = Math.Max(longest, _plan.MaxContext > 0 ? Math.Min(_plan.MaxContext, kv.Shape.Rows) : kv.Shape.Rows);
        if (_attention is null || _attention.Context < AttentionRoom.ContextOf(context))
        {
            _attention?.Dispose();
            _attention = null;
            _attention = new AttentionRoom(_device, _plan.MaxRows, attention.Heads, attention.HeadDim, context);
        }
    }

    private void Execute(RowBatch batch, DeviceKv? kv, CancellationToken cancellationToken)
    {
        foreach (var rows in _here.Values)
        {
            foreach (ref var row in rows.AsSpan())
            {
                row.IsHere = false;
            }
        }

        _round.Upload(batch);
        RequireRoom(kv, _round.LongestContext);
        foreach (var step in _plan.Steps)
        {
            switch (step)
            {
                case LayerStep:
                    cancellationToken.ThrowIfCancellationRequested();
                    break;
                case EmbedStep embed:
                    Embed(embed, batch.Count);
                    break;
                case NormStep norm:
                    Normalize(BufferOf(norm.X), norm.Norm, BufferOf(norm.Into), norm.X.Width, Count(norm.X, batch));
                    break;
                case ProjectStep project:
                    Project(project, Count(project.X, batch));
                    break;
                case RopeStep rope:
                    Rope(rope, kv!, batch.Count);
                    break;
                case AttendStep attend:
                    kv!.Attend(attend.Attention, BufferOf(attend.Qkv), BufferOf(attend.Into), _round, _attention!, batch.Count);
                    break;
                case GatherStep gather:
                    var (from, to) = (BufferOf(gather.X), BufferOf(gather.Into));
                    _device.Kernels.Gather.Launch((long)batch.LogitCount * gather.X.Width, new Gather.Arguments { X = from.View, Rows = _round.LogitRows, Y = to.View, Width = gather.X.Width, Stride = from.Stride });
                    break;
                default:
                    throw new InvalidOperationException($"the ilgpu kernels know no {step.GetType().Name}");
            }
        }

        _answers?.Find(BufferOf(_plan.Asked!), batch.LogitCount);
        _device.Synchronize();
    }

    private void Embed(EmbedStep step, int rows)
    {
        var (weight, into, items) = ((DeviceWeight)step.Table, BufferOf(step.Into), (long)rows * step.Into.Width);
        if (weight.TableFormat == MatrixFormat.F32)
        {
            _device.Kernels.EmbedF32.Launch(items, Arguments(weight.Table().As<float>()));
        }
        else
        {
            var kernel = weight.TableFormat == MatrixFormat.F16 ? _device.Kernels.EmbedF16 : _device.Kernels.EmbedBF16;
            kernel.Launch(items, Arguments(weight.Table().As<ushort>()));
        }

        Embed.Arguments<T> Arguments<T>(ILGPU.ArrayView<T> table)
            where T : unmanaged
            => new() { Table = table, Tokens = _round.Tokens, X = into.View, Width = into.Width, Stride = into.Stride, Multiplier = step.Multiplier };
    }

    private void Normalize(DeviceRows x, RmsGain norm, DeviceRows y, int width, int rows)
    {
        var arguments = new RmsNorm.Arguments
        {
            X = x.View,
            Squares = _squares.View,
            Gain = ((DeviceVector)norm.Gain).Memory.View,
            Y = y.View,
            Width = width,
            Stride = x.Stride,
            Epsilon = norm.Epsilon,
        };
        _device.Kernels.SumSquares.Launch((long)rows * RmsNorm.Slices, arguments);
        _device.Kernels.ScaleRows.Launch((long)rows * width, arguments);
    }

    private void Project(ProjectStep step, int rows)
    {
        var (weight, x, y) = ((DeviceWeight)step.Weight, BufferOf(step.X), BufferOf(step.Into));
        if (step.Norm is { } norm)
        {
            Normalize(x, norm, _normed[step.X.Width], step.X.Width, rows);
            x = _normed[step.X.Width];
        }

        var finish = step.Epilogue switch
        {
            Epilogue.SwiGlu => _device.Kernels.SwiGlu,
            Epilogue.AddSilu => _device.Kernels.AddSilu,
            _ => _device.Kernels.Finish,
        };
        var most = RowsAtOnce(weight, rows);
        for (var first = 0; first < rows; first += most)
        {
            var count = Math.Min(most, rows - first);
            var whole = (int)DeviceRows.Whole(count, MatMul.Rows);
            if (weight.UsesTiles)
            {
                MultiplyTiles(weight, x, first, whole);
            }
            else
            {
                Multiply(weight, x, first, whole);
            }

            finish.Launch((long)count * step.Into.Width, new Finish.Arguments
            {
                P = new PartialSums
                {
                    Partials = _partials.View,
                    Bias = weight.Bias?.View ?? _partials.View,
                    HasBias = weight.Bias is null ? 0 : 1,
                    Segments = weight.Segments,
                    Rows = whole,
                    Outputs = weight.Outputs,
                    Multiplier = step.Multiplier,
                },
                Y = y.From(first),
                Width = step.Into.Width,
                Stride = y.Stride,
                Adds = step.Epilogue == Epilogue.Add ? 1 : 0,
            });
        }
    }

    /// <summary>Rows whose partial sums have room at once: whole eights. How many changes no bit, because no row looks at another.</summary>
    private int RowsAtOnce(DeviceWeight weight, long rows)
        => (int)Math.Clamp(_mostPartials / ((long)weight.Segments * weight.Outputs) / MatMul.Rows * MatMul.Rows, MatMul.Rows, DeviceRows.Whole(Math.Max(rows, 1), MatMul.Rows));

    private void Multiply(DeviceWeight weight, DeviceRows x, int first, int rows)
        => _device.Kernels.Products[weight.Format].Launch((long)rows / MatMul.Rows * weight.Segments * weight.Outputs, new MatMul.Arguments
        {
            Weights = weight.Matrix(),
            X = x.From(first).Cast<Float4>(),
            Partials = _partials.View,
            StrideX = x.Stride / 4,
            SegmentChunks = weight.SegmentChunks,
            Segments = weight.Segments,
            Outputs = weight.Outputs,
            Rows = rows,
        });

    private void MultiplyTiles(DeviceWeight weight, DeviceRows x, int first, int rows)
    {
        var eights = (long)rows / MatMul.Rows;
        _device.Kernels.PackTileRows.Launch(
            eights * weight.Steps * MatMulTiles.Lanes, new MatMulTiles.RowArguments { X = x.From(first), Packed = _tileRows!.View, Stride = x.Stride, Steps = weight.Steps });
        _device.Kernels.Tiles.Launch(eights * weight.Segments * (weight.Outputs / MatMulTiles.Outputs) * MatMulTiles.Lanes, new MatMulTiles.Arguments
        {
            Weights = weight.Panels().As<Word4>(),
            X = _tileRows.View,
            Partials = _partials.View,
            Steps = weight.Steps,
            SegmentSteps = weight.SegmentChunks * MatMul.Columns / MatMulTiles.Columns,
            Segments = weight.Segments,
            Outputs = weight.Outputs,
            Rows = rows,
        });
    }

    private void Rope(RopeStep step, DeviceKv kv, int rows)
    {
        var (attention, qkv) = (step.Attention, BufferOf(step.Qkv));
        NormHeads(attention.QNorm, 0, attention.Heads);
        NormHeads(attention.KNorm, attention.Heads * attention.HeadDim, attention.KvHeads);
        kv.Append(attention, qkv, _round, rows);

        void NormHeads(RmsGain? norm, int first, int heads)
        {
            if (norm is { } gain)
            {
                _device.Kernels.NormHeads.Launch((long)rows * heads, new RmsNorm.HeadArguments
                {
                    X = qkv.View,
                    Gain = ((DeviceVector)gain.Gain).Memory.View,
                    First = first,
                    Heads = heads,
                    HeadDim = attention.HeadDim,
                    Stride = qkv.Stride,
                    Epsilon = gain.Epsilon,
                });
            }
        }
    }

    /// <summary>A row of a kept value: the host's copy, and whether it is of the last run.</summary>
    private struct HostRow
    {
        public float[]? Values;
        public bool IsHere;
    }
}
