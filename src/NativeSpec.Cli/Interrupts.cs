namespace NativeSpec.Cli;

/// <summary>Ctrl+C for a part of a command that can end by itself, such as one answer of many.</summary>
internal sealed class Interrupts
{
    private readonly Lock _lock = new();
    private CancellationTokenSource? _taker;

    /// <summary>Lets the next Ctrl+C cancel this instead of the command, until it is disposed.</summary>
    public Taking Take(CancellationTokenSource cancellation)
    {
        lock (_lock)
        {
            _taker = cancellation;
        }

        return new Taking(this);
    }

    /// <summary>Tells of a Ctrl+C.</summary>
    /// <returns>Whether a part of the command took it: the command itself goes on.</returns>
    public bool Raise()
    {
        lock (_lock)
        {
            if (_taker is not { IsCancellationRequested: false } taker)
            {
                return false;
            }

            taker.Cancel(); // under the lock, so that it is not disposed meanwhile
            return true;
        }
    }

    /// <summary>Gives Ctrl+C back to the command.</summary>
    public readonly struct Taking(Interrupts interrupts) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose()
        {
            lock (interrupts._lock)
            {
                interrupts._taker = null;
            }
        }
    }
}
