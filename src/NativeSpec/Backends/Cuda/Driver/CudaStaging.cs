namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>Puts bytes of the host into pinned memory, piece by piece.</summary>
/// <param name="to">Where.</param>
/// <param name="from">The first byte wanted.</param>
/// <param name="count">How many.</param>
internal unsafe delegate void StagingSource(byte* to, long from, int count);

/// <summary>Large uploads through two pieces of pinned memory: one is filled while the other is on its way.</summary>
internal sealed unsafe class CudaStaging : IDisposable
{
    private const int PieceBytes = 4 << 20;

    private readonly CudaResource[] _pieces = new CudaResource[2];
    private readonly CudaResource[] _sent = new CudaResource[2];
    private CudaResource? _scratch;

    public CudaStaging(CudaTurn turn)
    {
        for (var i = 0; i < 2; i++)
        {
            _pieces[i] = turn.AllocatePinned(PieceBytes);
            _sent[i] = turn.CreateEvent();
            turn.RecordEvent(_sent[i]);
        }
    }

    /// <summary>Copies bytes to the device; they are there for what is given to the stream next.</summary>
    public void Upload(CudaTurn turn, ulong to, long bytes, StagingSource source)
    {
        for (var (at, piece) = (0L, 0); at < bytes; at += PieceBytes, piece ^= 1)
        {
            var count = (int)Math.Min(PieceBytes, bytes - at);
            turn.WaitFor(_sent[piece]);
            source(_pieces[piece].Host, at, count);
            turn.Upload(to + (ulong)at, _pieces[piece].Host, count);
            turn.RecordEvent(_sent[piece]);
        }
    }

    /// <summary>Device memory for what is packed from there at once.</summary>
    public ulong Scratch(CudaTurn turn, long bytes)
    {
        if (_scratch is null || _scratch.Bytes < bytes)
        {
            turn.Synchronize("weights are packed");
            _scratch?.Dispose();
            _scratch = null;
            turn.Collect(); // or there would have to be room for both
            _scratch = turn.Allocate(bytes);
        }

        return _scratch.Handle;
    }

    /// <summary>Gives the memory for packing back: a program is ready.</summary>
    public void ReleaseScratch(CudaTurn turn)
    {
        turn.Synchronize("weights are packed");
        _scratch?.Dispose();
        _scratch = null;
        turn.Collect();
    }

    public void Dispose()
    {
        Array.ForEach(_pieces, piece => piece.Dispose());
        Array.ForEach(_sent, sent => sent.Dispose());
        _scratch?.Dispose();
    }
}
