using System.Collections.Concurrent;
using System.Text.Json;
using NativeSpec.Cli.Generation;
using NativeSpec.Speculation;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Chatting;

/// <summary>Says of each character of an answer, while it is written, which drafter proposed its token. The rounds tell it to a <see cref="SpeculationTrace"/>,
/// which writes into this; the text comes from the engine.</summary>
internal sealed class TokenOrigins : Stream
{
    private readonly ConcurrentDictionary<int, string?> _drafters = new(); // by the token's place in prompt and answer
    private readonly MemoryStream _line = new();
    private readonly Queue<(int Left, string? Drafter)> _characters = new();
    private readonly StreamingDetokenizer _detokenizer;
    private readonly System.Buffers.ArrayBufferWriter<byte> _bytes = new();
    private (int Left, string? Drafter) _current;
    private int _place;

    /// <summary>For one answer.</summary>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="promptTokens">Tokens before the answer.</param>
    public TokenOrigins(Tokenizer tokenizer, int promptTokens)
    {
        (_detokenizer, _place) = (tokenizer.CreateDetokenizer(), promptTokens);
        Trace = new SpeculationTrace(this, tokenizer);
    }

    /// <summary>What the request is traced by.</summary>
    public SpeculationTrace Trace { get; }

    /// <summary>Splits a piece of the answer by drafter; null stands for the model itself.</summary>
    /// <param name="ids">The piece's tokens.</param>
    /// <param name="text">Its text, which may be a little behind its tokens.</param>
    public IEnumerable<(string Text, string? Drafter)> Split(IReadOnlyList<int> ids, string text)
    {
        foreach (var id in ids)
        {
            _bytes.ResetWrittenCount();
            _detokenizer.Append(id, _bytes);
            _drafters.TryRemove(_place++, out var drafter);
            _characters.Enqueue((System.Text.Encoding.UTF8.GetCharCount(_bytes.WrittenSpan), drafter));
        }

        for (var start = 0; start < text.Length;)
        {
            while (_current.Left == 0)
            {
                _current = _characters.TryDequeue(out var next) ? next : (text.Length - start, null);
            }

            var length = Math.Min(_current.Left, text.Length - start);
            yield return (text.Substring(start, length), _current.Drafter);
            start += length;
            _current.Left -= length;
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        _line.Write(buffer);
        if (buffer is not [.., (byte)'\n'])
        {
            return;
        }

        using var round = JsonDocument.Parse(_line.GetBuffer().AsMemory(0, (int)_line.Length));
        var place = round.RootElement.GetProperty("position").GetInt32();
        foreach (var drafter in TokenSources.OfRound(round.RootElement))
        {
            _drafters[place++] = drafter;
        }

        _line.SetLength(0);
    }

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanRead => false;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _line.Dispose();
        base.Dispose(disposing);
    }
}
