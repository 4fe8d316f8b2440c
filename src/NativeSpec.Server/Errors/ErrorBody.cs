using System.Text.Json.Serialization;

namespace NativeSpec.Server.Errors;

/// <summary>An error as clients read it: nested, because a flat one loses its message in some.</summary>
internal sealed record ErrorBody(ErrorDetail Error)
{
    public static ErrorBody Of(ApiException error) => new(ErrorDetail.Of(error));
}

/// <summary>What went wrong; <c>param</c> and <c>code</c> are there also where they are null.</summary>
internal sealed record ErrorDetail(
    string Message,
    string Type,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code)
{
    public static ErrorDetail Of(ApiException error) => new(error.Message, error.Type, error.Parameter, error.Code);
}
