using System.Text.Json;
using NativeSpec.Loading.PyTorch;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.Medusa;

/// <summary>Medusa heads from files: safetensors or PyTorch's <c>.pt</c>, in the layouts of Medusa 1 and 2, vLLM and TensorRT-LLM (see
/// <see cref="MedusaName"/>). The weights stay where they lie in the files.</summary>
public sealed class MedusaCheckpoint : IDisposable
{
    /// <summary>The file that <see cref="Convert"/> writes.</summary>
    public const string FileName = "medusa_lm_head.safetensors";

    private const string PtName = "medusa_lm_head.pt";
    private const string ModelPrefix = "medusa_head.";

    private readonly IDisposable _file;
    private readonly MedusaConfig? _config;

    private MedusaCheckpoint(string path, IDisposable file, IReadOnlyDictionary<string, TensorView> tensors, LoadLimits limits)
    {
        _file = file;
        _config = MedusaConfig.Read(FolderOf(path), limits);
        // A whole Medusa-2 model has its heads under a name of their own; everything else in it is the model.
        var isModel = tensors.Keys.Any(name => name.StartsWith("model.", StringComparison.Ordinal));
        Heads = isModel
            ? FromModel(path, tensors, _config, limits) ?? throw NoHeads(path)
            : MedusaBinder.Bind(path, tensors.Values, _config, limits);
    }

    /// <summary>The heads; valid until the checkpoint is disposed.</summary>
    public MedusaHeads Heads { get; }

    /// <summary>Opens heads.</summary>
    /// <param name="path">A <c>.pt</c> or <c>.safetensors</c> file, or a folder with <c>medusa_lm_head.safetensors</c>,
    /// <c>medusa_lm_head.pt</c>, or <c>model.safetensors</c> or its shards. A <c>config.json</c> beside it is compared.</param>
    /// <param name="limits">What the files may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">There are no heads, a file is damaged, or the heads are not whole.</exception>
    public static MedusaCheckpoint Open(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        var file = Directory.Exists(path) ? FindIn(path) : path;
        if (Path.GetExtension(file) is ".pt" or ".pth" or ".bin")
        {
            var pt = PtFile.Open(file, limits);
            return Make(file, pt, pt.Tensors, limits);
        }

        var checkpoint = Checkpoint.Open(file, limits);
        return Make(file, checkpoint, checkpoint.Tensors, limits);
    }

    /// <summary>The heads that lie among a model's own tensors (Medusa-2); null where there are none. Valid as long as the model's
    /// checkpoint.</summary>
    /// <exception cref="ModelFormatException">The heads are not whole.</exception>
    public static MedusaHeads? FromModel(Checkpoint model, LoadLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        limits ??= LoadLimits.Default;
        return FromModel(model.Path, model.Tensors, MedusaConfig.Read(FolderOf(model.Path), limits), limits);
    }

    /// <summary>Reads heads of any layout and writes them as <see cref="FileName"/> in Medusa's own, with a config.json where the folder
    /// has none.</summary>
    /// <param name="source">As for <see cref="Open"/>.</param>
    /// <param name="targetFolder">Is made if it does not exist.</param>
    /// <param name="limits">What the files may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">The source cannot be read.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static void Convert(string source, string targetFolder, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(targetFolder);
        using var checkpoint = Open(source, limits);
        Directory.CreateDirectory(targetFolder);
        var metadata = new Dictionary<string, string> { ["format"] = "pt" };
        SafetensorsWriter.Write(Path.Combine(targetFolder, FileName), Tensors(checkpoint.Heads), metadata);
        var config = Path.Combine(targetFolder, "config.json");
        if (!Path.Exists(config))
        {
            using var stream = File.Create(config);
            WriteConfig(stream, checkpoint.Heads, checkpoint._config?.BaseModel);
        }
    }

    /// <summary>Releases the files. The weights must not be used any more.</summary>
    public void Dispose() => _file.Dispose();

    private static ModelFormatException NoHeads(string path) => new(path, $"is a model without tensors {ModelPrefix}…; expected Medusa heads");

    /// <summary>The file of heads in a folder, or else the folder itself, which may be a checkpoint with shards.</summary>
    private static string FindIn(string folder)
    {
        string[] known = [FileName, PtName, "model.safetensors", "model.safetensors.index.json"];
        var found = known.FirstOrDefault(name => Path.Exists(Path.Combine(folder, name)))
            ?? throw new ModelFormatException(folder, $"has none of {string.Join(", ", known)}: it holds no Medusa heads");
        return found is FileName or PtName ? Path.Combine(folder, found) : folder;
    }

    private static MedusaCheckpoint Make(string path, IDisposable file, IReadOnlyDictionary<string, TensorView> tensors, LoadLimits limits)
    {
        try
        {
            return new MedusaCheckpoint(path, file, tensors, limits);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static MedusaHeads? FromModel(string path, IReadOnlyDictionary<string, TensorView> tensors, MedusaConfig? config, LoadLimits limits)
    {
        TensorView[] heads = [.. tensors.Values.Where(tensor => tensor.Name.StartsWith(ModelPrefix, StringComparison.Ordinal))];
        return heads.Length == 0 ? null : MedusaBinder.Bind(path, heads, config, limits);
    }

    private static string FolderOf(string path) => Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;

    private static IEnumerable<SafetensorsTensor> Tensors(MedusaHeads heads)
    {
        for (var h = 0; h < heads.Heads.Count; h++)
        {
            var (blocks, vocab) = heads.Heads[h];
            for (var l = 0; l < blocks.Count; l++)
            {
                yield return SafetensorsTensor.FromView(blocks[l].Weight, $"{h}.{l}.linear.weight");
                if (blocks[l].Bias is { } bias)
                {
                    yield return SafetensorsTensor.FromView(bias, $"{h}.{l}.linear.bias");
                }
            }

            if (vocab is not null)
            {
                yield return SafetensorsTensor.FromView(vocab, $"{h}.{blocks.Count}.weight");
            }
        }

        if (heads.TokenMap is { } map)
        {
            var bytes = map.SelectMany(token => BitConverter.GetBytes((long)token)).ToArray();
            yield return SafetensorsTensor.FromBytes("token_map", DType.I64, [map.Count], bytes);
        }
    }

    private static void WriteConfig(Stream stream, MedusaHeads heads, string? baseModel)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        json.WriteStartObject();
        json.WriteNumber("medusa_num_heads", heads.Heads.Count);
        json.WriteNumber("medusa_num_layers", heads.Heads[0].Blocks.Count);
        json.WriteNumber("hidden_size", heads.HiddenSize);
        if (heads.Rows is { } rows && heads.TokenMap is null)
        {
            json.WriteNumber("vocab_size", rows);
        }

        if (heads.Rows is null)
        {
            json.WriteString("version", "2"); // Medusa's own mark of heads that use the model's output matrix
        }

        if (baseModel is not null)
        {
            json.WriteString("base_model_name_or_path", baseModel);
        }

        json.WriteEndObject();
    }
}
