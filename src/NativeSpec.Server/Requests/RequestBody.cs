using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using NativeSpec.Server.Errors;

namespace NativeSpec.Server.Requests;

/// <summary>Reads a request's body, within its limits.</summary>
internal static class RequestBody
{
    /// <summary>Reads the members of a request.</summary>
    /// <param name="body">What <see cref="ReadAsync"/> gave.</param>
    /// <param name="read">Reads them.</param>
    /// <exception cref="ApiException">One is wrong; or its name is spelt by escapes that are no Unicode, which JSON's grammar allows and which is found where names are compared.</exception>
    public static T Read<T>(JsonDocument body, Func<RequestObject, T> read)
    {
        try
        {
            return read(RequestObject.Of(body.RootElement, ""));
        }
        catch (InvalidOperationException error) when (error is not ObjectDisposedException)
        {
            throw ApiException.Invalid(null, "the request has a member whose name is not valid Unicode", "invalid_json", error);
        }
    }

    /// <summary>Reads the body as one JSON object, which the caller disposes.</summary>
    /// <exception cref="ApiException">It is none, or too large.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpContext context, long most)
    {
        // A page of another origin may send other types without asking first, and reach a server that listens on this machine alone.
        if (!context.Request.HasJsonContentType())
        {
            throw ApiException.MediaType(context.Request.ContentType);
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = most;
        }

        try
        {
            var document = await JsonDocument.ParseAsync(context.Request.Body, default, context.RequestAborted).ConfigureAwait(false);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            using (document)
            {
                throw RequestObject.Wrong("", document.RootElement, "an object");
            }
        }
        catch (JsonException error)
        {
            var reason = error.Message.Split(" Path: ")[0].Split(" LineNumber: ")[0];
            throw ApiException.Invalid(null, $"the request is not JSON (line {error.LineNumber + 1}, byte {error.BytePositionInLine + 1}): {reason}", "invalid_json", error);
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            throw ApiException.TooLarge(most);
        }
    }
}
