namespace NativeSpec.Loading;

/// <summary>Finds the folder of a model, and says of a path that is none what it is and what to do.</summary>
internal static class ModelFolder
{
    /// <summary>One file of weights.</summary>
    public const string SingleName = "model.safetensors";

    /// <summary>The index of several.</summary>
    public const string IndexName = "model.safetensors.index.json";

    private const string ConfigName = "config.json";
    private const string Expected = "expected a folder with config.json, model.safetensors (or its index and shards) and a tokenizer";
    private const string Convert = "convert the weights to safetensors with Hugging Face names (in transformers: save_pretrained(folder))";
    private const string Adapter = "a LoRA adapter, which changes a model and is none: merge it into its base model first "
        + "(in PEFT: merge_and_unload(), then save_pretrained(folder))";

    // A hostile folder may have any number of files; what is to be told by their names shows in the first ones.
    private const int MostNames = 10_000;

    /// <summary>The folder of a model: the path itself, or where it is a file of weights, the folder around it.</summary>
    /// <exception cref="ModelFormatException">It is neither.</exception>
    public static string Of(string path)
    {
        if (Directory.Exists(path))
        {
            return Path.Exists(Path.Combine(path, ConfigName)) ? path : throw WithoutConfig(path);
        }

        if (OfWeights(path) is { } folder)
        {
            return Path.Exists(Path.Combine(folder, ConfigName))
                ? folder
                : throw new ModelFormatException(Path.Combine(folder, ConfigName), $"does not exist, but must lie beside {Path.GetFileName(path)}: fetch it from where the weights are from");
        }

        throw Path.Exists(path) ? OtherFile(path) : Missing(path);
    }

    /// <summary>The folder of a path that is a file of weights or the index of several; null where it is something else.</summary>
    public static string? OfWeights(string path) =>
        !Directory.Exists(path) && Path.Exists(path) && (IsWeightsName(path) || FileKind.IsSafetensors(RegularFile.ReadStart(path, FileKind.Bytes)))
            ? Path.GetDirectoryName(Path.GetFullPath(path))
            : null;

    /// <summary>Whether a path names an index of shards.</summary>
    public static bool IsIndexName(string path) => path.EndsWith(".safetensors.index.json", StringComparison.Ordinal);

    /// <summary>The error of a folder without weights.</summary>
    public static ModelFormatException WithoutWeights(string folder)
    {
        if (!TryList(folder, out var names, out var error))
        {
            return error;
        }

        var advice = names.FirstOrDefault(IsOtherWeights) switch
        {
            null => ": fetch the weights",
            var name when name.StartsWith("adapter_model", StringComparison.Ordinal) => $"; it holds {MessageText.Quote(name)}: {Adapter}",
            var name when name.StartsWith("consolidated", StringComparison.Ordinal) =>
                $"; it holds {MessageText.Quote(name)}, the makers' own format, which is not read: take the files with Hugging Face names, or {Convert}",
            var name when IsWeightsName(name) => $"; it holds {MessageText.Quote(name)}: rename it, or give the path of the file itself",
            var name => $"; it holds {MessageText.Quote(name)}, which is not read: {Convert}",
        };
        return new ModelFormatException(folder, $"has neither {SingleName} nor {IndexName}{advice}");
    }

    private static bool IsWeightsName(string path) => path.EndsWith(".safetensors", StringComparison.Ordinal) || IsIndexName(path);

    private static bool IsOtherWeights(string name) =>
        Path.GetExtension(name) is ".safetensors" or ".gguf" or ".bin" or ".pt" or ".pth" or ".h5" or ".msgpack" or ".onnx" or ".npz" or ".ckpt"
        || IsIndexName(name);

    private static ModelFormatException WithoutConfig(string folder)
    {
        if (!TryList(folder, out var names, out var error))
        {
            return error;
        }

        bool Has(string name) => names.Contains(name);
        if (Has("adapter_config.json"))
        {
            return new ModelFormatException(folder, $"holds {Adapter}");
        }

        if (Has("model_index.json"))
        {
            return new ModelFormatException(folder, "holds a pipeline of several models (model_index.json, as for images), not a language model");
        }

        if (FindInside(folder) is { } inside)
        {
            return new ModelFormatException(folder, $"holds no {ConfigName}, but the folder {MessageText.Quote(inside)} in it does: give the path of that");
        }

        if (Has("params.json"))
        {
            return new ModelFormatException(folder, $"holds the makers' own format (params.json and weights), which is not read: take the files with Hugging Face names, or {Convert}");
        }

        return names switch
        {
            [] => new ModelFormatException(folder, $"is an empty folder; {Expected}"),
            _ when Has(SingleName) || Has(IndexName) =>
                new ModelFormatException(Path.Combine(folder, ConfigName), $"does not exist, but must lie beside the weights: fetch it from where they are from; {Expected}"),
            _ when names.FirstOrDefault(IsOtherWeights) is { } name =>
                new ModelFormatException(folder, $"has no {ConfigName}; it holds {MessageText.Quote(name)}{(IsWeightsName(name) ? ": fetch config.json too" : $", which is not read: {Convert}")}"),
            _ => new ModelFormatException(folder, $"has no {ConfigName}, so it is no model's folder; {Expected}"),
        };
    }

    // The folder of a model among many, a cache with its snapshots, a training run with its checkpoints.
    private static string? FindInside(string folder)
    {
        try
        {
            foreach (var around in new[] { folder, Path.Combine(folder, "snapshots") }.Where(Directory.Exists))
            {
                var found = Directory.EnumerateDirectories(around).Take(MostNames).Order(StringComparer.Ordinal).FirstOrDefault(inner => File.Exists(Path.Combine(inner, ConfigName)));
                if (found is not null)
                {
                    return Path.GetRelativePath(folder, found);
                }
            }
        }
        catch (Exception e) when (RegularFile.IsFileError(e))
        {
            // It only helps with a message.
        }

        return null;
    }

    private static bool TryList(string folder, out string[] names, out ModelFormatException error)
    {
        try
        {
            names = [.. Directory.EnumerateFileSystemEntries(folder).Take(MostNames).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal)];
            error = null!;
            return true;
        }
        catch (Exception e) when (RegularFile.IsFileError(e))
        {
            names = [];
            error = new ModelFormatException(folder, $"cannot be listed: {e.Message}", e);
            return false;
        }
    }

    private static ModelFormatException OtherFile(string path)
    {
        var kind = FileKind.Find(RegularFile.ReadStart(path, FileKind.Bytes));
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return new ModelFormatException(path, kind ?? (File.Exists(Path.Combine(folder, ConfigName))
            ? $"is one file of a model: give the folder that holds it, {folder}"
            : $"is a file; {Expected}, or the path of a .safetensors file beside its config.json"));
    }

    private static ModelFormatException Missing(string path)
    {
        var isName = path.Count(c => c == '/') == 1 && path.All(c => char.IsAsciiLetterOrDigit(c) || "/-_.".Contains(c)) && path[0] is not ('.' or '/') && path[^1] != '/';
        return new ModelFormatException(path, $"does not exist; {Expected}"
            + (isName ? $" (models are not looked up by name: fetch the folder first, for instance with 'hf download {path} --local-dir FOLDER')" : ""));
    }
}
