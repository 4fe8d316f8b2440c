using System.Buffers.Binary;
using System.Text;

namespace NativeSpec.Tests.Loading.PyTorch;

/// <summary>A tensor as <c>torch.save</c> describes it.</summary>
internal sealed record PtTestTensor(string Name, string StorageType, string Key, long Elements, long Offset, long[] Shape, long[] Strides, bool IsParameter = false)
{
    /// <summary>A contiguous F32 tensor that is all of its storage.</summary>
    public static PtTestTensor Float(string name, string key, params long[] shape) => Of("FloatStorage", name, key, shape);

    public static PtTestTensor Of(string storageType, string name, string key, params long[] shape)
    {
        var strides = new long[shape.Length];
        var packed = 1L;
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            strides[i] = packed;
            packed *= shape[i];
        }

        return new PtTestTensor(name, storageType, key, packed, 0, shape, strides);
    }
}

/// <summary>Writes pickles, an instruction at a time.</summary>
internal sealed class PickleWriter
{
    private readonly List<byte> _bytes = [];
    private byte _memo;

    public byte[] Bytes => [.. _bytes];

    public PickleWriter Op(params byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public PickleWriter Proto(byte version = 2) => Op(0x80, version);

    public byte[] Stop() => Op((byte)'.').Bytes;

    public PickleWriter Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        return Op((byte)'X').Op(BitConverter.GetBytes(utf8.Length)).Op(utf8);
    }

    public PickleWriter Number(long value) => value switch
    {
        >= 0 and < 256 => Op((byte)'K', (byte)value),
        >= 0 and < 65536 => Op((byte)'M').Op(BitConverter.GetBytes((ushort)value)),
        >= int.MinValue and <= int.MaxValue => Op((byte)'J').Op(BitConverter.GetBytes((int)value)),
        _ => Op(0x8a, 8).Op(BitConverter.GetBytes(value)),
    };

    public PickleWriter Global(string module, string name) => Op((byte)'c').Op(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public PickleWriter Put() => Op((byte)'q', _memo++);

    public PickleWriter Numbers(long[] values)
    {
        Op((byte)'(');
        Array.ForEach(values, value => Number(value));
        return Op((byte)'t');
    }

    public PickleWriter EmptyOrderedDict() => Global("collections", "OrderedDict").Op((byte)')', (byte)'R');

    public PickleWriter Storage(string type, string key, long elements) =>
        Op((byte)'(').Text("storage").Put().Global("torch", type).Text(key).Text("cpu").Number(elements).Op((byte)'t', (byte)'Q');

    public PickleWriter Tensor(PtTestTensor tensor)
    {
        if (tensor.IsParameter)
        {
            Global("torch._utils", "_rebuild_parameter").Op((byte)'(');
        }

        Global("torch._utils", "_rebuild_tensor_v2").Op((byte)'(').Storage(tensor.StorageType, tensor.Key, tensor.Elements).Number(tensor.Offset)
            .Numbers(tensor.Shape).Numbers(tensor.Strides).Op(0x89).EmptyOrderedDict().Op((byte)'t', (byte)'R');
        return tensor.IsParameter ? Op(0x88).EmptyOrderedDict().Op((byte)'t', (byte)'R') : this;
    }

    /// <summary>The pickle of a module's state dict.</summary>
    public static byte[] StateDict(params PtTestTensor[] tensors)
    {
        var pickle = new PickleWriter().Proto().EmptyOrderedDict().Put().Op((byte)'(');
        foreach (var tensor in tensors)
        {
            pickle.Text(tensor.Name).Tensor(tensor);
        }

        // What module.state_dict() leaves on the dict: _metadata = {'': {'version': 1}}.
        return pickle.Op((byte)'u', (byte)'}').Text("_metadata").EmptyOrderedDict().Text("").Op((byte)'}').Text("version").Number(1)
            .Op((byte)'s', (byte)'s', (byte)'s', (byte)'b').Stop();
    }
}

/// <summary>Zip files as <c>torch.save</c> writes them, and others.</summary>
internal static class PtTestFiles
{
    /// <summary>A file with this pickle and storages 0, 1, 2, … of these bytes.</summary>
    public static byte[] Archive(byte[] pickle, params byte[][] storages) => Zip([("m/data.pkl", pickle), ("m/byteorder", "little"u8.ToArray()),
        .. storages.Select((bytes, key) => ($"m/data/{key}", bytes)), ("m/version", "3\n"u8.ToArray())]);

