using ILGPU;
using NativeSpec.Backends;
using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Tensors;

namespace NativeSpec.Ilgpu;

/// <summary>Keys and values of all layers on a device, and the kernels that know their element type.</summary>
internal abstract class DeviceKv(in KvShape shape) : BackendKv(shape)
{
    /// <summary>Whether it is disposed.</summary>
    public abstract bool IsDisposed { get; }

    /// <summary>Makes a cache.</summary>
    public static DeviceKv Create(IlgpuDevice device, in KvShape shape, KvFormat format)
        => format == KvFormat.BF16 ? new DeviceKv<ushort>(device, shape, device.Kernels.BF16Kv) : new DeviceKv<float>(device, shape, device.Kernels.F32Kv);

    /// <summary>Rotates q and k; k and v go to the cache.</summary>
    public abstract void Append(AttentionPlan attention, DeviceRows qkv, DeviceRound round, int rows);

    /// <summary>Attends.</summary>
    public abstract void Attend(AttentionPlan attention, DeviceRows qkv, DeviceRows y, DeviceRound round, AttentionRoom room, int rows);

    /// <summary>Copies rows in every layer: for each i in turn, row to[i] becomes row from[i].</summary>
    public abstract void Move(ArrayView<int> from, ArrayView<int> to, int count);
}

/// <summary>Those of one element type.</summary>
internal sealed class DeviceKv<TStored> : DeviceKv
    where TStored : unmanaged
{
    private readonly DeviceBuffer<TStored> _keys;
    private readonly DeviceBuffer<TStored> _values;
    private readonly KvKernels<TStored> _kernels;

    public DeviceKv(IlgpuDevice device, in KvShape shape, KvKernels<TStored> kernels)
        : base(shape)
    {
        if (shape.Rows % RowBatch.PageSize != 0)
        {
            throw new ArgumentException($"a cache of {shape.Rows} rows; expected whole pages of {RowBatch.PageSize}", nameof(shape));
        }

        _keys = device.Allocate<TStored>(shape.Length / 2);
        _values = device.Allocate<TStored>(shape.Length / 2);
        _kernels = kernels;
    }

    /// <inheritdoc/>
    public override bool IsDisposed => _keys.IsDisposed;

    /// <inheritdoc/>
    public override void Append(AttentionPlan attention, DeviceRows qkv, DeviceRound round, int rows)
        => _kernels.Rope.Launch((long)rows * attention.QkvWidth, new Rope.Arguments<TStored>
        {
            Qkv = qkv.View,
            Cos = round.Cos,
            Sin = round.Sin,
            Positions = round.Sight.Positions,
            KvRows = round.KvRows,
            Kv = Layer(attention.Layer),
            Heads = attention.Heads,
            Half = attention.RotaryDim / 2,
            Stride = qkv.Stride,
        });

    /// <inheritdoc/>
    public override void Attend(AttentionPlan attention, DeviceRows qkv, DeviceRows y, DeviceRound round, AttentionRoom room, int rows)
    {
        var context = AttentionRoom.ContextOf(round.LongestContext);
        var most = room.RowsAtOnce(context);
        for (var first = 0; first < rows; first += most)
        {
            var arguments = new TreeAttention.Arguments<TStored>
            {
                Qkv = qkv.View,
                Y = y.View,
                Kv = Layer(attention.Layer),
                Sight = round.Sight,
                Scores = room.Scores.View,
                Maxima = room.Maxima.View,
                Sums = room.Sums.View,
                Values = room.Values.View,
                FirstRow = first,
                Heads = attention.Heads,
                Context = context,
                Window = attention.Window,
                Scale = attention.Scale,
                Stride = qkv.Stride,
                StrideY = y.Stride,
            };
            var heads = (long)Math.Min(most, rows - first) * attention.Heads;
            _kernels.Score.Launch(heads * context, arguments);
            _kernels.Weigh.Launch(heads * (context / TreeAttention.Unit), arguments);
            _kernels.AddValues.Launch(heads * (context / TreeAttention.Part) * attention.HeadDim, arguments);
            _kernels.Fold.Launch(heads * attention.HeadDim, arguments);
        }
    }

    /// <inheritdoc/>
    public override void Move(ArrayView<int> from, ArrayView<int> to, int count)
    {
        for (var layer = 0; layer < Shape.Layers; layer++)
        {
            _kernels.Move.Launch(Shape.Width, new MoveKvRows.Arguments<TStored> { Kv = Layer(layer), From = from, To = to, Count = count });
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _keys.Dispose();
        _values.Dispose();
    }

    private KvPlanes<TStored> Layer(int layer)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        var length = (long)Shape.Rows * Shape.Width;
        return new KvPlanes<TStored>
        {
            Keys = _keys.View.SubView(layer * length, length),
            Values = _values.View.SubView(layer * length, length),
            KvHeads = Shape.KvHeads,
            HeadDim = Shape.HeadDim,
        };
    }
}
