namespace NativeSpec.Chat.Templates;

/// <summary>A chat template that cannot be read, or that cannot be rendered with what it was given.</summary>
public sealed class ChatTemplateException : Exception
{
    internal ChatTemplateException(ChatTemplateFault fault, string reason, int line, int column)
        : base(fault == ChatTemplateFault.Raised ? reason : $"chat template, line {line}, column {column}: {reason}")
    {
        (Fault, Line, Column) = (fault, line, column);
    }

    /// <summary>Whose fault it is.</summary>
    public ChatTemplateFault Fault { get; }

    /// <summary>The line of the template, from 1.</summary>
    public int Line { get; }

    /// <summary>The column in that line, from 1.</summary>
    public int Column { get; }
}

/// <summary>What is wrong with a chat template or with what it was given.</summary>
public enum ChatTemplateFault
{
    /// <summary>The template is no Jinja, or uses a part of it that is not supported. Found when it is read.</summary>
    Syntax,

    /// <summary>Something that the template does cannot be done with these messages.</summary>
    Rendering,

    /// <summary>The template asks for more steps, text or nesting than it may.</summary>
    Limit,

    /// <summary>The template itself refuses the messages, by <c>raise_exception</c>: the message is its own.</summary>
    Raised,
}