    /// <summary>A state dict whose tensors are all of their storages, filled with 0, 1, 2, … as floats.</summary>
    public static byte[] Floats(params (string Name, long[] Shape)[] tensors) => Archive(
        PickleWriter.StateDict([.. tensors.Select((tensor, key) => PtTestTensor.Float(tensor.Name, $"{key}", tensor.Shape))]),
        [.. tensors.Select(tensor => Bytes([.. Enumerable.Range(0, (int)tensor.Shape.Aggregate(1L, (a, b) => a * b)).Select(i => (float)i)]))]);

    public static byte[] Bytes(params float[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    /// <summary>Stored entries, each beginning at a multiple of <paramref name="alignment"/>.</summary>
    public static byte[] Zip((string Name, byte[] Data)[] entries, int alignment = 64, bool is64 = true, ushort method = 0, ushort flags = 0x0800)
    {
        var file = new List<byte>();
        var directory = new List<byte>();
        foreach (var (name, data) in entries)
        {
            var utf8 = Encoding.UTF8.GetBytes(name);
            var padding = (alignment - ((file.Count + 34 + utf8.Length) % alignment)) % alignment;
            var offset = file.Count;
            file.AddRange([.. U32(0x04034b50), .. U16(20), .. U16(flags), .. U16(method), .. U32(0), .. U32(0), .. U32((uint)data.Length), .. U32((uint)data.Length),
                .. U16((ushort)utf8.Length), .. U16((ushort)(4 + padding)), .. utf8, .. "FB"u8, .. U16((ushort)padding), .. new byte[padding], .. data]);
            directory.AddRange([.. U32(0x02014b50), .. U16(20), .. U16(20), .. U16(flags), .. U16(method), .. U32(0), .. U32(0), .. U32((uint)data.Length), .. U32((uint)data.Length),
                .. U16((ushort)utf8.Length), .. new byte[12], .. U32((uint)offset), .. utf8]);
        }

        long begin = file.Count, count = entries.Length;
        file.AddRange(directory);
        if (is64)
        {
            file.AddRange([.. U32(0x06064b50), .. BitConverter.GetBytes(44L), .. U16(20), .. U16(45), .. U32(0), .. U32(0), .. BitConverter.GetBytes(count), .. BitConverter.GetBytes(count),
                .. BitConverter.GetBytes((long)directory.Count), .. BitConverter.GetBytes(begin),
                .. U32(0x07064b50), .. U32(0), .. BitConverter.GetBytes(begin + directory.Count), .. U32(1)]);
        }

        file.AddRange([.. U32(0x06054b50), .. U32(0), .. U16((ushort)count), .. U16((ushort)count), .. U32((uint)directory.Count), .. U32((uint)begin), .. U16(0)]);
        return [.. file];
    }

    /// <summary>The file with the 32-bit number at a place changed.</summary>
    public static byte[] Patch(byte[] file, int at, uint value)
    {
        var patched = (byte[])file.Clone();
        BinaryPrimitives.WriteUInt32LittleEndian(patched.AsSpan(at), value);
        return patched;
    }

    /// <summary>Where bytes first stand in a file, or the n-th time.</summary>
    public static int Find(byte[] file, ReadOnlySpan<byte> bytes, int nth = 0)
    {
        var at = -1;
        for (; nth >= 0; nth--)
        {
            at += 1 + file.AsSpan(at + 1).IndexOf(bytes);
        }

        return at;
    }

    private static byte[] U16(ushort value) => BitConverter.GetBytes(value);

    private static byte[] U32(uint value) => BitConverter.GetBytes(value);
}
