using NativeSpec.Chat.Replies;
using NativeSpec.Engine;
using NativeSpec.Server.Errors;
using NativeSpec.Server.Requests;

namespace NativeSpec.Server.Endpoints;

/// <summary>Asks an engine for the next turn of a conversation, whichever protocol brings it.</summary>
internal static class Conversations
{
    /// <summary>Asks for the texts; nothing is computed before they are read.</summary>
    /// <param name="engine">The engine.</param>
    /// <param name="request">The request.</param>
    /// <param name="prompt">The request's name of the conversation.</param>
    /// <param name="maxTokens">The request's name of the most tokens.</param>
    /// <param name="cancellationToken">Ends the texts.</param>
    /// <exception cref="ApiException">The request cannot be met.</exception>
    public static (IReadOnlyList<IAsyncEnumerable<GenerationPiece>> Texts, ReplyForm Form) Begin(
        InferenceEngine engine, ChatRequest request, string prompt, string maxTokens, CancellationToken cancellationToken)
    {
        try
        {
            var conversation = engine.PrepareChat(request.Turns, request.Format, cancellationToken);
            if (request.Format.Tools.Count > 0 && !conversation.Form.ShowsTools)
            {
                throw ApiException.Unsupported("tools", "the model's chat template has no place for tools, so it would never hear of them: leave them out, or serve the model with a template that shows them");
            }

            return ([.. Enumerable.Range(0, request.Text.Choices).Select(choice => engine.ChatAsync(conversation, request.Text.OptionsOf(choice), cancellationToken))], conversation.Form);
        }
        catch (Exception error) when (error is not ApiException)
        {
            throw ErrorMapping.OfCall(error, prompt, maxTokens);
        }
    }
}
