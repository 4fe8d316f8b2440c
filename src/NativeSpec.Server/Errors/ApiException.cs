using Microsoft.AspNetCore.Http;

namespace NativeSpec.Server.Errors;

/// <summary>What a request is answered instead of a text, in the words of OpenAI's protocol.</summary>
internal sealed class ApiException : Exception
{
    private ApiException(int status, string type, string? code, string? parameter, string message, Exception? inner = null)
        : base(message, inner) => (Status, Type, Code, Parameter) = (status, type, code, parameter);

    /// <summary>The HTTP status.</summary>
    public int Status { get; }

    /// <summary>OpenAI's <c>error.type</c>.</summary>
    public string Type { get; }

    /// <summary>OpenAI's <c>error.code</c>.</summary>
    public string? Code { get; }

    /// <summary>The member of the request that is wrong, such as <c>messages[0].role</c>.</summary>
    public string? Parameter { get; }

    /// <summary>Whether the same request may do later, so that the answer says when to try again.</summary>
    public bool IsTemporary => Status is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable;

    /// <summary>400: a member of the request is wrong.</summary>
    public static ApiException Invalid(string? parameter, string message, string? code = null, Exception? inner = null)
        => new(StatusCodes.Status400BadRequest, "invalid_request_error", code, parameter, message, inner);

    /// <summary>400: a member of the request asks for what there is not.</summary>
    public static ApiException Unsupported(string parameter, string message) => Invalid(parameter, message, "unsupported_value");

    /// <summary>400: the prompt leaves no room to write.</summary>
    public static ApiException TooLong(string parameter, string message) => Invalid(parameter, message, "context_length_exceeded");

    /// <summary>401: no key, or none of those that there are.</summary>
    public static ApiException Unauthorized(string message) => new(StatusCodes.Status401Unauthorized, "authentication_error", "invalid_api_key", null, message);

    /// <summary>403.</summary>
    public static ApiException Forbidden(string code, string message) => new(StatusCodes.Status403Forbidden, "permission_error", code, null, message);

    /// <summary>404.</summary>
    public static ApiException NotFound(string? parameter, string code, string message) => new(StatusCodes.Status404NotFound, "invalid_request_error", code, parameter, message);

    /// <summary>413.</summary>
    public static ApiException TooLarge(long most)
        => new(StatusCodes.Status413PayloadTooLarge, "invalid_request_error", "request_too_large", null, $"the request's body is larger than {most} bytes");

    /// <summary>415.</summary>
    public static ApiException MediaType(string? found)
        => new(StatusCodes.Status415UnsupportedMediaType, "invalid_request_error", "unsupported_media_type", "content-type", $"the content type is '{found}'; expected application/json");

    /// <summary>429: too much at once.</summary>
    public static ApiException Busy(string code, string message) => new(StatusCodes.Status429TooManyRequests, "rate_limit_error", code, null, message);

    /// <summary>503: not now.</summary>
    public static ApiException Unavailable(string code, string message) => new(StatusCodes.Status503ServiceUnavailable, "unavailable_error", code, null, message);

    /// <summary>500.</summary>
    public static ApiException Failed(string message, Exception? inner = null) => new(StatusCodes.Status500InternalServerError, "server_error", "internal_error", null, message, inner);
}
