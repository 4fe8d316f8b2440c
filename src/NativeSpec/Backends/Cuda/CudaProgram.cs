using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>A plan on a device. A run is one or more passes, of up to 64 rows for a round and up to 512 for a prompt; a pass is one upload, one graph, one
/// download and one wait. Graphs are made for a bucket of rows and one of rows with logits, with a walk along trees or without, when these first come twice: the
/// first time their kernels run one by one, so that all of them are loaded before one is recorded.</summary>
/// <remarks>Rows past a pass see the keys of earlier ones in the cache as they would those of an earlier forward, so where a run is cut changes no bit.</remarks>
internal sealed unsafe partial class CudaProgram : IForwardProgram, IRowAnswers, ITreeWalks
{
    private readonly ForwardPlan _plan;
    private readonly CudaBackend _backend;
    private readonly BatchCheck _check;
    private readonly DeviceBuffers _buffers = new();
    private readonly KeptRows[] _kept;
    private readonly ChoiceRule[] _rules;
    private readonly RowAnswer[] _answers;
    private readonly TreeWalks _walks;
    private readonly TopRows? _top;
    private readonly AttentionWork? _work;
    private readonly bool _attends;
    private ProgramBinding? _bound;
    private bool _isWhole;           // the last run was one pass: its rows lie where they were computed
    private int _logitRows;          // of the last run
    private LaunchList? _last;
    private bool _disposed;

    public CudaProgram(ForwardPlan plan, CudaBackend backend)
    {
        (_plan, _backend) = (plan, backend);
        _check = new BatchCheck(plan);
        _kept = [.. plan.Values.Where(plan.IsKept).Select(value => new KeptRows(value, (int)BufferLayout.RowCount(plan, value), IsInput(value)))];
        _attends = plan.Steps.Any(step => step is AttendStep);
        if (plan.Steps.OfType<AttendStep>().Select(step => step.Attention).ToArray() is { Length: > 0 } attention)
        {
            var window = attention.Min(a => a.Window) == 0 ? 0 : attention.Max(a => a.Window);
            _work = new AttentionWork(attention[0].Heads, attention[0].KvHeads, window, CudaLayout.AttentionGrid(backend.Device.Multiprocessors));
        }

        _rules = new ChoiceRule[plan.Asked is null ? 0 : plan.MaxLogitRows];
        _answers = new RowAnswer[_rules.Length];
        _walks = new TreeWalks(_rules.Length);
        _top = plan.Asked is { } asked ? new TopRows(asked.Width, plan.MaxLogitRows) : null;
        if (!_attends && !plan.Steps.Any(step => step is RopeStep))
        {
            using var turn = backend.Context.Enter();
            Rebind(turn, null, new BatchShape(0, Angles: null, plan.MaxRows));
        }
    }

    /// <inheritdoc/>
    public long BufferBytes => _buffers.Bytes;

    /// <inheritdoc/>
    public void Prepare(BackendKv kv, RowBatch batch)
    {
        _check.RequireAngles(batch, kv);
        using var turn = _backend.Context.Enter();
        RequireBound(turn, (CudaKv)kv, batch);
    }

