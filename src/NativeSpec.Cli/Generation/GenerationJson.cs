using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Sampling;
using NativeSpec.Tokenization;

namespace NativeSpec.Cli.Generation;

/// <summary>A finished text as JSON. Fields of <c>timings</c> have llama.cpp's names where it has them.</summary>
internal static class GenerationJson
{
    public static void Write(Utf8JsonWriter json, string model, InferenceEngine engine, GenerationResult result, TimeSpan load)
    {
        json.WriteString("model", model);
        json.WriteString("backend", engine.Backend);
        json.WriteString("text", result.Text);
        json.WriteIds("ids", result.Ids);
        json.WriteString("finish_reason", result.FinishReason == FinishReason.Stop ? "stop" : "length");
        if (result.StopString is { } stop)
        {
            json.WriteString("stop_string", stop);
        }

        json.WriteNumber("seed", result.Seed);
        json.WriteNumber("sampler_version", result.SamplerVersion);
        if (result.LogProbs.Count > 0)
        {
            WriteLogProbs(json, engine.Tokenizer, result.LogProbs);
        }

        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", result.PromptTokens);
        json.WriteNumber("completion_tokens", result.Ids.Count);
        json.WriteNumber("total_tokens", result.PromptTokens + result.Ids.Count);
        json.WriteEndObject();

        var (timings, speed) = (result.Timings, new GenerationSpeed(result));
        json.WriteStartObject("timings");
        json.WriteMeasured("load_ms", load.TotalMilliseconds);
        json.WriteMeasured("queue_ms", timings.Queue.TotalMilliseconds);
        json.WriteNumber("prompt_n", result.PromptTokens);
        json.WriteMeasured("prompt_ms", timings.Prompt.TotalMilliseconds);
        json.WriteMeasured("prompt_per_second", speed.PromptPerSecond);
        json.WriteNumber("predicted_n", result.Ids.Count);
        json.WriteMeasured("predicted_ms", timings.Decode.TotalMilliseconds);
        json.WriteMeasured("predicted_per_second", speed.PredictedPerSecond);
        json.WriteNumber("rounds", timings.Rounds);
        json.WriteNumber("draft_n", result.Speculation.Drafted);
        json.WriteNumber("draft_n_accepted", result.Speculation.Accepted);
        json.WriteEndObject();
        SpeculationReport.Write(json, result.Speculation);
    }

    private static void WriteLogProbs(Utf8JsonWriter json, Tokenizer tokenizer, IReadOnlyList<TokenLogProbs> all)
    {
        json.WriteStartArray("logprobs");
        foreach (var token in all)
        {
            json.WriteStartObject();
            WriteOne(json, tokenizer, token.Chosen);
            json.WriteStartArray("top");
            foreach (var other in token.Top)
            {
                json.WriteStartObject();
                WriteOne(json, tokenizer, other);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteOne(Utf8JsonWriter json, Tokenizer tokenizer, TokenLogProb token)
    {
        json.WriteToken(tokenizer, token.Id);
        json.WriteFloat("logprob", token.LogProb);
    }
}

/// <summary>Tokens per second of a finished text. The first token belongs to the prompt's time, so the others are counted against the
/// time after it.</summary>
internal readonly struct GenerationSpeed(GenerationResult result)
{
    public double PromptPerSecond => result.PromptTokens / result.Timings.Prompt.TotalSeconds;

    public double PredictedPerSecond => result.Ids.Count > 1 ? (result.Ids.Count - 1) / result.Timings.Decode.TotalSeconds : 0;
}
