using System.Text.Json;
using NativeSpec.Chat.Templates.Library;
using NativeSpec.Chat.Templates.Syntax;

namespace NativeSpec.Chat.Templates;

/// <summary>A chat template: the Jinja program in a checkpoint's files that makes a conversation into the text that its model was trained on. It
/// runs in an interpreter of its own, a walk over a tree with values of its own types: it reaches nothing outside, changes nothing of
/// what it is given, and what it may spend is bounded.</summary>
/// <remarks>The semantics are those of Jinja 3 as Hugging Face's library sets it up: trim_blocks, lstrip_blocks, loop controls, the
/// <c>generation</c> tag, <c>raise_exception</c>, <c>strftime_now</c>, and <c>tojson</c> without HTML's escapes. A template may be used by
/// several threads at once.</remarks>
public sealed class ChatTemplate
{
    private readonly TemplateSource _source;
    private readonly Statement[] _body;

    private ChatTemplate(TemplateSource source, Statement[] body) => (_source, _body) = (source, body);

    /// <summary>Reads a template.</summary>
    /// <param name="template">Its text, at most a megabyte.</param>
    /// <exception cref="ChatTemplateException">It is no Jinja, or uses a part of it that is not supported: the message says where and what.</exception>
    public static ChatTemplate Parse(string template)
    {
        ArgumentNullException.ThrowIfNull(template);
        var source = new TemplateSource(template);
        return new ChatTemplate(source, TemplateParser.Parse(source));
    }

    /// <summary>Renders a conversation.</summary>
    /// <param name="data">The variables of the conversation, such as <c>messages</c>, <c>tools</c> and <c>add_generation_prompt</c>: whoever wrote
    /// them, no text of theirs becomes a control token.</param>
    /// <param name="tokens">Variables that are texts of the tokenizer's own tokens, such as <c>bos_token</c>.</param>
    /// <param name="clock">What <c>strftime_now</c> tells; null for the system's.</param>
    /// <param name="cancellationToken">Ends the rendering.</param>
    /// <exception cref="ChatTemplateException">The template refuses the conversation or cannot render it.</exception>
    public RenderedChat Render(
        IReadOnlyDictionary<string, JsonElement> data, IReadOnlyDictionary<string, string>? tokens = null, TimeProvider? clock = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        var frame = new Frame(null);
        var values = new JsonValues(_source);
        foreach (var (name, text) in tokens ?? new Dictionary<string, string>())
        {
            frame.Set(name, StringValue.OfTemplate(text));
        }

        foreach (var (name, value) in data)
        {
            frame.Set(name, values.Read(value));
        }

        return new RenderedChat(new Rendering(_source, values.Size, clock ?? TimeProvider.System, cancellationToken).Run(_body, frame));
    }

    /// <summary>Whether the template has some words in its own text.</summary>
    internal bool Mentions(string words) => _source.Text.Contains(words, StringComparison.Ordinal);
}
