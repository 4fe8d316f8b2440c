using System.Globalization;
using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Server.Errors;
using NativeSpec.Speculation;

namespace NativeSpec.Server.Requests;

/// <summary>The members that all requests for text have in common.</summary>
/// <param name="Options">What the engine is asked for.</param>
/// <param name="Choices">How many texts.</param>
/// <param name="IsStreamed">Whether they are sent as they are written.</param>
/// <param name="UsageInStream">Whether a stream ends with what was used.</param>
/// <param name="ReturnsTokenIds">Whether the texts' tokens are sent along, as vLLM's <c>return_token_ids</c>.</param>
internal sealed record TextRequest(GenerationOptions Options, int Choices, bool IsStreamed, bool UsageInStream, bool ReturnsTokenIds)
{
    private const int MaxStops = 8; // a template may need some of the engine's
    private const int MaxBiases = 1024;

    /// <summary>Reads them.</summary>
    /// <param name="body">The request.</param>
    /// <param name="server">What the server allows.</param>
    /// <param name="maxTokens">The names under which the most tokens may stand; the first one that is there counts.</param>
    public static TextRequest Read(RequestObject body, NativeSpecServerOptions server, params ReadOnlySpan<string> maxTokens)
    {
        var most = server.MaxTokens;
        foreach (var name in maxTokens)
        {
            if (body.Int(name, 1, int.MaxValue) is { } asked)
            {
                most = Math.Min(asked, most ?? int.MaxValue);
                break;
            }
        }

        var options = new GenerationOptions
        {
            MaxTokens = most,
            Temperature = body.Float("temperature"),
            TopP = body.Float("top_p"),
            TopK = body.Int("top_k", -1, int.MaxValue) is { } k ? Math.Max(k, 0) : null, // −1 is vLLM's word for all
            MinP = body.Float("min_p"),
            RepetitionPenalty = body.Float("repetition_penalty") ?? body.Float("repeat_penalty"),
            PresencePenalty = body.Float("presence_penalty") ?? 0,
            FrequencyPenalty = body.Float("frequency_penalty") ?? 0,
            Seed = body.Seed("seed"),
            StopStrings = Stops(body),
            StopIds = [.. (body.List("stop_token_ids", MaxStops) ?? Enumerable.Empty<RequestItem>()).Select(id => RequestObject.IntOf(id, 0, int.MaxValue))],
            LogitBias = Biases(body),
            IgnoreEndOfText = body.Bool("ignore_eos") ?? false,
            CacheSalt = body.Text("cache_salt"),
            FirstTokenTimeout = server.FirstTokenTimeout,
            Speculation = Speculation(body),
        };
        var streamed = body.Bool("stream") ?? false;
        var streamOptions = body.Object("stream_options");
        if (streamOptions is not null && !streamed)
        {
            throw ApiException.Invalid("stream_options", "stream_options are for streams: add \"stream\": true");
        }

        return new TextRequest(
            options,
            body.Int("n", 1, server.MaxChoices) ?? 1,
            streamed,
            streamOptions?.Bool("include_usage") ?? false,
            body.Bool("return_token_ids") ?? false);
    }

    /// <summary>The options of one of the texts: each draws its own random numbers.</summary>
    public GenerationOptions OptionsOf(int choice) => choice == 0 || Options.Seed is not { } seed ? Options : Options with { Seed = unchecked(seed + (ulong)choice) };

    private static string[] Stops(RequestObject body)
    {
        if (!body.TryGet("stop", out var stop))
        {
            return [];
        }

        var texts = stop.ValueKind == JsonValueKind.String
            ? [RequestObject.TextOf(stop, "stop")]
            : RequestObject.ListOf(stop, "stop", MaxStops).Select(text => RequestObject.TextOf(text.Value, text.Path)).ToArray();
        return Array.Exists(texts, text => text.Length == 0) ? throw ApiException.Invalid("stop", "stop has an empty text") : texts;
    }

    private static Dictionary<int, float>? Biases(RequestObject body)
    {
        if (body.Object("logit_bias") is not { } given)
        {
            return null;
        }

        if (given.Json.GetPropertyCount() > MaxBiases)
        {
            throw ApiException.Invalid("logit_bias", $"logit_bias has more than {MaxBiases} members");
        }

        Dictionary<int, float> biases = [];
        foreach (var member in given.Json.EnumerateObject())
        {
            if (!int.TryParse(member.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var id))
            {
                throw ApiException.Invalid("logit_bias", "logit_bias has a member whose name is no token id");
            }

            biases[id] = member.Value.ValueKind == JsonValueKind.Null ? 0 : RequestObject.FloatOf(member.Value, given.PathOf(member.Name)); // not by name again: each such look goes over all of them
        }

        return biases;
    }

    // An extension: "auto", "off", or the names of drafters.
    private static SpeculationOptions Speculation(RequestObject body)
    {
        if (!body.TryGet("speculation", out var value))
        {
            return SpeculationOptions.Auto;
        }

        return value.ValueKind == JsonValueKind.Array
            ? new SpeculationOptions { Drafters = [.. RequestObject.ListOf(value, "speculation", 16).Select(name => RequestObject.TextOf(name.Value, name.Path))] }
            : RequestObject.TextOf(value, "speculation") switch
            {
                "auto" => SpeculationOptions.Auto,
                "off" => SpeculationOptions.Off,
                _ => throw ApiException.Invalid("speculation", "speculation is an unknown word; expected \"auto\", \"off\" or a list of drafters"),
            };
    }
}
