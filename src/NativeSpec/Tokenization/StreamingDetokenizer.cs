using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace NativeSpec.Tokenization;

/// <summary>Turns tokens into UTF-8 one by one and never splits a character: bytes wait until their sequence is complete. What it writes,
/// up to and with <see cref="Flush"/>, is exactly what <see cref="Tokenizer.Decode"/> makes of all the tokens at once. Allocates
/// nothing itself. Not safe for use by several threads at once.</summary>
public sealed class StreamingDetokenizer
{
    private const int LongestSequence = 4;

    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecial;
    private readonly bool _atTextStart;
    private readonly byte[] _pending = new byte[LongestSequence - 1];
    private int _pendingCount;
    private bool _mayStrip;

    internal StreamingDetokenizer(Tokenizer tokenizer, bool skipSpecial, bool atTextStart)
    {
        _tokenizer = tokenizer;
        _skipSpecial = skipSpecial;
        _atTextStart = atTextStart;
        Reset();
    }

    /// <summary>Whether the tokens so far end within a character, whose first bytes wait for the rest.</summary>
    public bool IsWithinCharacter => _pendingCount > 0;

    /// <summary>Forgets what was appended, for use with another text.</summary>
    public void Reset()
    {
        _pendingCount = 0;
        _mayStrip = _atTextStart && _tokenizer.StripsLeadingSpace;
    }

    /// <summary>Appends a token and writes the characters that it completes.</summary>
    /// <param name="id">The token.</param>
    /// <param name="output">Where complete UTF-8 sequences are written; a byte that can belong to none becomes U+FFFD.</param>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in the vocabulary.</exception>
    public void Append(int id, IBufferWriter<byte> output) => Append(id, includeSpecial: false, output);

    /// <summary>Appends a token, with its text even where it is a control token that is otherwise skipped.</summary>
    internal void Append(int id, bool includeSpecial, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        var bytes = _tokenizer.TokenBytes(id, includeSpecial || !_skipSpecial);
        if (_mayStrip && !bytes.IsEmpty)
        {
            _mayStrip = false;
            bytes = bytes[0] == (byte)' ' ? bytes[1..] : bytes;
        }

        bytes = CompletePending(bytes, output);
        if (!bytes.IsEmpty && Utf8.IsValid(bytes))
        {
            output.Write(bytes);
            return;
        }

        while (!bytes.IsEmpty)
        {
            var status = Rune.DecodeFromUtf8(bytes, out var rune, out var consumed);
            if (status == OperationStatus.NeedMoreData)
            {
                bytes.CopyTo(_pending);
                _pendingCount = bytes.Length;
                return;
            }

            Write(rune, output);
            bytes = bytes[consumed..];
        }
    }

    /// <summary>Ends the text: bytes that still wait for the rest of their sequence become one U+FFFD.</summary>
    /// <param name="output">Where it is written.</param>
    public void Flush(IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        if (_pendingCount > 0)
        {
            Write(Rune.ReplacementChar, output);
        }

        Reset();
    }

    // Joins the waiting bytes with new ones until they are a character, or can be none, or the new ones are used up.
    private ReadOnlySpan<byte> CompletePending(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output)
    {
        Span<byte> joined = stackalloc byte[LongestSequence];
        while (_pendingCount > 0 && !bytes.IsEmpty)
        {
            _pending.AsSpan(0, _pendingCount).CopyTo(joined);
            joined[_pendingCount] = bytes[0];
            var status = Rune.DecodeFromUtf8(joined[..(_pendingCount + 1)], out var rune, out var consumed);
            if (status == OperationStatus.NeedMoreData)
            {
                _pending[_pendingCount++] = bytes[0];
                bytes = bytes[1..];
                continue;
            }

            // The waiting bytes begin a sequence. Either the new byte ends it, or it does not belong to it and starts anew.
            Write(rune, output);
            bytes = consumed > _pendingCount ? bytes[1..] : bytes;
            _pendingCount = 0;
        }

        return bytes;
    }

    private static void Write(Rune rune, IBufferWriter<byte> output) => output.Advance(rune.EncodeToUtf8(output.GetSpan(LongestSequence)));
}
