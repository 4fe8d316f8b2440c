using System.Globalization;
using System.Text;
using NativeSpec.Chat;
using NativeSpec.Chat.Replies;
using NativeSpec.Chat.Templates;
using NativeSpec.Cli.Generation;
using NativeSpec.Engine;
using Spectre.Console;

namespace NativeSpec.Cli.Chatting;

/// <summary>A chat: takes messages and commands, streams answers, remembers the turns.</summary>
internal sealed class ChatSession
{
    private readonly Terminal _terminal;
    private readonly InferenceEngine _engine;
    private readonly ChatSettings _settings;
    private readonly IAnsiConsole _console;
    private List<ChatTurn> _turns = [];
    private GenerationResult? _last;

    public ChatSession(Terminal terminal, InferenceEngine engine, ChatSettings settings)
    {
        (_terminal, _engine, _settings) = (terminal, engine, settings);
        _console = TokenColours.Console(terminal);
    }

    /// <summary>Runs until the input ends or <c>/quit</c>.</summary>
    /// <returns>Whether every message was answered and every command understood.</returns>
    public async Task<bool> RunAsync(ChatLines lines, CancellationToken cancellationToken)
    {
        var isFlawless = true;
        while (true)
        {
            try
            {
                if (await lines.NextAsync(cancellationToken).ConfigureAwait(false) is not { } message)
                {
                    break;
                }

                if (string.IsNullOrWhiteSpace(message))
                {
                    continue;
                }

                if (!message.StartsWith('/'))
                {
                    await AnswerAsync(message, cancellationToken).ConfigureAwait(false);
                }
                else if (!await ObeyAsync(message, cancellationToken).ConfigureAwait(false))
                {
                    break;
                }
            }
            catch (Exception error) when (error is UsageException or EngineException or ChatTemplateException or ArgumentException or IOException or UnauthorizedAccessException or InvalidDataException)
            {
                // The chat goes on: what was wrong is one message or one command.
                isFlawless = false;
                _terminal.Error.WriteLine($"nativespec: {(error is ContextLengthException ? $"{error.Message}; /undo or /reset makes room" : error.Message)}");
                if (error is EngineFaultedException)
                {
                    throw;
                }
            }

            _terminal.Out.Flush();
        }

        return isFlawless;
    }

    private async Task AnswerAsync(string message, CancellationToken cancellationToken)
    {
        var user = new ChatTurn("user", message);
        var answer = await WriteAsync([.. _turns, user], cancellationToken).ConfigureAwait(false);
        _turns.AddRange([user, answer]);
    }