    /// <inheritdoc/>
    public void Run(RowBatch batch, BackendKv? kv = null, CancellationToken cancellationToken = default)
    {
        try
        {
            Compute(batch, kv, cancellationToken);
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
        var kept = KeptOf(value, row);
        using var turn = _backend.Context.Enter();
        return kept.Read(turn, Address(turn, kept, row), row);
    }

    /// <inheritdoc/>
    public void Write(Rows input, int row, ReadOnlySpan<float> values)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, input.Width);
        ObjectDisposedException.ThrowIf(_disposed, this);
        var kept = KeptOf(input, row);
        using var turn = _backend.Context.Enter();
        kept.Write(turn, Address(turn, kept, row), row, values);
    }

    /// <inheritdoc/>
    public void Copy(Rows input, int row, IForwardProgram from, Rows value, int fromRow)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var source = from as CudaProgram ?? throw new ArgumentException("rows are copied between programs of one back end", nameof(from));
        var (to, kept) = (KeptOf(input, row), source.KeptOf(value, fromRow));
        ArgumentOutOfRangeException.ThrowIfNotEqual(value.Width, input.Width);
        using var turn = _backend.Context.Enter();
        turn.Copy(Address(turn, to, row), source.Address(turn, kept, fromRow), (long)input.Width * sizeof(float));
        to.Forget();
    }

    /// <inheritdoc/>
    public void Ask(int row, in RowQuestion question)
        => _rules[row] = new ChoiceRule { Seed = question.Seed, Position = question.Position, Temperature = question.Temperature, IsAsked = 1 };

    /// <inheritdoc/>
    public void Forget()
    {
        Array.Clear(_rules);
        _walks.Clear();
    }

    /// <inheritdoc/>
    public RowSummary Answer(int row) => new(_answers[row].Chosen, _answers[row].Highest, _answers[row].LogSum);

    /// <inheritdoc/>
    public void Walk(int root, ReadOnlySpan<int> parents)
    {
        if (!_attends)
        {
            throw new InvalidOperationException("a program without keys and values walks along no tree");
        }

        _walks.Add(root, parents);
    }

    /// <inheritdoc/>
    public ReadOnlySpan<int> Path(int root) => _walks.Path(root);

    /// <inheritdoc/>
    public int Top(int row, Span<int> ids, Span<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(logits.Length, ids.Length);
        var kept = KeptOf(_plan.Asked!, row);
        using var turn = _backend.Context.Enter();
        return _top!.Read(turn, _backend, _buffers, Address(turn, kept, 0), _logitRows, row, ids, logits);
    }

    /// <inheritdoc/>
    public float At(int row, int id)
    {
        var kept = KeptOf(_plan.Asked!, row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)id, (uint)kept.Value.Width);
        using var turn = _backend.Context.Enter();
        var number = (float*)AnswersOf(_bound!);
        turn.Download((byte*)number, Address(turn, kept, row) + ((ulong)id * sizeof(float)), sizeof(float));
        turn.Synchronize("a logit is downloaded");
        return *number;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _bound?.Dispose();
        }
    }

    private bool IsInput(Rows value) => !_plan.Steps.Any(step => step.Writes == value && step.Reads != value && step is not ProjectStep { Epilogue: Epilogue.Add or Epilogue.AddSilu });

    private KeptRows KeptOf(Rows value, int row)
    {
        foreach (var kept in _kept)
        {
            if (kept.Value == value && (uint)row < (uint)kept.Rows)
            {
                return kept;
            }
        }

        throw new ArgumentOutOfRangeException(nameof(row), $"row {row} of {value}, of which {(_plan.IsKept(value) ? BufferLayout.RowCount(_plan, value) : 0)} rows are kept");
    }

    /// <summary>Where a kept row lies: where a pass computes it, or among all rows where there is more than one pass.</summary>
    private ulong Address(CudaTurn turn, KeptRows kept, int row)
    {
        var bound = _bound ?? throw new InvalidOperationException("nothing has been computed yet");
        return (IsAtHome(kept) ? bound.Home(turn, kept) : bound.Translator.Value(turn, kept.Value)) + ((ulong)row * (ulong)kept.Value.Width * sizeof(float));
    }

    /// <summary>Inputs are put in before anybody knows how many passes there will be.</summary>
    private bool IsAtHome(KeptRows kept) => kept.IsInput ? kept.Rows > CudaLayout.RoundRows : !_isWhole;

    /// <summary>Where answers come down.</summary>
    private static byte* AnswersOf(ProgramBinding bound) => bound.Staging.Host + bound.UploadBytes;

    /// <summary>What is bound to a cache and has room for a batch.</summary>
    private ProgramBinding RequireBound(CudaTurn turn, CudaKv? kv, RowBatch batch)
    {
        var shape = BatchShape.Of(batch, _check.Rotates);
        if (_bound is not { } bound || !ReferenceEquals(kv, bound.Kv) || shape.Angles != bound.Shape.Angles)
        {
            return Rebind(turn, kv, shape);
        }

        return kv is null || bound.UploadBytesOf(shape) is var bytes && bytes <= bound.UploadBytes
            ? bound
            : throw new ArgumentException(
                $"a batch of up to {batch.MaxRows} rows and {batch.Pages.Length} pages, {bytes:N0} bytes to upload; this program was bound with one of {bound.UploadBytes:N0}", nameof(batch));
    }

    /// <summary>Binds it anew. What it had goes first, so that there need not be room for both; where there is not enough, it is left without any.</summary>
    private ProgramBinding Rebind(CudaTurn turn, CudaKv? kv, in BatchShape shape)
    {
        turn.Synchronize("a program is bound to another cache");
        _bound?.Dispose();
        (_bound, _last) = (null, null);
        turn.Collect();
        return _bound = new ProgramBinding(turn, new BoundParts(_plan, _backend, _buffers, _kept, _top), _work, kv, shape);
    }

    private void Compute(RowBatch batch, BackendKv? kv, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ObjectDisposedException.ThrowIf(_disposed, this);
        _check.Require(batch, kv);
        ObjectDisposedException.ThrowIf(kv is CudaKv { IsDisposed: true }, kv!);
        cancellationToken.ThrowIfCancellationRequested();
        using var turn = _backend.Context.Enter();
        var bound = RequireBound(turn, (CudaKv?)kv, batch);
        foreach (var kept in _kept)
        {
            kept.Forget();
        }

        _top?.Forget();
        Array.Fill(_answers, new RowAnswer { Chosen = -1 });
        _walks.ForgetPaths();
        var most = bound.PassRowsOf(batch);
        _isWhole = CudaLayout.NextPass(batch.Count, most).Rows == batch.Count;
        _logitRows = 0;
        for (var first = 0; first < batch.Count;)
        {
            // Nothing is left half done: a row whose keys were written and that nobody commits is forgotten.
            cancellationToken.ThrowIfCancellationRequested();
            var (rows, bucket) = CudaLayout.NextPass(batch.Count - first, most);
            var wanted = LogitRowsOf(batch, first, rows, _logitRows);
            RunPass(turn, bound, batch, new PassRows(first, rows, bucket), new PassRows(_logitRows, wanted, wanted == 0 ? 0 : CudaLayout.BucketOf(wanted)));
            _logitRows += wanted;
            first += rows;
        }
    }

    /// <summary>How many of the wanted rows lie in a pass; they stand in the order of the rows where there is more than one.</summary>
    private int LogitRowsOf(RowBatch batch, int first, int rows, int logits)
    {
        if (_isWhole)
        {
            return batch.LogitCount;
        }

        var count = 0;
        while (logits + count < batch.LogitCount && batch.LogitRows[logits + count] - first is var at && at < rows)
        {
            count += at >= 0 ? 1 : throw new ArgumentException($"the rows with logits of a batch of {batch.Count} must stand in the order of the rows", nameof(batch));
        }

        return count;
    }

    private void RunPass(CudaTurn turn, ProgramBinding bound, RowBatch batch, in PassRows rows, in PassRows logits)
    {
        var (asks, walks) = (_answers.Length > 0 && logits.Count > 0, _walks.AnyIn(logits));
        var launches = bound.Launches(turn, rows.Bucket, logits.Bucket, walks);
        if (!_backend.IsSynchronous)
        {
            launches.Record(turn);
        }

        _last = launches;
        var bytes = bound.Upload.Fill(bound.Staging.Host, batch, rows, logits, _rules, _walks);
        try
        {
            CopyIn(turn, bound, rows);
            turn.Upload(_buffers[BufferUse.Upload, 0], bound.Staging.Host, bytes);
            Launch(turn, launches);
            if (bound.Kv is { } kv)
            {
                kv.MoveCount = 0;
            }

            CopyOut(turn, bound, rows, logits);
            if (asks)
            {
                // Paths come behind the answers of the whole bucket.
                turn.Download(AnswersOf(bound), _buffers[BufferUse.Answers, 0], walks ? (logits.Bucket * sizeof(RowAnswer)) + (logits.Count * sizeof(int)) : logits.Count * sizeof(RowAnswer));
            }

            turn.Synchronize($"a forward failed ({CudaOptions.SynchronousVariable}=1 names the kernel)"); // a constant
            if (asks)
            {
                new ReadOnlySpan<RowAnswer>(AnswersOf(bound), logits.Count).CopyTo(_answers.AsSpan(logits.First));
                if (walks)
                {
                    _walks.Take(_backend.Context, new ReadOnlySpan<int>(AnswersOf(bound) + (logits.Bucket * sizeof(RowAnswer)), logits.Count), logits, batch, _answers);
                }
            }
        }
        catch (CudaException error)
        {
            // Something of this round may have been done, and nobody knows what.
            throw _backend.Context.Lose(error.Code, "a forward could not be given to it");
        }
    }

    private void Launch(CudaTurn turn, LaunchList launches)
    {
        if (launches.Graph is { } graph)
        {
            turn.Launch(graph);
            return;
        }

        foreach (ref readonly var launch in launches.All)
        {
            turn.Launch(launch);
            if (_backend.IsSynchronous)
            {
                turn.Synchronize("a kernel failed", launch.Kernel.Name);
            }
        }

        launches.HasRun = true;
    }

    /// <summary>Rows of inputs that are more than a pass takes, to where it takes them from.</summary>
    private void CopyIn(CudaTurn turn, ProgramBinding bound, in PassRows rows)
    {
        foreach (var kept in _kept)
        {
            if (kept.IsInput && IsAtHome(kept))
            {
                var width = (ulong)kept.Value.Width * sizeof(float);
                turn.Copy(bound.Translator.Value(turn, kept.Value), bound.Home(turn, kept) + ((ulong)rows.First * width), (long)((ulong)rows.Count * width));
            }
        }
    }

    /// <summary>Rows that a pass has computed, to the others.</summary>
    private void CopyOut(CudaTurn turn, ProgramBinding bound, in PassRows rows, in PassRows logits)
    {
        foreach (var kept in _kept)
        {
            var its = kept.Value.Of == RowSet.All ? rows : logits;
            if (its.Count > 0 && IsAtHome(kept))
            {
                var width = (ulong)kept.Value.Width * sizeof(float);
                turn.Copy(bound.Home(turn, kept) + ((ulong)its.First * width), bound.Translator.Value(turn, kept.Value), (long)((ulong)its.Count * width));
            }
        }
    }
}
