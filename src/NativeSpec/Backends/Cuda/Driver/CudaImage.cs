using System.IO.Compression;

namespace NativeSpec.Backends.Cuda.Driver;

/// <summary>The kernels as PTX, which any driver that is new enough compiles for its device: kernels/cuda/ptx, compressed, in this assembly.</summary>
internal static class CudaImage
{
    /// <summary>The PTX that a device takes, ending with a zero: for sm_90a where the device is one of those (its products of four warps are for it
    /// alone), else the newest that is not newer than the device.</summary>
    /// <param name="capability">10 · major + minor.</param>
    public static byte[] For(int capability)
    {
        var name = capability == 90 ? "sm_90a" : capability > 90 ? "sm_90" : "sm_80";
        using var packed = typeof(CudaImage).Assembly.GetManifestResourceStream($"NativeSpec.Cuda.{name}.ptx.br")
            ?? throw new InvalidOperationException($"this assembly was built without the CUDA kernels for {name}");
        using var brotli = new BrotliStream(packed, CompressionMode.Decompress);
        using var text = new MemoryStream();
        brotli.CopyTo(text);
        text.WriteByte(0);
        return text.ToArray();
    }
}
