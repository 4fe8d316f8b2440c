using System.Runtime.InteropServices;
using System.Security.Cryptography;
using NativeSpec.Backends;
using NativeSpec.Loading;
using NativeSpec.Loading.Llama;

namespace NativeSpec.Engine.Profiles;

/// <summary>Tells for which machine and model a profile was measured.</summary>
internal static class ProfileKey
{
    private const int SampleBytes = 4096;

    /// <summary>Backend, processor, shapes and size of the weights, and a digest of some of them, because acceptance is a model's own.</summary>
    public static string Of(LlamaCheckpoint checkpoint, IBackend backend)
    {
        var c = checkpoint.Config;
        return $"{backend.Description}; {Processor()}; hidden {c.HiddenSize}, intermediate {c.IntermediateSize}, layers {c.NumHiddenLayers}, "
            + $"heads {c.NumAttentionHeads}/{c.NumKeyValueHeads} of {c.HeadDim}, vocabulary {c.VocabSize}; {checkpoint.WeightBytes} bytes {Digest(checkpoint.Tensors)}";
    }

    /// <summary>The file name that belongs to a key.</summary>
    public static string FileName(string key) => $"{Hex(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(key)))}.json";

    private static unsafe string Digest(LlamaTensors tensors)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var tensor in new[] { tensors.Embedding, tensors.Layers[^1].DownProj, tensors.FinalNorm, tensors.LmHead })
        {
            hash.AppendData(new ReadOnlySpan<byte>((void*)tensor.Data, (int)Math.Min(tensor.ByteLength, SampleBytes)));
        }

        return Hex(hash.GetHashAndReset());
    }

    private static string Hex(byte[] hash) => Convert.ToHexStringLower(hash.AsSpan(0, 12));

    /// <summary>The processor, as its maker calls it.</summary>
    internal static string Processor()
    {
        try
        {
            const string Field = "model name";
            var line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(text => text.StartsWith(Field, StringComparison.Ordinal)) : null;
            return line is not null ? line[(line.IndexOf(':') + 1)..].Trim() : Fallback();
        }
        catch (Exception e) when (RegularFile.IsFileError(e))
        {
            return Fallback();
        }

        static string Fallback() => Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? $"{RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} processors";
    }
}
