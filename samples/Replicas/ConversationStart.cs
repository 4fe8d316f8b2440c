using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NativeSpec.Tokenization;

namespace NativeSpec.Samples.Replicas;

/// <summary>How a conversation begins: the same in each of its turns, and the same for conversations that share their first tokens.</summary>
/// <param name="Hash">Of the first tokens, or of the <c>prompt_cache_key</c> that the request brings.</param>
internal sealed record ConversationStart(ulong Hash)
{
    /// <summary>Tokens that count: the size of two pages of keys and values, which servers share by whole pages.</summary>
    private const int Tokens = 128;

    private const int MostBytes = 4 << 20;     // what the servers take too
    private const int MostCharacters = 16_384; // of text that is tokenised for it

    /// <summary>Finds it in a request's body, for whoever chooses its server. A body that is none of OpenAI's protocol has none: its server says what is wrong.</summary>
    public static async Task ReadAsync(HttpContext context, Tokenizer tokenizer, RequestDelegate next)
    {
        if (HttpMethods.IsPost(context.Request.Method))
        {
            if (context.Request.ContentLength > MostBytes)
            {
                context.Response.StatusCode = StatusCodes.Status413PayloadTooLarge;
                return;
            }

            context.Request.EnableBuffering(MostBytes, MostBytes);
            try
            {
                using var body = await JsonDocument.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
                if (Of(body.RootElement, tokenizer) is { } start)
                {
                    context.Features.Set(start);
                }
            }
            catch (JsonException)
            {
                // Its server answers with what is wrong.
            }
            catch (IOException) when (!context.RequestAborted.IsCancellationRequested)
            {
                context.Response.StatusCode = StatusCodes.Status413PayloadTooLarge; // a body without a length that passed the limit
                return;
            }

            context.Request.Body.Position = 0;
        }

        await next(context);
    }

    /// <summary>The beginning of a request's conversation; null where it has none.</summary>
    /// <remarks>Of a chat that is the system's text and the first user's, not the first tokens of all: those of a short conversation change with every turn.</remarks>
    public static ConversationStart? Of(JsonElement body, Tokenizer tokenizer)
    {
        try
        {
            return Find(body, tokenizer);
        }
        catch (InvalidOperationException)
        {
            return null; // a name or a text whose escapes are no Unicode: its server says so
        }
    }

    private static ConversationStart? Find(JsonElement body, Tokenizer tokenizer)
    {
        if (body.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        if (body.TryGetProperty("prompt_cache_key", out var given) && given.ValueKind == JsonValueKind.String)
        {
            return new ConversationStart(HashOf(Encoding.UTF8.GetBytes(given.GetString()!)));
        }

        var text = new StringBuilder();
        if (body.TryGetProperty("messages", out var messages) && messages.ValueKind == JsonValueKind.Array)
        {
            foreach (var message in messages.EnumerateArray().TakeWhile(message => message.ValueKind == JsonValueKind.Object))
            {
                var role = Text(message, "role");
                text.Append(role).Append('\n').Append(Text(message, "content")).Append('\n');
                if (role == "user" || text.Length >= MostCharacters)
                {
                    break;
                }
            }
        }
        else
        {
            text.Append(Text(body, "prompt"));
        }

        if (text.Length == 0)
        {
            return null;
        }

        var ids = tokenizer.Encode(text.ToString(0, Math.Min(text.Length, MostCharacters)));
        var bytes = new byte[Math.Min(ids.Length, Tokens) * sizeof(int)];
        for (var i = 0; i < bytes.Length / sizeof(int); i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * sizeof(int)), ids[i]);
        }

        return new ConversationStart(HashOf(bytes));
    }

    private static string Text(JsonElement parent, string name)
        => parent.TryGetProperty(name, out var value) ? value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText() : "";

    private static ulong HashOf(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(bytes));
}
