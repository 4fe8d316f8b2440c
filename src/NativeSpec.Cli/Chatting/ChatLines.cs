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
    /// <exception cref="InvalidDataException">It is too long, or no UTF-8.</exception>
    public async ValueTask<string?> NextAsync(CancellationToken cancellationToken)
    {
        var message = new StringBuilder();
        var isFenced = false;
        for (var prompt = "> "; ; prompt = ". ")
        {
            var (end, line) = await ReadAsync(prompt, cancellationToken).ConfigureAwait(false);
            if (end == LineEnd.Closed)
            {
                return message.Length > 0 ? message.ToString() : null;
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
                throw new InvalidDataException($"a message has more than {LoadLimits.Default.MaxTextLength} characters; split it");
            }

            if (line.Trim() == Fence)
            {
                if (isFenced)
                {
                    return message.ToString();
                }

                isFenced = true;
            }
            else if (isFenced)
            {
                message.Append(message.Length > 0 ? "\n" : "").Append(line);
            }
            else if (line.EndsWith('\\'))
            {
                message.Append(line.AsSpan(0, line.Length - 1)).Append('\n');
            }
            else
            {
                return message.Append(line).ToString();
            }
        }
    }

    private async ValueTask<(LineEnd End, string Line)> ReadAsync(string prompt, CancellationToken cancellationToken)
    {
        if (_editor is not null)
        {
            return _editor.Read(prompt);
        }

        try
        {
            return await _input!.ReadLineAsync(cancellationToken).ConfigureAwait(false) is { } line ? (LineEnd.Entered, line) : (LineEnd.Closed, "");
        }
        catch (DecoderFallbackException)
        {
            throw new InvalidDataException("standard input is not UTF-8 text; convert it first");
        }
    }
}
