using System.Security.Cryptography;

namespace NativeSpec.Server.Answers;

/// <summary>What every piece of an answer repeats.</summary>
/// <param name="Id">The answer's own id.</param>
/// <param name="Created">When it began, in seconds since 1970: a whole number, because .NET's client takes no other.</param>
/// <param name="Model">The model's name.</param>
/// <param name="Fingerprint">What wrote it: texts of a seed are the same as long as this is.</param>
internal sealed record AnswerHead(string Id, long Created, string Model, string Fingerprint)
{
    /// <summary>A new answer.</summary>
    /// <param name="kind">What its id begins with.</param>
    /// <param name="model">The model's name.</param>
    /// <param name="fingerprint">What writes it.</param>
    public static AnswerHead New(string kind, string model, string fingerprint) => new(NewId(kind), DateTimeOffset.UtcNow.ToUnixTimeSeconds(), model, fingerprint);

    /// <summary>An id that nobody has.</summary>
    public static string NewId(string kind) => string.Concat(kind, RandomNumberGenerator.GetHexString(24, lowercase: true));
}
