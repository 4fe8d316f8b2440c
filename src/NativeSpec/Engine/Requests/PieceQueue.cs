using System.Diagnostics;
using System.Threading.Channels;

namespace NativeSpec.Engine.Requests;

/// <summary>The pieces of one text between the engine, which writes them, and its caller, who reads them: how far the reader is behind.</summary>
/// <remarks>A reader that has <paramref name="most"/> pieces to read is behind until half of them are read; the engine computes nothing for it
/// meanwhile. The last piece is taken in any case, so that a text that has ended waits for nobody.</remarks>
/// <param name="most">Pieces that may be unread while more are computed.</param>
internal sealed class PieceQueue(int most)
{
    private readonly Channel<GenerationPiece> _pieces =
        Channel.CreateUnbounded<GenerationPiece>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    private int _unread;
    private bool _isBehind;
    private long _lastRead = Stopwatch.GetTimestamp();

    /// <summary>Pieces that were written and not read.</summary>
    public int Unread => Volatile.Read(ref _unread);

    /// <summary>The time since a piece was read, or the reader fell behind.</summary>
    public TimeSpan SinceLastRead => Stopwatch.GetElapsedTime(Volatile.Read(ref _lastRead));

    /// <summary>Where the caller reads.</summary>
    public ChannelReader<GenerationPiece> Reader => _pieces.Reader;

    /// <summary>Whether the reader is behind; asked by the engine's thread.</summary>
    public bool IsBehind()
    {
        if (!_isBehind && Unread >= most)
        {
            Volatile.Write(ref _lastRead, Stopwatch.GetTimestamp());
            Volatile.Write(ref _isBehind, true);
            Interlocked.MemoryBarrier(); // either this thread sees what was read meanwhile, or the reader sees that it is awaited
        }

        if (_isBehind && Unread <= most / 2)
        {
            Volatile.Write(ref _isBehind, false);
        }

        return _isBehind;
    }

    /// <summary>Hands over a piece.</summary>
    public void Write(GenerationPiece piece)
    {
        Interlocked.Increment(ref _unread);
        _pieces.Writer.TryWrite(piece);
    }

    /// <summary>No more pieces will come.</summary>
    /// <param name="error">What the reader's enumeration throws after them; null for nothing.</param>
    public void End(Exception? error = null) => _pieces.Writer.TryComplete(error);

    /// <summary>The caller has read a piece.</summary>
    /// <returns>Whether the engine awaits it.</returns>
    public bool CountRead()
    {
        Volatile.Write(ref _lastRead, Stopwatch.GetTimestamp());
        return Interlocked.Decrement(ref _unread) == most / 2 && Volatile.Read(ref _isBehind);
    }
}