    /// <summary>Streams the answer to a conversation. Ctrl+C ends it early; what was written by then counts as the answer.</summary>
    private async Task<ChatTurn> WriteAsync(List<ChatTurn> turns, CancellationToken cancellationToken)
    {
        if (_settings.System is { } system)
        {
            turns.Insert(0, new ChatTurn("system", system));
        }

        var options = _settings.Options;
        var prompt = _engine.PrepareChat(turns, cancellationToken: cancellationToken);
        using var origins = _settings.Colors ? new TokenOrigins(_engine.Tokenizer, prompt.Ids.Count) : null;
        if (origins is not null)
        {
            options = options with { Speculation = options.Speculation with { Trace = origins.Trace } };
        }

        var answer = new Answer(prompt.Form);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var taking = _terminal.Interrupts.Take(stop);
        try
        {
            await foreach (var piece in _engine.ChatAsync(prompt, options, stop.Token).ConfigureAwait(false))
            {
                _last = piece.Result ?? _last;
                var parts = answer.Add(piece.Text, isLast: piece.Result is not null);
                foreach (var (text, style) in origins is null ? parts : origins.Split(piece.Ids, piece.Text).Select(part => (part.Text, TokenColours.Of(part.Drafter))))
                {
                    Show(text, style);
                }

                _terminal.Out.Flush();
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            _terminal.Out.Write(" [stopped]");
        }
        finally
        {
            _terminal.Out.WriteLine();
            _terminal.Out.Flush();
        }

        return answer.Turn();
    }

    private void Show(string text, Style style)
    {
        if (style == Style.Plain)
        {
            _terminal.Out.Write(text);
        }
        else
        {
            _console.Write(new Text(text, style));
        }
    }

    /// <summary>Does what a line that begins with a slash says.</summary>
    /// <returns>Whether the chat goes on.</returns>
    private async ValueTask<bool> ObeyAsync(string line, CancellationToken cancellationToken)
    {
        var words = line.Split(' ', 2, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var rest = words.Length > 1 ? words[1] : null;
        switch (words[0])
        {
            case "/quit" or "/exit":
                return false;
            case "/help":
                Say(
                    "/set                 what can be set; /set NAME VALUE sets it, /set NAME default unsets it",
                    "/stats               what the last answer took, and what speculation did for it",
                    "/history             the turns so far",
                    "/retry               another answer to the last message",
                    "/undo                forget the last message and its answer",
                    "/reset               forget all turns",
                    "/save FILE           keep the turns in a file; /load FILE takes them up again",
                    "/quit                end; so does Ctrl+D. Ctrl+C stops an answer",
                    "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a message of several lines.");
                break;
            case "/set" when rest is null:
                Say([.. _settings.Lines()]);
                break;
            case "/set":
                var (name, value) = rest.Split(' ', 2, StringSplitOptions.TrimEntries) is [var first, var second] ? (first, second) : (rest, null);
                Say(_settings.Set(name, value));
                break;
            case "/stats":
                Say([.. Stats()]);
                break;
            case "/history":
                Say([.. _turns.Select(turn => $"{turn.Role}: {turn.Content}")]);
                break;
            case "/retry":
                var asked = _turns.Count >= 2 ? _turns[..^1] : throw new UsageException("there is no message yet that could be answered again");
                _turns = [.. asked, await WriteAsync([.. asked], cancellationToken).ConfigureAwait(false)];
                break;
            case "/undo":
                _turns = _turns.Count >= 2 ? _turns[..^2] : throw new UsageException("there is no message yet");
                break;
            case "/reset":
                _turns = [];
                break;
            case "/save":
                ChatFile.Write(rest ?? throw new UsageException("/save needs the name of a file"), _settings.System, _turns);
                break;
            case "/load":
                (_settings.System, _turns) = ChatFile.Read(rest ?? throw new UsageException("/load needs the name of a file"));
                Say(string.Create(CultureInfo.InvariantCulture, $"{_turns.Count} turns"));
                break;
            default:
                throw new UsageException($"there is no {words[0]}; /help shows what there is");
        }

        return true;
    }

    private IEnumerable<string> Stats()
    {
        if (_last is not { } last)
        {
            throw new UsageException("there is no whole answer yet");
        }

        var speed = new GenerationSpeed(last);
        yield return string.Create(
            CultureInfo.InvariantCulture,
            $"[{last.Ids.Count} tokens, {speed.PredictedPerSecond:0.0} tokens/s; prompt {last.PromptTokens} tokens, {last.CachedTokens} of them known from before, first token after {(last.Timings.Queue + last.Timings.Prompt).TotalMilliseconds:0.0} ms]");
        foreach (var line in SpeculationReport.Lines(last.Speculation))
        {
            yield return line;
        }
    }

    private void Say(params IReadOnlyList<string> lines)
    {
        foreach (var line in lines)
        {
            _terminal.Out.WriteLine(line);
        }
    }

    /// <summary>An answer as it is written: its thoughts, where the model marks them, and its text.</summary>
    private sealed class Answer(ReplyForm form)
    {
        private static readonly Style Thought = new(Color.Grey);

        private readonly ReplyReader _reader = new(form);
        private readonly StringBuilder _thought = new(), _text = new();

        /// <summary>Takes a piece, and gives what is to be shown of it: without the blank between a template's colon and the first word.</summary>
        public List<(string Text, Style Style)> Add(string piece, bool isLast)
        {
            List<(string Text, Style Style)> shown = [];
            foreach (var part in isLast ? [.. _reader.Read(piece), .. _reader.End()] : _reader.Read(piece))
            {
                switch (part)
                {
                    case ReasoningPart thought:
                        Append(_thought, thought.Text, Thought);
                        break;
                    case TextPart text:
                        if (_text.Length == 0 && _thought.Length > 0)
                        {
                            shown.Add(("\n\n", Style.Plain));
                        }

                        Append(_text, text.Text, Style.Plain);
                        break;
                    default:
                        throw new InvalidOperationException($"a {part.GetType().Name} in an answer that was offered no tools");
                }
            }

            return shown;

            void Append(StringBuilder all, string text, Style style)
            {
                text = all.Length == 0 ? text.TrimStart() : text;
                all.Append(text);
                shown.Add((text, style));
            }
        }

        /// <summary>The turn that it is in a conversation.</summary>
        public ChatTurn Turn() => new("assistant", _text.ToString().TrimEnd()) { Reasoning = _thought.Length > 0 ? _thought.ToString() : null };
    }
}
