using System.Runtime.InteropServices;
using NativeSpec.Backends.Cpu;
using NativeSpec.Tensors;

namespace NativeSpec.Backends.Native;

/// <summary>How the native kernels run.</summary>
internal sealed record NativeOptions
{
    /// <summary>The environment variable that sets <see cref="Level"/> where the option is not given.</summary>
    public const string LevelVariable = "NATIVESPEC_NATIVE_LEVEL";

    /// <summary>See <see cref="CpuOptions.Threads"/>.</summary>
    public int? Threads { get; init; }

    /// <summary>Instruction set, one of <see cref="AvailableLevels"/>; null takes NATIVESPEC_NATIVE_LEVEL, or else the fastest that leaves
    /// activations in F32 (avx512bf16 rounds them, and is taken only where it is asked for). Results agree bit for bit within a level and within a
    /// tolerance across levels.</summary>
    public string? Level { get; init; }

    /// <summary>How matmul weights are held. Packed formats are made when a weight is imported; embeddings are looked up in the file's
    /// type always.</summary>
    public WeightFormat Weights { get; init; }

    /// <summary>How keys and values are held.</summary>
    public KvFormat KvFormat { get; init; }

    /// <summary>See <see cref="CpuOptions.SmallestChunk"/>.</summary>
    internal int? SmallestChunk { get; init; }

    /// <summary>The instruction sets that the native library has and this processor runs, slowest first; empty without a library.</summary>
    public static IReadOnlyList<string> AvailableLevels
        => NativeLibraryLoader.WhyMissing is null ? [.. Levels().Where(level => level.Runs).Select(level => level.Name)] : [];

    /// <summary>The number under which the library knows the level.</summary>
    /// <exception cref="ArgumentException">This machine does not run the level.</exception>
    internal int ResolveLevel()
    {
        var asked = Level ?? Environment.GetEnvironmentVariable(LevelVariable);
        if (string.IsNullOrWhiteSpace(asked))
        {
            return NativeMethods.GetDefaultLevel();
        }

        foreach (var (number, name, runs) in Levels())
        {
            if (name == asked && runs)
            {
                return number;
            }
        }

        var source = Level is null ? $"the environment variable {LevelVariable}" : "the level of the native kernels (EngineOptions.NativeLevel, --level)";
        throw new ArgumentException($"{source} is '{asked}'; this machine runs {string.Join(", ", AvailableLevels)}");
    }

    /// <summary>The level that is taken where nobody asks for one; null without a library.</summary>
    internal static string? ExpectedLevel => NativeLibraryLoader.WhyMissing is null ? LevelName(NativeMethods.GetDefaultLevel()) : null;

    internal static unsafe string LevelName(int level) => Marshal.PtrToStringUTF8((nint)NativeMethods.GetLevelName(level)) ?? "";

    private static IEnumerable<(int Number, string Name, bool Runs)> Levels()
    {
        for (var level = 0; LevelName(level) is { Length: > 0 } name; level++)
        {
            yield return (level, name, NativeMethods.LevelRuns(level) != 0);
        }
    }
}
