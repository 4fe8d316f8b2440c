using ILGPU;
using NativeSpec.Backends;
using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>A batch on a device: one upload of whole numbers and one of angles.</summary>
internal sealed class DeviceRound(IlgpuDevice device) : IDisposable
{
    private DeviceBuffer<int>? _numbers;
    private DeviceBuffer<float>? _angles;
    private int[] _staging = [];
    private float[] _angleStaging = [];

    public ArrayView<int> Tokens { get; private set; }

    public ArrayView<int> KvRows { get; private set; }

    public ArrayView<int> LogitRows { get; private set; }

    public TreeAttention.Sight Sight { get; private set; }

    public ArrayView<float> Cos { get; private set; }

    public ArrayView<float> Sin { get; private set; }

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

        if (_angleStaging.Length < batch.MaxRows * batch.RotaryDim)
        {
            _angles?.Dispose();
            _angles = device.Allocate<float>(batch.MaxRows * batch.RotaryDim);
            _angleStaging = new float[batch.MaxRows * batch.RotaryDim];
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

        var angles = count * batch.RotaryDim / 2;
        batch.Cos.AsSpan(0, angles).CopyTo(_angleStaging);
        batch.Sin.AsSpan(0, angles).CopyTo(_angleStaging.AsSpan(angles));
        _angles!.Upload(_angleStaging.AsSpan(0, 2 * angles));
        Cos = _angles.View.SubView(0, angles);
        Sin = _angles.View.SubView(angles, angles);

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
        _angles?.Dispose();
    }
}
