using NativeSpec.Backends;
using NativeSpec.Backends.Native;
using NativeSpec.Engine.Building;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;
using NativeSpec.Loading.Safetensors;
using NativeSpec.Tensors;

namespace NativeSpec.Engine;

/// <summary>Writes a checkpoint with packed weights, so that loading need not pack them: they are used where they lie in the file. The
/// numbers are those of packing while loading, bit for bit.</summary>
/// <remarks>The matrices that are multiplied with become U8 panels under their old names; the embedding, the norms, biases and whatever else
/// the checkpoint holds stay as they are. docs/quantized-weights.md describes the files.</remarks>
public static class CheckpointQuantizer
{
    private const string WeightsFile = "model.safetensors";
    private const long MostCopied = 256 << 20; // bytes of a file that goes along; tokenizers are far smaller

    // What stands beside weights and is no weights: configuration, tokenizer, chat template.
    private static readonly string[] CopiedExtensions = [".json", ".jinja", ".model", ".tiktoken", ".txt"];

    /// <summary>Packs a checkpoint.</summary>
    /// <param name="path">The checkpoint's folder.</param>
    /// <param name="output">The folder to write; it must not exist, or be empty, and appears when it is whole.</param>
    /// <param name="format">Q8 or Q4.</param>
    /// <param name="options">Threads and limits; null for the defaults.</param>
    /// <param name="progress">Told the share that is done, from 0 to 1; null tells nobody.</param>
    /// <param name="cancellationToken">Looked at before every matrix; nothing is left behind.</param>
    /// <exception cref="ModelFormatException">The folder is not a model this engine runs.</exception>
    /// <exception cref="ArgumentException">The checkpoint is packed already, or the format is none.</exception>
    /// <exception cref="IOException">The output cannot be written, or is there already.</exception>
    /// <exception cref="InvalidOperationException">There is no native library, which does the packing.</exception>
    public static void Write(
        string path, string output, WeightFormat format, EngineOptions? options = null, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(output);
        if (format is not (WeightFormat.Q8 or WeightFormat.Q4))
        {
            throw new ArgumentException($"the format is {format}; expected Q8 or Q4", nameof(format));
        }

        options ??= new EngineOptions();
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        if (File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()))
        {
            throw new IOException($"'{output}' is there already; name a folder that is not, or an empty one");
        }

        using var checkpoint = LlamaCheckpoint.Open(path, options.Limits);
        if (checkpoint.Format != WeightFormat.AsStored)
        {
            throw new ArgumentException($"'{path}' holds {checkpoint.Format} weights already; pack the checkpoint that they were made from", nameof(path));
        }

        using var backend = (NativeBackend)EngineBackend.Create(new EngineOptions { Backend = BackendKind.Native, Threads = options.Threads });
        var temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(temporary);
            var folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
            CopyCompanions(folder, temporary);
            SafetensorsWriter.Write(
                Path.Combine(temporary, WeightsFile), Tensors(checkpoint, backend, format, progress, cancellationToken), PackedMetadata.Of(format));
            using (LlamaCheckpoint.Open(temporary, options.Limits))
            {
                // What was written opens as a checkpoint.
            }

            if (Directory.Exists(target))
            {
                Directory.Delete(target); // empty, as was seen above
            }

            Directory.Move(temporary, target);
        }
        catch
        {
            if (Directory.Exists(temporary))
            {
                Directory.Delete(temporary, recursive: true);
            }

            throw;
        }
    }

    /// <summary>The tensors of the new file: packed ones in the order in which matmuls stack them, then the rest.</summary>
    private static List<SafetensorsTensor> Tensors(
        LlamaCheckpoint checkpoint, NativeBackend backend, WeightFormat format, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var matrices = checkpoint.Tensors.Layers.SelectMany(layer => layer.Matrices).Append(checkpoint.Tensors.LmHead).ToArray();
        var all = matrices.Sum(matrix => matrix.ByteLength);
        var done = 0L;
        List<SafetensorsTensor> tensors = [];
        foreach (var matrix in matrices)
        {
            // A tied output matrix is the embedding, which stays; its packed copy gets the name that an untied one has.
            var name = ReferenceEquals(matrix, checkpoint.Tensors.LmHead) ? "lm_head.weight" : matrix.Name;
            tensors.Add(SafetensorsTensor.Packed(name, format, matrix.Shape[0], matrix.Shape[1], stream =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var panels = new NativeBuffer<byte>(PackedWeights.Bytes(matrix.Shape[0], matrix.Shape[1], format));
                backend.Pack(matrix, format, panels);
                panels.CopyTo(stream);
                done += matrix.ByteLength;
                progress?.Report((double)done / all);
            }));
        }

        var packed = tensors.Select(tensor => tensor.Name).ToHashSet();
        var stored = checkpoint.Checkpoint.Tensors.Values.Append(checkpoint.Tensors.Embedding).DistinctBy(view => view.Name);
        tensors.AddRange(stored.Where(view => !packed.Contains(view.Name) && !HoldsParts(view)).Select(view => SafetensorsTensor.FromView(view)));
        return tensors;

        // Stacked matrices are packed part by part, under the parts' names.
        bool HoldsParts(TensorView view) => matrices.Any(matrix => matrix.Name != view.Name && matrix.Data >= view.Data && matrix.Data < view.Data + (nint)view.ByteLength);
    }

    private static void CopyCompanions(string source, string target)
    {
        foreach (var file in new DirectoryInfo(source).EnumerateFiles())
        {
            // Pipes, which would keep a copy waiting, have no length.
            if (CopiedExtensions.Contains(file.Extension) && !file.Name.EndsWith(".safetensors.index.json", StringComparison.Ordinal) && file.Length is > 0 and <= MostCopied)
            {
                file.CopyTo(Path.Combine(target, file.Name));
            }
        }
    }
}
