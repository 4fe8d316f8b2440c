using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Loading;

/// <summary>The tensors of a checkpoint: one safetensors file, or the shards of <c>model.safetensors.index.json</c> seen as one.</summary>
public sealed class Checkpoint : IDisposable
{
    private readonly Dictionary<string, TensorView> _tensors = [];
    private readonly Dictionary<string, SafetensorsFile> _holders = [];
    private readonly List<string> _notes = [];
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

    /// <summary>What the index says that is not so and does no harm unless the model needs it.</summary>
    internal IReadOnlyList<string> Notes => _notes;

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
    /// <param name="path">A folder that holds <c>model.safetensors</c> or <c>model.safetensors.index.json</c> (of both, the former counts, unless
    /// the index names it as a shard among others), a <c>.safetensors</c> file, or the index of shards that lie beside it.</param>
    /// <param name="limits">What the files may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">There is no checkpoint, a file is damaged, a shard is missing, or shards hold several copies of a
    /// tensor and the index does not say which counts.</exception>
    public static Checkpoint Open(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        if (!Directory.Exists(path))
        {
            return ModelFolder.IsIndexName(path)
                ? OpenShards(path, System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!, ShardIndex.Read(path, limits), limits)
                : OpenFile(path, path, limits);
        }

        var single = System.IO.Path.Combine(path, ModelFolder.SingleName);
        var index = System.IO.Path.Combine(path, ModelFolder.IndexName);
        if (System.IO.Path.Exists(single))
        {
            return OverlayOf(index, limits) is { } overlay ? OpenShards(path, path, overlay, limits) : OpenFile(path, single, limits);
        }

        return System.IO.Path.Exists(index) ? OpenShards(path, path, ShardIndex.Read(index, limits), limits) : throw ModelFolder.WithoutWeights(path);
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
    internal SafetensorsFile? HolderOf(string tensor) => _holders.GetValueOrDefault(tensor);

    // Beside the one file an index is left over from the shards that it was made of, unless it names that file among others.
    private static ShardIndex? OverlayOf(string index, LoadLimits limits)
    {
        try
        {
            return System.IO.Path.Exists(index) && ShardIndex.Read(index, limits) is { Shards.Count: > 1 } read && read.Shards.Contains(ModelFolder.SingleName) ? read : null;
        }
        catch (ModelFormatException)
        {
            return null;
        }
    }

    private static Checkpoint OpenFile(string path, string file, LoadLimits limits)
    {
        var checkpoint = new Checkpoint(path, [SafetensorsFile.Open(file, limits)]);
        foreach (var name in checkpoint.Files[0].Tensors.Keys)
        {
            checkpoint.Take(name, checkpoint.Files[0]);
        }

        return checkpoint;
    }

    private static Checkpoint OpenShards(string path, string folder, ShardIndex index, LoadLimits limits)
    {
        List<SafetensorsFile> files = [];
        var checkpoint = new Checkpoint(path, files);
        try
        {
            foreach (var shard in index.Shards)
            {
                var file = System.IO.Path.Combine(folder, shard);
                if (!System.IO.Path.Exists(file))
                {
                    throw new ModelFormatException(index.File, $"names shard '{shard}', which is not beside it; fetch all shards of the checkpoint");
                }

                files.Add(SafetensorsFile.Open(file, limits));
            }

            checkpoint.Merge(index);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Of a tensor that several shards hold, the index says which copy counts: edited checkpoints are published as a shard that lies
    /// over the old ones. One that the index does not know, or knows in a shard that has none, is taken from where it is, if that is one place.</summary>
    private void Merge(ShardIndex index)
    {
        var copies = Files.SelectMany(file => file.Tensors.Keys.Select(name => (Name: name, File: file))).ToLookup(copy => copy.Name, copy => copy.File);
        var shards = Files.Zip(index.Shards).ToDictionary(pair => pair.Second, pair => pair.First);
        foreach (var copy in copies)
        {
            var placed = index.WeightMap.TryGetValue(copy.Key, out var shard) && shards[shard].Tensors.ContainsKey(copy.Key) ? shards[shard] : null;
            if (placed is null && copy.Count() > 1)
            {
                throw new ModelFormatException(index.File, $"does not say which copy of tensor {MessageText.Quote(copy.Key)} counts: "
                    + $"{copy.First().Path} holds one and {copy.ElementAt(1).Path} another");
            }

            Take(copy.Key, placed ?? copy.First());
        }

        string[] stale = [.. index.WeightMap.Where(entry => !shards[entry.Value].Tensors.ContainsKey(entry.Key)).Select(entry => entry.Key)];
        if (stale.Length > 0)
        {
            _notes.Add($"{index.File}: places {stale.Length} tensors in shards that do not hold them, such as {MessageText.Quote(stale[0])} in {index.WeightMap[stale[0]]}");
        }
    }

    private void Take(string name, SafetensorsFile file)
    {
        _tensors.Add(name, file.Tensors[name]);
        _holders.Add(name, file);
    }
}
