using System.Text;

namespace NativeSpec.Engine.Requests;

/// <summary>Finds stop strings in text that comes in pieces, and releases what certainly lies before any of them.</summary>
/// <remarks>
/// <para>Works on UTF-8 bytes with one Knuth-Morris-Pratt state for each stop string: the length of the longest end of the text so far
/// that is a beginning of the stop. The largest of the states is the tail that may still become a stop and is held back. A byte costs
/// amortised constant time for each stop, whatever the pieces are.</para>
/// <para>The stop that ends earliest wins, and of those that end at one byte the longest; of equal ones the first given. The text before
/// it is released, the stop and what follows it are not. A stop string begins with the first byte of a character, so what is released
/// ends at a character's end whenever what was appended does.</para>
/// </remarks>
internal sealed class StopMatcher
{
    /// <summary>The most stop strings of a request.</summary>
    public const int MaxStops = 16;

    /// <summary>The longest stop string, in UTF-8 bytes.</summary>
    public const int MaxStopBytes = 1024;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly byte[][] _stops;
    private readonly int[][] _borders; // [stop][n]: the longest proper end of its first n + 1 bytes that is also a beginning of it
    private readonly int[] _states;    // [stop]: bytes of it that the text ends with
    private byte[] _buffer = [];
    private int _length;               // bytes in the buffer
    private int _released;             // of which the first so many have been released
    private int _held;                 // bytes at the text's end that may become a stop, or are the one that was found

    /// <summary>Prepares the search.</summary>
    /// <param name="stops">The stop strings; none is fine.</param>
    /// <exception cref="ArgumentException">There are too many, or one is empty, too long or not valid Unicode.</exception>
    public StopMatcher(IReadOnlyList<string> stops)
    {
        if (stops.Count > MaxStops)
        {
            throw new ArgumentException($"there are {stops.Count} stop strings, at most {MaxStops} are allowed", nameof(stops));
        }

        _stops = [.. stops.Select(Encode)];
        _borders = [.. _stops.Select(Borders)];
        _states = new int[_stops.Length];
    }

    /// <summary>Index of the stop string that was found, or −1 while none was.</summary>
    public int FoundStop { get; private set; } = -1;

    /// <summary>Takes the next piece of text.</summary>
    /// <returns>The bytes that can be shown now, in their order; valid until the next call.</returns>
    /// <exception cref="InvalidOperationException">A stop string was found before.</exception>
    public ReadOnlySpan<byte> Append(ReadOnlySpan<byte> text)
    {
        if (FoundStop >= 0)
        {
            throw new InvalidOperationException("a stop string was found: the text has ended");
        }

        DropReleased();
        if (_buffer.Length - _length < text.Length)
        {
            Array.Resize(ref _buffer, Math.Max(checked(_length + text.Length), 2 * _buffer.Length));
        }

        text.CopyTo(_buffer.AsSpan(_length));
        foreach (var next in text)
        {
            _length++;
            _held = Advance(next);
            if (FoundStop >= 0)
            {
                break;
            }
        }

        _released = _length - _held;
        return _buffer.AsSpan(0, _released);
    }

    /// <summary>Releases the tail that was held back, at the end of the generation; nothing after a stop string was found.</summary>
    /// <returns>The rest of the text; valid until the next call.</returns>
    public ReadOnlySpan<byte> Flush()
    {
        if (FoundStop >= 0)
        {
            return [];
        }

        DropReleased();
        _released = _length;
        _held = 0;
        Array.Clear(_states);
        return _buffer.AsSpan(0, _length);
    }

    /// <summary>Moves every state over one byte; returns the longest, or the length of the stop that this byte completes.</summary>
    private int Advance(byte next)
    {
        var (longest, found) = (0, 0);
        for (var stop = 0; stop < _stops.Length; stop++)
        {
            var (bytes, borders) = (_stops[stop], _borders[stop]);
            var state = _states[stop];
            while (state > 0 && bytes[state] != next)
            {
                state = borders[state - 1];
            }

            state += bytes[state] == next ? 1 : 0;
            _states[stop] = state;
            longest = Math.Max(longest, state);
            if (state == bytes.Length && state > found)
            {
                (found, FoundStop) = (state, stop);
            }
        }

        return FoundStop >= 0 ? found : longest;
    }

    private void DropReleased()
    {
        _buffer.AsSpan(_released, _length - _released).CopyTo(_buffer);
        _length -= _released;
        _released = 0;
    }

    private static byte[] Encode(string stop, int index)
    {
        int length;
        try
        {
            length = StrictUtf8.GetByteCount(stop);
        }
        catch (EncoderFallbackException error)
        {
            throw new ArgumentException($"stop string {index} is not valid Unicode: it holds half of a surrogate pair", nameof(stop), error);
        }

        return length is > 0 and <= MaxStopBytes
            ? StrictUtf8.GetBytes(stop)
            : throw new ArgumentException($"stop string {index} has {length} UTF-8 bytes; it must have 1 to {MaxStopBytes}", nameof(stop));
    }

    /// <summary>The failure function of Knuth, Morris and Pratt (1977).</summary>
    private static int[] Borders(byte[] stop)
    {
        var borders = new int[stop.Length];
        for (var i = 1; i < stop.Length; i++)
        {
            var border = borders[i - 1];
            while (border > 0 && stop[border] != stop[i])
            {
                border = borders[border - 1];
            }

            borders[i] = border + (stop[border] == stop[i] ? 1 : 0);
        }

        return borders;
    }
}
