using System.Runtime.InteropServices;

namespace NativeSpec.Tensors;

/// <summary>Zeroed memory outside the garbage-collected heap, aligned to a cache line. Pages are taken from the system when they
/// are first touched, so a large buffer costs what is used of it.</summary>
/// <typeparam name="T">An unmanaged element.</typeparam>
public sealed unsafe class NativeBuffer<T> : SafeHandle
    where T : unmanaged
{
    private const int Alignment = 64;

    /// <summary>Allocates <paramref name="length"/> zero elements.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative.</exception>
    /// <exception cref="InsufficientMemoryException">The system has no such memory; the message says how much was asked for.</exception>
    public NativeBuffer(long length)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        var bytes = checked((nuint)(length * sizeof(T)) + Alignment);
        try
        {
            // calloc, not an aligned allocation: it is the one that leaves untouched pages with the system.
            SetHandle((nint)NativeMemory.AllocZeroed(bytes));
        }
        catch (OutOfMemoryException)
        {
            throw new InsufficientMemoryException($"cannot allocate {bytes:N0} bytes ({length:N0} × {typeof(T).Name})");
        }

        Pointer = (T*)((handle + Alignment - 1) & ~(Alignment - 1));
    }

    /// <summary>Writes all bytes to a stream.</summary>
    internal void CopyTo(Stream stream)
    {
        const long Piece = 1 << 24; // a span holds less than a buffer may
        for (long at = 0, end = Length * sizeof(T); at < end; at += Piece)
        {
            stream.Write(new ReadOnlySpan<byte>((byte*)Pointer + at, (int)Math.Min(Piece, end - at)));
        }
    }

    /// <summary>Number of elements.</summary>
    public long Length { get; }

    /// <summary>The first element, on a 64-byte boundary.</summary>
    public T* Pointer { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>A part of the buffer.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie inside the buffer.</exception>
    public Span<T> Slice(long start, int length)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        if (start < 0 || length < 0 || start > Length - length)
        {
            throw new ArgumentOutOfRangeException(nameof(start), $"[{start}, {start + length}) of a buffer of {Length} elements");
        }

        return new Span<T>(Pointer + start, length);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        NativeMemory.Free((void*)handle);
        return true;
    }
}
