using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeSpec.Backends;

/// <summary>A program whose buffers lie in this process's memory: what the backends that compute on the processor share. A batch is checked here,
/// once a run, so that no kernel needs to.</summary>
internal abstract unsafe class HostProgram : IForwardProgram
{
    private readonly BufferLayout _layout;
    private readonly HostBuffer[] _buffers;
    private readonly SafeHandle[] _needed; // what the steps read: mappings of files, packed weights, gains
    private readonly BatchCheck _check;
    private bool _disposed;

    /// <summary>Allocates the buffers.</summary>
    /// <param name="plan">What is to be computed.</param>
    /// <param name="needed">What must not be disposed when it runs, besides the memory of weights and gains.</param>
    protected HostProgram(ForwardPlan plan, IEnumerable<SafeHandle> needed)
    {
        Plan = plan;
        _layout = BufferLayout.Of(plan);
        _buffers = [.. _layout.Buffers.Select(buffer => new HostBuffer(checked(BufferLayout.RowCount(plan, buffer) * buffer.Width)))];
        Normed = new HostBuffer(checked((long)plan.MaxRows * _layout.NormedWidth));
        Room = new HostBuffer(checked((long)plan.MaxRows * _layout.RoomWidth));
        _needed = [.. needed.Concat(plan.Steps.SelectMany(Memories)).Distinct()];
        _check = new BatchCheck(plan);
    }

    /// <inheritdoc/>
    public long BufferBytes => sizeof(float) * (_buffers.Sum(buffer => buffer.Length) + Normed.Length + Room.Length);

    /// <summary>What is computed.</summary>
    protected ForwardPlan Plan { get; }

    /// <summary>[rows, …] rows that are normed before a projection.</summary>
    protected HostBuffer Normed { get; }

    /// <summary>[rows, …] a projection that is not itself stored.</summary>
    protected HostBuffer Room { get; }

    /// <inheritdoc/>
    public void Run(RowBatch batch, BackendKv? kv = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (var memory in _needed)
        {
            if (memory.IsClosed)
            {
                throw new ObjectDisposedException("weights", "the model's weights, or the checkpoint that they are read from in place, are disposed; keep both while it computes");
            }
        }

        _check.Require(batch, kv);
        Execute(batch, kv, cancellationToken);
    }

    /// <inheritdoc/>
    public ReadOnlySpan<float> Read(Rows value, int row) => Row(value, row);

    /// <inheritdoc/>
    public void Write(Rows input, int row, ReadOnlySpan<float> values)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, input.Width);
        values.CopyTo(Row(input, row));
    }

    /// <inheritdoc/>
    public void Copy(Rows input, int row, IForwardProgram from, Rows value, int fromRow) => Write(input, row, from.Read(value, fromRow));

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        Array.ForEach(_buffers, buffer => buffer.Dispose());
        Normed.Dispose();
        Room.Dispose();
    }

    /// <summary>The address of pinned data.</summary>
    protected static T* Pin<T>(T[] pinned)
        where T : unmanaged
        => (T*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(pinned));

    /// <summary>The gain of a norm that may be missing; null where it is.</summary>
    protected static float* GainOf(RmsGain? norm) => norm is { } gain ? ((HostBuffer)gain.Gain).Pointer : null;

    /// <summary>Computes the plan for a batch that has been checked.</summary>
    protected abstract void Execute(RowBatch batch, BackendKv? kv, CancellationToken cancellationToken);

    /// <summary>The first float of a value.</summary>
    protected float* Address(Rows value) => _buffers[_layout.BufferOf(value)].Pointer;

    private static IEnumerable<SafeHandle> Memories(PlanStep step) => step switch
    {
        EmbedStep embed => ((IHostWeight)embed.Table).Memories,
        NormStep norm => [((HostBuffer)norm.Norm.Gain).Memory],
        ProjectStep { Norm: { } norm } project => [((HostBuffer)norm.Gain).Memory, .. ((IHostWeight)project.Weight).Memories],
        ProjectStep project => ((IHostWeight)project.Weight).Memories,
        RopeStep rope => [.. new[] { rope.Attention.QNorm, rope.Attention.KNorm }.OfType<RmsGain>().Select(norm => ((HostBuffer)norm.Gain).Memory)],
        _ => [],
    };

    private Span<float> Row(Rows value, int row)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!Plan.IsKept(value) || (uint)row >= (uint)BufferLayout.RowCount(Plan, value))
        {
            throw new ArgumentOutOfRangeException(nameof(row), $"row {row} of {value}, of which {(Plan.IsKept(value) ? BufferLayout.RowCount(Plan, value) : 0)} rows are kept");
        }

        return _buffers[_layout.BufferOf(value)].Span((long)row * value.Width, value.Width);
    }
}

/// <summary>Weights in this process's memory.</summary>
internal interface IHostWeight
{
    /// <summary>The mappings and buffers that they are read from.</summary>
    IEnumerable<SafeHandle> Memories { get; }
}
