namespace NativeSpec.Server;

/// <summary>What the endpoints of <see cref="NativeSpecServer.MapNativeSpec"/> allow their callers.</summary>
public sealed class NativeSpecServerOptions
{
    /// <summary>The model's name in requests and answers; null takes the engine's (<see cref="Engine.InferenceEngine.Name"/>).</summary>
    public string? ModelId { get; set; }

    /// <summary>Keys of which a request must bring one, as <c>Authorization: Bearer KEY</c>. None lets everybody in.</summary>
    public IList<string> ApiKeys { get; } = [];

    /// <summary>Most bytes of a request's body.</summary>
    public long MaxRequestBytes { get; set; } = 4 * 1024 * 1024;

    /// <summary>Most texts that one request may ask for: <c>n</c>, and for completions that many for each prompt.</summary>
    public int MaxChoices { get; set; } = 8;

    /// <summary>Most tokens that a text may have, whatever the request asks for; null leaves it to the context.</summary>
    public int? MaxTokens { get; set; }

    /// <summary>Most requests that one caller, by key or else by address, may have at once; one more is answered 429.</summary>
    public int MaxRequestsPerClient { get; set; } = 256;

    /// <summary>How long the first token may take; then the request is answered 503. Null waits for as long as it takes.</summary>
    public TimeSpan? FirstTokenTimeout { get; set; }

    /// <summary>What a refused caller is told to wait, by the header Retry-After.</summary>
    public TimeSpan RetryAfter { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long running requests may go on when the process is told to end (SIGTERM). New ones are answered 503 meanwhile; what is not done by then ends with an error.</summary>
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Checks every option against its range.</summary>
    /// <exception cref="ArgumentException">An option is out of its range; the message names it, its value and the range.</exception>
    public void Validate()
    {
        Require(ApiKeys.All(key => key.Length > 0), nameof(ApiKeys), "an empty key", "keys of at least one character");
        Require(MaxRequestBytes is >= 1024 and <= 1L << 30, nameof(MaxRequestBytes), MaxRequestBytes, "1024 to 1073741824");
        Require(MaxChoices is >= 1 and <= 128, nameof(MaxChoices), MaxChoices, "1 to 128");
        Require(MaxTokens is null or >= 1, nameof(MaxTokens), MaxTokens, "1 or more");
        Require(MaxRequestsPerClient >= 1, nameof(MaxRequestsPerClient), MaxRequestsPerClient, "1 or more");
        Require(FirstTokenTimeout is null || FirstTokenTimeout > TimeSpan.Zero, nameof(FirstTokenTimeout), FirstTokenTimeout, "more than zero");
        Require(RetryAfter >= TimeSpan.Zero, nameof(RetryAfter), RetryAfter, "zero or more");
        Require(DrainTimeout >= TimeSpan.Zero && DrainTimeout < TimeSpan.FromDays(1), nameof(DrainTimeout), DrainTimeout, "zero to a day");
    }

    private static void Require<T>(bool holds, string option, T value, string allowed)
    {
        if (!holds)
        {
            throw new ArgumentException($"{nameof(NativeSpecServerOptions)}.{option} is {value}; expected {allowed}", option);
        }
    }
}
