using ILGPU;
using NativeSpec.Backends;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>A batch on a device: one upload of whole numbers. The angles of all positions are there from when a batch with others first comes.</summary>
internal sealed unsafe class DeviceRound(IlgpuDevice device) : IDisposable
{
    private DeviceBuffer<int>? _numbers;
    private DeviceBuffer<float>? _cos;
    private DeviceBuffer<float>? _sin;
    private RotationAngles? _angles; // what the two are a copy of
    private int[] _staging = [];

    public ArrayView<int> Tokens { get; private set; }

    public ArrayView<int> KvRows { get; private set; }

    public ArrayView<int> LogitRows { get; private set; }

    public TreeAttention.Sight Sight { get; private set; }

    /// <summary>[positions, rotated / 2] cosines; where nothing turns any memory, which nobody reads.</summary>
    public ArrayView<float> Cos => _cos is null ? _numbers!.As<float>() : _cos.View;

    /// <summary>[positions, rotated / 2] sines.</summary>
    public ArrayView<float> Sin => _sin is null ? _numbers!.As<float>() : _sin.View;

    /// <summary>Positions of the row that sees the most.</summary>
    public int LongestContext { get; private set; }

    /// <summary>Makes room for all that such a batch may hold.</summary>
    public void Reserve(RowBatch batch)
    {
        var numbers = checked((6 * batch.MaxRows) + batch.Pages.Length + batch.PathRows.Length + batch.LogitRows.Length);
        if (_staging.Length < numbers)
        {
            _numbers?.Dispose();
            _numbers = device.Allocate<int>(numbers);
            _staging = new int[numbers];
        }

        if (batch.Angles is { } angles && angles != _angles)
        {
            ForgetAngles();
            angles.Reach(angles.Positions - 1);
            var count = checked((int)((long)angles.Positions * angles.RotaryDim / 2));
            _cos = device.Allocate<float>(count);
            _sin = device.Allocate<float>(count);
            _cos.Upload(new ReadOnlySpan<float>(angles.Cos, count));
            _sin.Upload(new ReadOnlySpan<float>(angles.Sin, count));
            _angles = angles;
        }
    }

    /// <summary>Uploads a batch.</summary>
    public void Upload(RowBatch batch)
    {
        Reserve(batch);
        var (at, count) = (0, batch.Count);
        var memory = _numbers!.View;
        Tokens = Put(batch.Tokens, count);
        KvRows = Put(batch.KvRows, count);
        LogitRows = Put(batch.LogitRows, batch.LogitCount);
        Sight = new TreeAttention.Sight
        {
            Positions = Put(batch.Positions, count),
            Trunk = Put(batch.Trunk, count),
            PageStart = Put(batch.PageStart, count),
            PathStart = Put(batch.PathStart, count),
            Pages = Put(batch.Pages, batch.PageCount),
            PathRows = Put(batch.PathRows, batch.PathCount),
        };
        _numbers.Upload(_staging.AsSpan(0, at));

        LongestContext = 1;
        foreach (var position in batch.Positions.AsSpan(0, count))
        {
            LongestContext = Math.Max(LongestContext, position + 1);
        }

        ArrayView<int> Put(int[] values, int length)
        {
            values.AsSpan(0, length).CopyTo(_staging.AsSpan(at));
            var view = memory.SubView(at, length);
            at += length;
            return view;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _numbers?.Dispose();
        ForgetAngles();
    }

    private void ForgetAngles()
    {
        _cos?.Dispose();
        _sin?.Dispose();
        (_angles, _cos, _sin) = (null, null, null);
    }
}
