using NativeSpec.Tensors;

namespace NativeSpec.Backends.Cpu;

/// <summary>How the managed kernels run.</summary>
internal sealed record CpuOptions
{
    /// <summary>The environment variable that sets <see cref="Threads"/> where the option is not given.</summary>
    public const string ThreadsVariable = "NATIVESPEC_THREADS";

    /// <summary>Threads that compute, the caller included; null takes NATIVESPEC_THREADS, or else what
    /// <see cref="ProcessorQuota.DefaultThreads"/> makes of what the process may use.</summary>
    public int? Threads { get; init; }

    /// <summary>Vector width; null takes the widest this machine runs.</summary>
    public SimdLevel? Level { get; init; }

    /// <summary>How keys and values are held.</summary>
    public KvFormat KvFormat { get; init; }

    /// <summary>Splits operations down to chunks of so little work, where they otherwise stay whole because a fork would cost more than it
    /// gains. It changes no result; tests use it so that small cases run on all threads.</summary>
    internal int? SmallestChunk { get; init; }

    /// <summary>The number of threads these options mean on this machine.</summary>
    /// <exception cref="ArgumentException">The option or the variable is not a number from 1 to 256.</exception>
    public int ResolveThreads()
    {
        if (Threads is { } threads)
        {
            return threads is >= 1 and <= 256
                ? threads
                : throw new ArgumentException($"{nameof(CpuOptions)}.{nameof(Threads)} is {threads}; expected 1 to 256");
        }

        var text = Environment.GetEnvironmentVariable(ThreadsVariable);
        if (string.IsNullOrWhiteSpace(text))
        {
            return ProcessorQuota.DefaultThreads(Environment.ProcessorCount, ProcessorQuota.Read());
        }

        return int.TryParse(text, out var set) && set is >= 1 and <= 256
            ? set
            : throw new ArgumentException($"the environment variable {ThreadsVariable} is '{text}'; expected a number from 1 to 256");
    }

    /// <summary>The level these options mean on this machine.</summary>
    /// <exception cref="ArgumentException">This machine does not run the level.</exception>
    public SimdLevel ResolveLevel()
    {
        var level = Level ?? SimdLevels.Best;
        return SimdLevels.Available.Contains(level)
            ? level
            : throw new ArgumentException($"{nameof(CpuOptions)}.{nameof(Level)} is {level}; this machine runs {string.Join(", ", SimdLevels.Available)}");
    }
}
