using System.Runtime.InteropServices;
using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>A program's memory and launches for one cache: made as a whole, used until the program is bound to another cache, and then given back as a
/// whole. Launches are made for a bucket of rows and one of rows with logits, with a walk along trees or without, when these first come.</summary>
internal sealed unsafe class ProgramBinding : IDisposable
{
    private readonly CudaBackend _backend;
    private readonly ForwardPlan _plan;
    private readonly DeviceBuffers _buffers;
    private readonly KeptRows[] _kept;
    private readonly TopRows? _top;
    private readonly int _mostItems;
    private readonly long _places; // of partial results of attention
    private readonly Dictionary<(int Rows, int LogitRows, bool Walks), LaunchList> _launches = [];

    /// <summary>Takes all memory. The caller has given back what it had, so that there need not be room for both.</summary>
    /// <param name="turn">The turn.</param>
    /// <param name="program">What is bound: its plan, kept values and likeliest tokens, whose memory this also is.</param>
    /// <param name="work">Cuts attention into items; null where there is none.</param>
    /// <param name="kv">The cache; null where nothing is attended to.</param>
    /// <param name="shape">What batches of it may have.</param>
    public ProgramBinding(CudaTurn turn, in BoundParts program, AttentionWork? work, CudaKv? kv, in BatchShape shape)
    {
        (_backend, _plan, _buffers, _kept, _top) = (program.Backend, program.Plan, program.Buffers, program.Kept, program.Top);
        (Kv, Shape) = (kv, shape);
        try
        {
            var maxContext = kv is null ? 1 : _plan.MaxContext > 0 ? Math.Min(_plan.MaxContext, kv.Shape.Rows) : kv.Shape.Rows;
            MostRows = CudaMemory.MostRows(_plan);
            _places = work is null ? 0 : CudaMemory.UnitPlaces(_plan, maxContext, _backend.MostUnitBytes);
            _mostItems = checked((int)_places); // an item is a row or more by a unit
            UploadBytes = UploadBytesOf(shape);
            var answers = CudaMemory.LogitRows(_plan, MostRows) * CudaLayout.AnswerBytes;
            _buffers.Get(turn, BufferUse.Upload, 0, UploadBytes);
            Staging = turn.AllocatePinned(UploadBytes + answers + 16);
            NativeMemory.Clear(Staging.Host, (nuint)Staging.Bytes);
            foreach (var kept in _kept)
            {
                kept.Bind(turn);
            }

            if (shape.Angles is { } angles)
            {
                CopyAngles(turn, angles, Math.Min(angles.Positions, kv!.Shape.Rows)); // what rotates has a cache
            }

            Upload = new RoundUpload(kv, work, _mostItems);
            Translator = new PlanTranslator(_plan, _backend, kv, _buffers, new PassLimits(MostRows, _mostItems));
            var (rows, logitRows) = LargestBuckets(shape);
            Launches(turn, rows, logitRows, walks: logitRows > 0 && kv is not null && _plan.Asked is not null); // loads weights, and makes all buffers
            foreach (var kept in _plan.MaxRows > CudaLayout.RoundRows ? _kept : [])
            {
                Home(turn, kept);
            }

            _top?.Bind(turn, _buffers);
            _backend.Staging(turn).ReleaseScratch(turn);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The cache; null where nothing is attended to.</summary>
    public CudaKv? Kv { get; }

    /// <summary>What batches may have.</summary>
    public BatchShape Shape { get; }

    /// <summary>Rows of a pass at most.</summary>
    private int MostRows { get; }

    /// <summary>Bytes that there is room for in an upload.</summary>
    public int UploadBytes { get; }

    /// <summary>Pinned memory: what goes up, and behind it answers that come down.</summary>
    public CudaResource Staging { get; } = null!;

    /// <summary>Writes what goes up.</summary>
    public RoundUpload Upload { get; } = null!;

    /// <summary>Makes launches.</summary>
    public PlanTranslator Translator { get; } = null!;

    /// <summary>Bytes of the largest upload of a batch of such a shape.</summary>
    public int UploadBytesOf(in BatchShape shape)
    {
        var (rows, logitRows) = LargestBuckets(shape);
        return checked(new RoundLayout(rows, logitRows).Items + (_mostItems * sizeof(AttentionItem)) + (shape.VariableInts * sizeof(int)) + 8 + (CudaKv.MostMoves * sizeof(KvMove)));
    }

    /// <summary>Rows of a pass of a batch at most: fewer where its last position is far behind, so that the partial results of attention have room.</summary>
    public int PassRowsOf(RowBatch batch)
    {
        var last = 0;
        foreach (var position in batch.Positions.AsSpan(0, Kv is null ? 0 : batch.Count))
        {
            last = Math.Max(last, position);
        }

        return _places == 0 ? MostRows : CudaMemory.PassRows(MostRows, _places, last);
    }

    /// <summary>The launches of a bucket of rows and one of rows with logits. Those that walk have two kernels more, so rounds without trees, texts that are only evaluated
    /// and draft models have others.</summary>
    public LaunchList Launches(CudaTurn turn, int rows, int logitRows, bool walks)
    {
        if (!_launches.TryGetValue((rows, logitRows, walks), out var launches))
        {
            launches = Translator.Translate(turn, _backend.Staging(turn), rows, logitRows, walks);
            _launches.Add((rows, logitRows, walks), launches);
        }

        return launches;
    }

    /// <summary>Where all rows of a kept value lie, where a run has more than one pass.</summary>
    public ulong Home(CudaTurn turn, KeptRows kept)
        => _buffers.Get(turn, BufferUse.Home, kept.Value.Number, (long)kept.Rows * kept.Value.Width * sizeof(float));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var launches in _launches.Values)
        {
            launches.Dispose();
        }

        _launches.Clear();
        _buffers.Dispose();
        Staging?.Dispose();
        Array.ForEach(_kept, kept => kept.Unbind());
        _top?.Unbind();
    }

