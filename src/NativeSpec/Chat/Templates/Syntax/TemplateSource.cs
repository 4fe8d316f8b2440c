using System.Diagnostics.CodeAnalysis;

namespace NativeSpec.Chat.Templates.Syntax;

/// <summary>A template's text, with every line ended as Jinja ends it and without the last line's end, and what says where in it something is.</summary>
internal sealed class TemplateSource
{
    /// <summary>Most UTF-16 units of a template. Published ones have up to 20,000.</summary>
    public const int MaxLength = 1 << 20;

    public TemplateSource(string text)
    {
        if (text.Length > MaxLength)
        {
            throw new ChatTemplateException(ChatTemplateFault.Limit, $"the template has {text.Length} characters; the most is {MaxLength}", 1, 1);
        }

        text = text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        Text = text.EndsWith('\n') ? text[..^1] : text;
    }

    public string Text { get; }

    /// <summary>An error at a place of the template.</summary>
    public ChatTemplateException Error(ChatTemplateFault fault, string reason, int position)
    {
        var before = Text.AsSpan(0, Math.Min(position, Text.Length));
        return new ChatTemplateException(fault, reason, before.Count('\n') + 1, before.Length - before.LastIndexOf('\n'));
    }

    [DoesNotReturn]
    public void Refuse(string reason, int position) => throw Error(ChatTemplateFault.Syntax, reason, position);
}
