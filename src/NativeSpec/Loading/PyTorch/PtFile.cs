using System.Text;
using Microsoft.Win32.SafeHandles;
using NativeSpec.Tensors;

namespace NativeSpec.Loading.PyTorch;

/// <summary>A PyTorch file (<c>torch.save</c> of a plain state dict, since PyTorch 1.6), memory-mapped: its tensors are views of the file
/// itself. Nothing in it is run: see <see cref="PickleReader"/>.
/// <para>The file is a zip of stored entries under one folder: <c>data.pkl</c> says which tensors there are, <c>data/KEY</c> holds the
/// storage KEY that they look into, <c>byteorder</c> says <c>little</c>. Several tensors may share one storage. A tensor that is not
/// contiguous (a transpose, a slice) or not aligned is copied; see <see cref="CopiedBytes"/>.</para>
/// <para>Source of the format: the notes on serialization in PyTorch's documentation.</para></summary>
public sealed class PtFile : IDisposable
{
    private const string PickleName = "/data.pkl";

    private readonly MappedTensors _tensors;

    private PtFile(string path, MappedTensors tensors) => (Path, _tensors) = (path, tensors);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file.</summary>
    public long Length => _tensors.FileLength;

    /// <summary>Bytes of memory taken for tensors that do not lie contiguous and aligned in the file; 0 for state dicts as modules make
    /// them.</summary>
    public long CopiedBytes => _tensors.CopiedBytes;

    /// <summary>The tensors by name. A view is valid until this file is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The file is disposed.</exception>
    public IReadOnlyDictionary<string, TensorView> Tensors => _tensors.Views;

    /// <summary>Address of the first byte of the mapping.</summary>
    internal nint MapStart => _tensors.MapStart;