    /// <summary>Angles of all positions there can be, so that rounds name positions and no angles.</summary>
    private void CopyAngles(CudaTurn turn, RotationAngles angles, int positions)
    {
        angles.Reach(positions - 1);
        var bytes = (long)positions * angles.RotaryDim / 2 * sizeof(float);
        var staging = _backend.Staging(turn);
        staging.Upload(turn, _buffers.Get(turn, BufferUse.Cosines, 0, bytes), bytes, (to, from, count) => Buffer.MemoryCopy((byte*)angles.Cos + from, to, count, count));
        staging.Upload(turn, _buffers.Get(turn, BufferUse.Sines, 0, bytes), bytes, (to, from, count) => Buffer.MemoryCopy((byte*)angles.Sin + from, to, count, count));
    }

    private (int Rows, int LogitRows) LargestBuckets(in BatchShape shape)
        => (CudaLayout.NextPass(Math.Min(shape.MaxRows, _plan.MaxRows), MostRows).Bucket, CudaMemory.LogitRows(_plan, MostRows));
}

/// <summary>What of a program is bound.</summary>
internal readonly record struct BoundParts(ForwardPlan Plan, CudaBackend Backend, DeviceBuffers Buffers, KeptRows[] Kept, TopRows? Top);

/// <summary>What a batch may have: page numbers and path rows together, the angles by which its rows turn (null where they do not), rows.</summary>
internal readonly record struct BatchShape(int VariableInts, RotationAngles? Angles, int MaxRows)
{
    /// <summary>That of a batch.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="rotates">Whether its rows turn.</param>
    public static BatchShape Of(RowBatch batch, bool rotates) => new(batch.Pages.Length + batch.PathRows.Length, rotates ? batch.Angles : null, batch.MaxRows);
}

/// <summary>What the passes of a bound program have at most: rows, items of attention, which are also pairs of a row and a unit of its keys.</summary>
internal readonly record struct PassLimits(int Rows, int Items);
