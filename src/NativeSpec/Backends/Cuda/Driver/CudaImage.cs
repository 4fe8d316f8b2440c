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

    /// <summary>A file that is not there, or cannot be read, is none: there is PTX.</summary>
    private static byte[]? TryRead(string file)
    {
        try
        {
            return File.Exists(file) ? File.ReadAllBytes(file) : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string ReadDigest()
    {
        using var text = new StreamReader(Resource("sources.sha256") ?? throw new InvalidOperationException("this assembly was built without the CUDA kernels"));
        return text.ReadToEnd()[..DigestCharacters];
    }

    private static Stream? Resource(string name) => typeof(CudaImage).Assembly.GetManifestResourceStream($"NativeSpec.Cuda.{name}");
}