    /// <summary>Opens a file and checks everything that it says of its tensors.</summary>
    /// <param name="path">A regular file, or a link to one.</param>
    /// <param name="limits">What the file may ask for; <see cref="LoadLimits.Default"/> when null.</param>
    /// <exception cref="ModelFormatException">The file cannot be opened, is not a zip of stored entries, or holds anything but tensors by
    /// name.</exception>
    public static PtFile Open(string path, LoadLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        limits ??= LoadLimits.Default;
        var handle = RegularFile.Open(path, out var length);
        MappedFile? map = null;
        try
        {
            RefuseOtherFormats(path, handle, length);
            var entries = ZipDirectory.Read(path, handle, length, limits);
            var folder = FindFolder(path, entries);
            RequireLittleEndian(path, handle, entries, folder);
            var pickle = ReadEntry(path, handle, entries[folder + PickleName], limits.MaxConfigBytes);
            var tensors = Bind(path, PickleReader.Read(path, pickle, limits), entries, folder, limits);
            map = MappedFile.Map(path, handle, length);
            // Views of one storage can be many; what is copied of it is not more than the file itself, or a small file could ask for much memory.
            var mostCopied = Math.Min(limits.MaxCopiedBytes, Math.Max(map.Length, 1 << 20));
            return new PtFile(path, new MappedTensors(path, map, tensors, mostCopied));
        }
        catch
        {
            map?.Dispose();
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Releases the mapping. Views of its tensors must not be used any more.</summary>
    public void Dispose() => _tensors.Dispose();

    private static void RefuseOtherFormats(string path, SafeFileHandle handle, long length)
    {
        var start = new byte[Math.Min(length, FileKind.Bytes)];
        RegularFile.ReadExactly(path, handle, start, 0);
        ReadOnlySpan<byte> head = start.AsSpan(0, Math.Min(start.Length, 4));
        if (head.Length >= 2 && head[0] == PickleOpcodes.Proto && head[1] is >= 2 and <= 5)
        {
            throw new ModelFormatException(path, "is in PyTorch's legacy format (a bare pickle, before version 1.6), which is not read: "
                + "load it with a current torch and save it again, or as safetensors");
        }

        if (!head.SequenceEqual("PK\x03\x04"u8))
        {
            throw new ModelFormatException(path, FileKind.Find(start) ?? "does not begin as a zip file; expected a file that torch.save has written");
        }
    }

    /// <summary>The one folder that everything lies in; its name is the maker's choice.</summary>
    private static string FindFolder(string path, Dictionary<string, ZipEntry> entries)
    {
        string[] pickles = [.. entries.Keys.Where(name =>
            name.EndsWith(PickleName, StringComparison.Ordinal) && name.IndexOf('/') == name.Length - PickleName.Length)];
        if (pickles.Length != 1)
        {
            throw new ModelFormatException(path, $"has {pickles.Length} entries FOLDER/data.pkl; a file of torch.save has one");
        }

        var folder = pickles[0][..^PickleName.Length];
        if (entries.Keys.FirstOrDefault(name => !name.StartsWith(folder + "/", StringComparison.Ordinal)) is { } stray)
        {
            throw new ModelFormatException(path, $"zip entry {MessageText.Quote(stray)} lies outside the folder "
                + $"{MessageText.Quote(folder)} of data.pkl");
        }

        return entries.ContainsKey($"{folder}/constants.pkl")
            ? throw new ModelFormatException(path, "is a TorchScript program (it has constants.pkl), not a state dict: save "
                + "module.state_dict()")
            : folder;
    }

    private static void RequireLittleEndian(string path, SafeFileHandle handle, Dictionary<string, ZipEntry> entries, string folder)
    {
        if (!entries.TryGetValue($"{folder}/byteorder", out var entry))
        {
            return; // written by a version before 2.1, on a machine that was little-endian as good as certainly
        }

        var order = ReadEntry(path, handle, entry, 16);
        if (!order.AsSpan().SequenceEqual("little"u8))
        {
            throw new ModelFormatException(path, $"its byteorder is {MessageText.Quote(Encoding.Latin1.GetString(order))}; only "
                + "'little' is read");
        }
    }

    private static byte[] ReadEntry(string path, SafeFileHandle handle, ZipEntry entry, int maxBytes)
    {
        if (entry.Length > maxBytes)
        {
            throw new ModelFormatException(path, $"zip entry {MessageText.Quote(entry.Name)} holds {entry.Length} bytes; at most "
                + $"{maxBytes} are read");
        }

        var bytes = new byte[entry.Length];
        RegularFile.ReadExactly(path, handle, bytes, entry.DataOffset);
        return bytes;
    }

    private static List<MappedTensor> Bind(string path, object root, Dictionary<string, ZipEntry> entries, string folder, LoadLimits limits)
    {
        if (root is not PickledDict dict)
        {
            throw new ModelFormatException(path, $"holds {PickledValues.Describe(root)}; expected a state dict (tensors by name)");
        }

        if (dict.Items.Count > limits.MaxTensors)
        {
            throw new ModelFormatException(path, $"holds {dict.Items.Count} tensors; at most {limits.MaxTensors} are read "
                + "(LoadLimits.MaxTensors)");
        }

        var tensors = new List<MappedTensor>(dict.Items.Count);
        var storages = new Dictionary<string, PickledStorage>();
        foreach (var (name, value) in dict.Items)
        {
            if (name.Length == 0 || value is not PickledTensor tensor)
            {
                throw new ModelFormatException(path, $"entry {MessageText.Quote(name)} of the state dict is "
                    + $"{PickledValues.Describe(value)}; "
                    + "expected named tensors only: save the state dict itself, not what holds it");
            }

            var storage = tensor.Storage;
            if (!storages.TryAdd(storage.Key, storage) && storages[storage.Key] != storage)
            {
                throw new ModelFormatException(path, $"storage {MessageText.Quote(storage.Key)} is {storages[storage.Key].Elements} "
                    + $"{storages[storage.Key].DType} "
                    + $"and, for tensor {MessageText.Quote(name)}, {storage.Elements} {storage.DType}");
            }

            tensors.Add(PtTensor.Bind(path, name, tensor, entries.TryGetValue($"{folder}/data/{storage.Key}", out var entry) ? entry : null));
        }

        return tensors;
    }
}
