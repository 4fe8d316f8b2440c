using System.Text;
using NativeSpec.Loading;

namespace NativeSpec.Cli.Chatting;

/// <summary>What is typed in a chat, message by message: a line; lines that end in a backslash and the one after them; or all lines between two that are <c>"""</c>.</summary>
internal sealed class ChatLines : IDisposable
{
    private const string Fence = "\"\"\"";

    private readonly Terminal _terminal;
    private readonly LineEditor? _editor;
    private readonly StreamReader? _input;
    private bool _isBroken; // what comes is no text

    public ChatLines(Terminal terminal)
    {
        _terminal = terminal;
        if (terminal.Keyboard is { } keyboard)
        {
            _editor = new LineEditor(keyboard, terminal.Out);
        }
        else
        {
            _input = new StreamReader(terminal.OpenInput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        }
    }

    /// <summary>Whether a person types.</summary>
    public bool IsInteractive => _editor is not null;

    /// <inheritdoc/>
    public void Dispose() => _input?.Dispose();

    /// <summary>The next message; null where there is none.</summary>
    /// <exception cref="InvalidDataException">It is too long, and the next one may be better; or no UTF-8, and there is no next one.</exception>
    public async ValueTask<string?> NextAsync(CancellationToken cancellationToken)
    {
        var message = new StringBuilder();
        var (isFenced, isTooLong) = (false, false);
        for (var prompt = "> "; ; prompt = ". ")
        {
            var (end, line) = await ReadAsync(prompt, cancellationToken).ConfigureAwait(false);
            if (end == LineEnd.Closed)
            {
                return isTooLong || message.Length > 0 ? Whole() : null;
            }

            if (end == LineEnd.Dropped)
            {
                if (prompt == "> " && line.Length == 0)
                {
                    _terminal.Error.WriteLine("[/quit or Ctrl+D ends the chat]");
                }

                return "";
            }

            if (message.Length + line.Length > LoadLimits.Default.MaxTextLength)
            {
                isTooLong = true; // it is read to its end, so that the rest of it is no message
                message.Clear();
            }

            if (line.Trim() == Fence)
            {
                if (isFenced)
                {
                    return Whole();
                }

                isFenced = true;
            }
            else if (isFenced)
            {
                Add(message.Length > 0 ? "\n" : "", line);
            }
            else if (line.EndsWith('\\'))
            {
                Add(line.AsSpan(0, line.Length - 1), "\n");
            }
            else
            {
                Add(line, "");
                return Whole();
            }
        }

        void Add(ReadOnlySpan<char> text, ReadOnlySpan<char> more)
        {
            if (!isTooLong)
            {
                message.Append(text).Append(more);
            }
        }

        string Whole() => isTooLong ? throw new InvalidDataException($"a message has more than {LoadLimits.Default.MaxTextLength} characters; split it") : message.ToString();
    }

    private async ValueTask<(LineEnd End, string Line)> ReadAsync(string prompt, CancellationToken cancellationToken)
    {
        if (_editor is not null)
        {
            return _editor.Read(prompt);
        }

        if (_isBroken)
        {
            return (LineEnd.Closed, "");
        }

        try
        {
            return await _input!.ReadLineAsync(cancellationToken).ConfigureAwait(false) is { } line ? (LineEnd.Entered, line) : (LineEnd.Closed, "");
        }
        catch (DecoderFallbackException)
        {
            _isBroken = true;
            throw new InvalidDataException("standard input is not UTF-8 text; convert it first");
        }
    }
}
