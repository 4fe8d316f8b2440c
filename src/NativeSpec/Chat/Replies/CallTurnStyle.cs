namespace NativeSpec.Chat.Replies;

/// <summary>How a turn that calls tools is given to a template. The default is as OpenAI's protocol and most templates have it.</summary>
/// <param name="HasEmptyText">A turn without a text has an empty one, and not none.</param>
/// <param name="ArgumentsAsText">Arguments are JSON in a string, and not an object.</param>
internal readonly record struct CallTurnStyle(bool HasEmptyText, bool ArgumentsAsText)
{
    /// <summary>All of them, in the order in which they are tried.</summary>
    public static readonly CallTurnStyle[] All = [default, new(true, false), new(false, true), new(true, true)];
}
