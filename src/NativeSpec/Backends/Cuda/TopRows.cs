using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>The highest logits of a run's rows: found for all rows at once when one is first asked about, since whoever asks about one asks about the
/// others too.</summary>
/// <param name="vocabulary">Numbers of a row.</param>
/// <param name="rows">Rows at most.</param>
internal sealed unsafe class TopRows(int vocabulary, int rows)
{
    /// <summary>The most that are found.</summary>
    private const int Most = 64;

    private int _most = Math.Min(8, vocabulary); // found at once; grows with what is asked for
    private int _found;
    private CudaResource? _host;

    /// <summary>Makes room.</summary>
    public void Bind(CudaTurn turn, DeviceBuffers buffers)
    {
        var bytes = (long)rows * Most * sizeof(int);
        buffers.Get(turn, BufferUse.TopValues, 0, bytes);
        buffers.Get(turn, BufferUse.TopIds, 0, bytes);
        _host = turn.AllocatePinned(2 * bytes);
    }

    public void Unbind()
    {
        _host?.Dispose();
        _host = null;
    }

    /// <summary>What was found is of an earlier run.</summary>
    public void Forget() => _found = 0;

    /// <summary>Writes a row's highest logits and their ids.</summary>
    /// <param name="turn">The turn.</param>
    /// <param name="backend">Has the kernel.</param>
    /// <param name="buffers">Have the room.</param>
    /// <param name="logits">All rows.</param>
    /// <param name="count">How many rows there are.</param>
    /// <param name="row">The row.</param>
    /// <param name="ids">[k] receives the ids.</param>
    /// <param name="values">[k] receives the logits.</param>
    public int Read(CudaTurn turn, CudaBackend backend, DeviceBuffers buffers, ulong logits, int count, int row, Span<int> ids, Span<float> values)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)count);
        var wanted = Math.Min(ids.Length, vocabulary);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wanted, Most, nameof(ids));
        if (_found < wanted)
        {
            _most = Math.Max(_most, wanted);
            Find(turn, backend, buffers, logits, count);
        }

        new ReadOnlySpan<int>((int*)_host!.Host + (row * _found), wanted).CopyTo(ids);
        new ReadOnlySpan<float>((float*)_host.Host + (rows * Most) + (row * _found), wanted).CopyTo(values);
        foreach (var id in ids[..wanted])
        {
            if ((uint)id >= (uint)vocabulary)
            {
                throw backend.Context.Lose(CudaErrors.None, $"one of the likeliest tokens is {id} of a vocabulary of {vocabulary}", "top_k");
            }
        }

        return wanted;
    }

    private void Find(CudaTurn turn, CudaBackend backend, DeviceBuffers buffers, ulong logits, int count)
    {
        var arguments = new TopKArguments
        {
            Logits = logits,
            Values = buffers[BufferUse.TopValues, 0],
            Ids = buffers[BufferUse.TopIds, 0],
            Vocabulary = vocabulary,
            K = _most,
        };
        var kernel = backend.Kernels["top_k"];
        turn.Launch(new KernelLaunch(kernel, count, 1, kernel.Threads, CudaKernels.TopKBytes, (nint)(&arguments), IsDependent: false));
        var bytes = (long)count * _most * sizeof(int);
        turn.Download(_host!.Host, buffers[BufferUse.TopIds, 0], bytes);
        turn.Download(_host.Host + ((long)rows * Most * sizeof(int)), buffers[BufferUse.TopValues, 0], bytes);
        turn.Synchronize("the highest logits are found", "top_k");
        _found = _most;
    }
}
