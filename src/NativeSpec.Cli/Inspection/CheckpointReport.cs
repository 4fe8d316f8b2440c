using System.Text.Json;
using NativeSpec.Engine;
using NativeSpec.Engine.Building;
using NativeSpec.Loading.Llama;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Inspection;

/// <summary>What <c>inspect</c> shows of a checkpoint.</summary>
internal sealed record CheckpointReport(
    string Model, LlamaCheckpoint Checkpoint, (string? Description, string? Problem) Tokenizer, EngineOptions Options, MemoryNeed Memory, DeviceNeed OnDevice, KernelChoice Kernels)
{
    private LlamaConfig Config => Checkpoint.Config;

    private int Context => Options.MaxContext!.Value;

    /// <summary>The tensors of all files, in the order of their names.</summary>
    private IEnumerable<TensorView> Tensors => Checkpoint.Checkpoint.Tensors.Values.OrderBy(tensor => tensor.Name, StringComparer.Ordinal);

    public void Write(Utf8JsonWriter json)
    {
        json.WriteString("model", Model);
        json.WriteNumber("parameters", Config.ParameterCount);
        json.WriteString("weights", Checkpoint.Format == WeightFormat.AsStored ? "stored" : Checkpoint.Format.ToString().ToLowerInvariant());
        WriteConfig(json);
        json.WriteStartObject("tokenizer");
        json.WriteString("description", Tokenizer.Description);
        if (Tokenizer.Problem is { } problem)
        {
            json.WriteString("problem", problem);
        }

        json.WriteEndObject();
        json.WriteStartArray("notes");
        foreach (var note in Checkpoint.Notes)
        {
            json.WriteStringValue(note);
        }

        json.WriteEndArray();
        json.WriteStartObject("kernels");
        json.WriteString("used", Kernels.Used);
        json.WriteString("expected", Kernels.Expected);
        json.WriteStartArray("available");
        foreach (var kernels in Kernels.Available)
        {
            json.WriteStringValue(kernels);
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteStartObject("memory");
        json.WriteNumber("context", Context);
        json.WriteNumber("weights_bytes", Memory.Weights);
        json.WriteNumber("kv_bytes_per_token", Checkpoint.KvBytesPerToken(Options.KvFormat == KvFormat.BF16 ? DType.BF16 : DType.F32));
        json.WriteNumber("kv_bytes", Memory.KeyValues);
        json.WriteNumber("buffers_bytes", Memory.Buffers);
        json.WriteNumber("total_bytes", Memory.Total);
        json.WriteEndObject();
        json.WriteStartObject("cuda_memory");
        json.WriteString("device", OnDevice.Device);
        json.WriteNumber("device_bytes", OnDevice.DeviceMemory);
        json.WriteNumber("weights_bytes", OnDevice.Need.Weights);
        json.WriteNumber("kv_bytes", OnDevice.Need.KeyValues);
        json.WriteNumber("buffers_bytes", OnDevice.Need.Buffers);
        json.WriteNumber("total_bytes", OnDevice.Need.Total);
        json.WriteBoolean("fits", OnDevice.Fits);
        json.WriteEndObject();
        json.WriteStartArray("files");
        foreach (var file in Checkpoint.Checkpoint.Files)
        {
            json.WriteStringValue(Path.GetFileName(file.Path));
        }

        json.WriteEndArray();
        json.WriteNumber("tensor_count", Checkpoint.Checkpoint.Tensors.Count);
        json.WriteNumber("tensor_bytes", Tensors.Sum(tensor => tensor.ByteLength));
        json.WriteStartArray("tensors");
        foreach (var tensor in Tensors)
        {
            json.WriteStartObject();
            json.WriteString("name", tensor.Name);
            json.WriteString("dtype", tensor.DType.ToString());
            json.WriteStartArray("shape");
            foreach (var extent in tensor.Shape)
            {
                json.WriteNumberValue(extent);
            }

            json.WriteEndArray();
            json.WriteNumber("bytes", tensor.ByteLength);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    public void Print(Terminal terminal)
    {
        var eos = string.Join(", ", Checkpoint.EosTokenIds);
        var rope = Config.RopeScaling is { } scaling ? $"{Config.RopeTheta:0.##}, {scaling.Kind} × {scaling.Factor:0.##}" : $"{Config.RopeTheta:0.##}";
        string[][] facts =
        [
            ["model", $"{Model} ({Config.ModelType}), {Tables.Count(Config.ParameterCount)} parameters"],
            ["layers", $"{Config.NumHiddenLayers} of hidden size {Config.HiddenSize}, intermediate size {Config.IntermediateSize}"],
            ["heads", $"{Config.NumAttentionHeads} of width {Config.HeadDim}, {Config.NumKeyValueHeads} for keys and values"],
            ["vocabulary", $"{Config.VocabSize}{(Config.TieWordEmbeddings ? ", output tied to the embedding" : "")}"],
            ["context", $"{Config.MaxPositionEmbeddings} positions, RoPE base {rope}"],
            ["attention", string.Join("; ", AttentionFacts())],
            ["begins, ends", $"{Config.BosTokenId?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"}, {(eos.Length > 0 ? eos : "none")}"],
            ["weights", Checkpoint.Format == WeightFormat.AsStored ? "as stored" : $"packed, {Checkpoint.Format.ToString().ToLowerInvariant()}"],
            ["tokenizer", Tokenizer.Description ?? Tokenizer.Problem!],
            ["kernels", $"{Kernels.Used}{(Kernels.Used == Kernels.Expected ? "" : $", where {Kernels.Expected} was expected")}; this machine runs {string.Join(", ", Kernels.Available)}"],
            ["memory", $"{Tables.Bytes(Memory.Weights)} weights + {Tables.Bytes(Memory.KeyValues)} keys and values of {Context} tokens + {Tables.Bytes(Memory.Buffers)} buffers = {Tables.Bytes(Memory.Total)}"],
            ["on a CUDA device", $"{Tables.Bytes(OnDevice.Need.Weights)} weights + {Tables.Bytes(OnDevice.Need.KeyValues)} keys and values + {Tables.Bytes(OnDevice.Need.Buffers)} buffers = {Tables.Bytes(OnDevice.Need.Total)}{(OnDevice.Device is null ? "" : $": {(OnDevice.Fits ? "fits" : "does not fit")} the {Tables.Bytes(OnDevice.DeviceMemory)} of {OnDevice.Device}")}"],
        ];
        Tables.Print(terminal, ["checkpoint", ""], 2, facts);
        foreach (var note in Checkpoint.Notes)
        {
            terminal.Out.WriteLine($"note: {note}");
        }

        Tables.Print(
            terminal,
            ["tensor", "type", "shape", "bytes"],
            2,
            Tensors.Select(tensor => new[] { tensor.Name, tensor.DType.ToString(), string.Join(" × ", tensor.Shape.ToArray()), Tables.Bytes(tensor.ByteLength) }));
    }

    /// <summary>In what the family differs from the plain Llama.</summary>
    private IEnumerable<string> AttentionFacts()
    {
        var layers = Enumerable.Range(0, Config.NumHiddenLayers).ToArray();
        yield return Config.SlidingWindow is not { } window || window >= Config.MaxPositionEmbeddings ? "every token sees all before it"
            : $"{layers.Count(layer => Config.WindowOf(layer) > 0)} of {layers.Length} layers see a window of {window} tokens";
        if (Config.QkvBias || Config.AttentionBias)
        {
            yield return "biases";
        }

        if (Config.QkNorm)
        {
            yield return "norms of q and k";
        }

        if (Config.PartialRotaryFactor != 1)
        {
            yield return $"{Config.RotaryDim} of {Config.HeadDim} elements rotated";
        }

        if (layers.Count(layer => Config.RotaryDimOf(layer) == 0) is > 0 and var unrotated)
        {
            yield return $"{unrotated} layers without rotation";
        }

        if ((Config.EmbeddingMultiplier, Config.ResidualMultiplier, Config.LogitsScaling, Config.AttentionMultiplier) is not (1, 1, 1, null))
        {
            yield return $"embeddings × {Config.EmbeddingMultiplier}, residuals × {Config.ResidualMultiplier}, scores × {Config.AttentionScale:0.######}, logits / {Config.LogitsScaling}";
        }
    }

    private void WriteConfig(Utf8JsonWriter json)
    {
        json.WriteStartObject("config");
        Config.WriteFields(json);
        json.WriteBoolean("qkv_bias", Config.QkvBias || Config.AttentionBias);
        json.WriteBoolean("qk_norm", Config.QkNorm);
        if (Config.BosTokenId is { } bos)
        {
            json.WriteNumber("bos_token_id", bos);
        }

        json.WriteIds("eos_token_id", Checkpoint.EosTokenIds);
        json.WriteEndObject();
    }
}
