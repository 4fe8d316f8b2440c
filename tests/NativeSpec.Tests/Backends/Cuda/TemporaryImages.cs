using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace NativeSpec.Tests.Backends.Cuda;

/// <summary>A folder of machine code for the time of a test.</summary>
internal sealed partial class TemporaryImages : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("nativespec-images");

    public string Path => _folder.FullName;

    public void Write(string name, byte[] bytes) => File.WriteAllBytes(System.IO.Path.Combine(Path, name), bytes);

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>Machine code of PTX's kernels as far as the emulated driver reads it: an ELF file for sm_90a whose sections say how many threads and bytes of arguments each kernel takes.</summary>
    public static byte[] MachineCode(string ptx)
    {
        const int HeaderBytes = 64, InfoBytes = 20, NameInHeader = 0, PlaceInHeader = 24, SizeInHeader = 32;
        var kernels = Entries().Matches(ptx).Select(match => (Name: match.Groups[1].Value, Bytes: Number(match.Groups[2]), Threads: Number(match.Groups[3]))).ToArray();
        var names = Encoding.ASCII.GetBytes("\0" + string.Concat(kernels.Select(kernel => $".nv.info.{kernel.Name}\0")));
        var image = new byte[(HeaderBytes * (2 + kernels.Length)) + names.Length + (InfoBytes * kernels.Length)];
        ((ReadOnlySpan<byte>)[0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0x33, 7]).CopyTo(image);
        Put16(18, 190); // NVIDIA CUDA
        Put64(40, HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(48), 0x5a0d5a);
        Put16(58, HeaderBytes);
        Put16(60, (ushort)(1 + kernels.Length));
        var (name, at) = (1, HeaderBytes * (2 + kernels.Length));
        Section(0, 0, names.Length);
        names.CopyTo(image, at);
        at += names.Length;
        for (var i = 0; i < kernels.Length; i++)
        {
            Section(1 + i, name, InfoBytes);
            name += ".nv.info.".Length + kernels[i].Name.Length + 1;
            ((ReadOnlySpan<byte>)[4, 5, 12, 0]).CopyTo(image.AsSpan(at)); // the most threads of a block, by 1 by 1
            BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(at + 4), kernels[i].Threads);
            (image[at + 8], image[at + 12]) = (1, 1);
            (image[at + 16], image[at + 17]) = (3, 0x19); // bytes of arguments
            Put16(at + 18, (ushort)kernels[i].Bytes);
            at += InfoBytes;
        }

        return image;

        void Section(int number, int its, int bytes)
        {
            var header = HeaderBytes * (1 + number);
            BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(header + NameInHeader), its);
            Put64(header + PlaceInHeader, at);
            Put64(header + SizeInHeader, bytes);
        }

        void Put16(int place, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(place), value);

        void Put64(int place, long value) => BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(place), value);

        static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);
    }

    /// <summary>A kernel: its name, the bytes of its one argument, the threads it was compiled for.</summary>
    [GeneratedRegex(@"\.entry (\w+)\([^)]*\[(\d+)\][^)]*\)\s*\.maxntid (\d+), 1, 1")]
    private static partial Regex Entries();
}
