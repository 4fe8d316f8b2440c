using System.Buffers.Binary;
using System.IO.Compression;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>The kernels as the driver takes them: as PTX (kernels/cuda/ptx, compressed, in this assembly), which any driver that is new enough compiles for its device, or as machine code in a
/// file beside the program, where NVIDIA's assembler was there when it was built (native/cubins.sh).</summary>
/// <param name="Name">Where it is from, for people: <c>PTX for sm_90</c>, <c>machine code for sm_90a</c>.</param>
/// <param name="Bytes">The image; PTX ends with a zero.</param>
internal sealed record CudaImage(string Name, byte[] Bytes)
{
    /// <summary>The folder of machine code, beside the program.</summary>
    public const string Folder = "cuda";

    private const int DigestCharacters = 16;

    /// <summary>Which kernels these are: what the names of files of machine code end with, so that none of other kernels is taken.</summary>
    public static string Digest { get; } = ReadDigest();

    /// <summary>What a device takes, the best first: machine code where there is some for it, and PTX.</summary>
    /// <param name="capability">10 · major + minor.</param>
    /// <param name="folder">Where machine code lies.</param>
    public static IEnumerable<CudaImage> For(int capability, string folder)
    {
        // Machine code for sm_80 runs on parts of that major number; that for sm_90a on this part alone.
        var part = capability == 90 ? "sm_90a" : capability < 90 ? "sm_80" : null;
        if (part is not null && TryRead(Path.Combine(folder, FileName(part))) is { } bytes)
        {
            yield return new CudaImage($"machine code for {part}", bytes);
        }

        yield return Ptx(capability);
    }

    /// <summary>The PTX that a device takes: for sm_90a where the device is one of those (its products of four warps are for it alone), else the newest that is not newer than the device.</summary>
    /// <param name="capability">10 · major + minor.</param>
    public static CudaImage Ptx(int capability)
    {
        var name = capability == 90 ? "sm_90a" : capability > 90 ? "sm_90" : "sm_80";
        using var packed = Resource($"{name}.ptx.br") ?? throw new InvalidOperationException($"this assembly was built without the CUDA kernels for {name}");
        using var brotli = new BrotliStream(packed, CompressionMode.Decompress);
        using var text = new MemoryStream();
        brotli.CopyTo(text);
        text.WriteByte(0);
        return new CudaImage($"PTX for {name}", text.ToArray());
    }

    /// <summary>The file of a part's machine code: <c>sm_90a-1f0c….cubin</c>.</summary>
    public static string FileName(string part) => $"{part}-{Digest}.cubin";

    /// <summary>A file that is not there, cannot be read or was cut off is none: there is PTX.</summary>
    private static byte[]? TryRead(string file)
    {
        try
        {
            return File.Exists(file) && File.ReadAllBytes(file) is var bytes && IsWhole(bytes) ? bytes : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Whether a file is ELF64 and has all that its headers speak of. A driver is told where an image begins and not how long it is, and would read past the end of
    /// one that was cut off.</summary>
    private static bool IsWhole(ReadOnlySpan<byte> file)
    {
        const int HeaderBytes = 64, SectionBytes = 64, WithoutBytes = 8;
        if (file.Length < HeaderBytes || !file.StartsWith("\u007fELF\u0002"u8) || BinaryPrimitives.ReadUInt16LittleEndian(file[58..]) != SectionBytes)
        {
            return false;
        }

        var (segments, sections) = (BinaryPrimitives.ReadUInt64LittleEndian(file[32..]), BinaryPrimitives.ReadUInt64LittleEndian(file[40..]));
        var segmentBytes = (ulong)BinaryPrimitives.ReadUInt16LittleEndian(file[54..]) * BinaryPrimitives.ReadUInt16LittleEndian(file[56..]);
        var sectionCount = BinaryPrimitives.ReadUInt16LittleEndian(file[60..]);
        var isWhole = Has(file, segments, segmentBytes) && Has(file, sections, (ulong)(sectionCount * SectionBytes));
        for (var i = 0; isWhole && i < sectionCount; i++)
        {
            var section = file.Slice((int)sections + (i * SectionBytes), SectionBytes);
            isWhole = BinaryPrimitives.ReadUInt32LittleEndian(section[4..]) == WithoutBytes
                || Has(file, BinaryPrimitives.ReadUInt64LittleEndian(section[24..]), BinaryPrimitives.ReadUInt64LittleEndian(section[32..]));
        }

        return isWhole;

        static bool Has(ReadOnlySpan<byte> file, ulong place, ulong bytes) => place <= (ulong)file.Length && bytes <= (ulong)file.Length - place;
    }

    private static string ReadDigest()
    {
        using var text = new StreamReader(Resource("sources.sha256") ?? throw new InvalidOperationException("this assembly was built without the CUDA kernels"));
        return text.ReadToEnd()[..DigestCharacters];
    }

    private static Stream? Resource(string name) => typeof(CudaImage).Assembly.GetManifestResourceStream($"NativeSpec.Cuda.{name}");
}
