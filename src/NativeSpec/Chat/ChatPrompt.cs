using NativeSpec.Chat.Replies;

namespace NativeSpec.Chat;

/// <summary>A conversation as the model reads it: <see cref="Engine.InferenceEngine.PrepareChat"/> makes one.</summary>
public sealed class ChatPrompt
{
    internal ChatPrompt(IReadOnlyList<int> ids, ReplyForm form, IReadOnlyList<int> endIds) => (Ids, Form, EndIds) = (ids, form, endIds);

    /// <summary>Its tokens.</summary>
    public IReadOnlyList<int> Ids { get; }

    /// <summary>How the answer marks thoughts and calls of tools, for a <see cref="ReplyReader"/>.</summary>
    public ReplyForm Form { get; }

    /// <summary>The tokens with which the template ends an answer.</summary>
    public IReadOnlyList<int> EndIds { get; }
}
