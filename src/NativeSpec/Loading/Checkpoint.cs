using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Loading;

/// <summary>The tensors of a checkpoint: one safetensors file, or the shards of <c>model.safetensors.index.json</c> seen as one.</summary>
public sealed class Checkpoint : IDisposable
{
    private const string SingleName = "model.safetensors";
    private const string IndexName = "model.safetensors.index.json";

    private readonly Dictionary<string, TensorView> _tensors = [];
    private bool _disposed;

    private Checkpoint(string path, IReadOnlyList<SafetensorsFile> files)
    {
        Path = path;
        Files = files;
    }

    /// <summary>The folder or file that was opened.</summary>
    public string Path { get; }

    /// <summary>The file, or the shards in the order of their names.</summary>
    public IReadOnlyList<SafetensorsFile> Files { get; }

    /// <summary>The tensors of all files by name. A view is valid until the checkpoint is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The checkpoint is disposed.</exception>
    public IReadOnlyDictionary<string, TensorView> Tensors
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _tensors;
        }
    }

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">A folder that holds <c>model.safetensors</c> or <c>model.safetensors.index.json</c>, or a <c>.safetensors</c> file.</param>
    /// <param name="limits">What the files may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">There is no checkpoint, a file is damaged, or the index and its shards do not agree.</exception>
    public static Checkpoint Open(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        if (!Directory.Exists(path))
        {
            return OpenFile(path, path, limits);
        }

        var single = System.IO.Path.Combine(path, SingleName);
        if (System.IO.Path.Exists(single))
        {
            return OpenFile(path, single, limits);
        }

        var index = System.IO.Path.Combine(path, IndexName);
        return System.IO.Path.Exists(index) ? OpenShards(path, ShardIndex.Read(index, limits), limits) : throw NothingIn(path);
    }

    /// <summary>Releases all files. Views of their tensors must not be used any more.</summary>
    public void Dispose()
    {
        _disposed = true;
        foreach (var file in Files)
        {
            file.Dispose();
        }
    }

    /// <summary>The file that holds a tensor, for messages; the checkpoint itself when none does.</summary>
    internal string FileOf(string tensor) => HolderOf(tensor)?.Path ?? Path;

    /// <summary>The file that holds a tensor, or null.</summary>
    internal SafetensorsFile? HolderOf(string tensor) => Files.FirstOrDefault(file => file.Tensors.ContainsKey(tensor));

    private static Checkpoint OpenFile(string path, string file, LoadLimits limits)
    {
        var checkpoint = new Checkpoint(path, [SafetensorsFile.Open(file, limits)]);
        checkpoint.Merge(checkpoint.Files[0]);
        return checkpoint;
    }

    private static Checkpoint OpenShards(string path, ShardIndex index, LoadLimits limits)
    {
        List<SafetensorsFile> files = [];
        var checkpoint = new Checkpoint(path, files);
        try
        {
            foreach (var shard in index.Shards)
            {
                var file = System.IO.Path.Combine(path, shard);
                if (!System.IO.Path.Exists(file))
                {
                    throw new ModelFormatException(index.File, $"names shard '{shard}', which is not beside it; fetch all shards of the checkpoint");
                }

                files.Add(SafetensorsFile.Open(file, limits));
                checkpoint.Merge(files[^1]);
            }

            checkpoint.CheckAgainst(index);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    private void Merge(SafetensorsFile file)
    {
        foreach (var (name, view) in file.Tensors)
        {
            if (!_tensors.TryAdd(name, view))
            {
                throw new ModelFormatException(file.Path, $"tensor {MessageText.Quote(name)} is also in {FileOf(name)}; a tensor belongs to one shard");
            }
        }
    }

    private void CheckAgainst(ShardIndex index)
    {
        var files = Files.Zip(index.Shards).ToDictionary(pair => pair.Second, pair => pair.First);
        foreach (var (name, shard) in index.WeightMap)
        {
            var file = files[shard];
            if (!file.Tensors.ContainsKey(name))
            {
                var found = file.Tensors.Count == 0 ? "which holds no tensor at all" : "which does not hold it";
                throw new ModelFormatException(index.File, $"places tensor {MessageText.Quote(name)} in shard '{shard}', {found}");
            }
        }
    }

    private static ModelFormatException NothingIn(string folder)
    {
        string? other;
        try
        {
            other = Directory.EnumerateFiles(folder).Select(file => System.IO.Path.GetFileName(file)).Order(StringComparer.Ordinal)
                .FirstOrDefault(name => System.IO.Path.GetExtension(name) is ".safetensors" or ".gguf" or ".bin" or ".pt" or ".pth");
        }
        catch (Exception e) when (RegularFile.IsFileError(e))
        {
            return new ModelFormatException(folder, $"cannot be listed: {e.Message}", e);
        }

        var advice = other switch
        {
            null => "",
            _ when other.EndsWith(".safetensors", StringComparison.Ordinal) =>
                $"; it holds {MessageText.Quote(other)}: rename it, or give the path of the file itself",
            _ => $"; it holds {MessageText.Quote(other)}, which is not read: convert the weights to safetensors with Hugging Face names "
                + "(in transformers: save_pretrained(folder, safe_serialization=True))",
        };
        return new ModelFormatException(folder, $"has neither {SingleName} nor {IndexName}{advice}");
    }
}
