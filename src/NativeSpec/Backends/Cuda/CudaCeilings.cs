using NativeSpec.Backends.Cuda.Driver;

namespace NativeSpec.Backends.Cuda;

/// <summary>What a device does at most, which other kernels are held against.</summary>
/// <param name="ReadBytes">Bytes that it reads in a second.</param>
/// <param name="MultiplyAdds">Multiply-adds of BF16 in a second by <c>mma.sync</c> on what lies in registers. Parts with products of four warps (<c>wgmma</c>) make more of them.</param>
internal sealed unsafe record CudaCeilings(double ReadBytes, double MultiplyAdds)
{
    /// <summary>Threads of a block.</summary>
    public const int Threads = 256;

    private const int Launches = 4;
    private const int Rounds = 512;
    private const int MultiplyAddsOfARound = 8 * 16 * 8 * 16; // of a warp

    /// <summary>Measures, by the device's own events: less than a tenth of a second on a card.</summary>
    public static CudaCeilings Measure(CudaBackend backend)
    {
        ArgumentNullException.ThrowIfNull(backend);
        using var turn = backend.Context.Enter();
        var bytes = Math.Min(1L << 29, turn.MemoryInfo().Free / 4) / 16 * 16; // more than a second-level cache holds, where there is so much
        var blocks = 2 * backend.Device.Multiprocessors;
        using CudaResource data = turn.Allocate(bytes), folded = turn.Allocate(4L * blocks * Threads * sizeof(uint));
        turn.Clear(data.Handle, bytes);
        // Random numbers about 1: products of zeros take a card less power, and so less time.
        var random = new Random(41);
        var numbers = new ushort[Math.Min(bytes / sizeof(ushort), (long)blocks * Threads * 8)];
        for (var i = 0; i < numbers.Length; i++)
        {
            numbers[i] = (ushort)(0x3f00 | (random.Next() & 0x80ff));
        }

        fixed (ushort* first = numbers)
        {
            var from = (nint)first;
            backend.Staging(turn).Upload(turn, data.Handle, numbers.Length * sizeof(ushort), (to, at, count) => Buffer.MemoryCopy((byte*)from + at, to, count, count));
            turn.Synchronize("random numbers are uploaded");
        }

        var arguments = new CeilingArguments { Data = data.Handle, Folded = folded.Handle, Vectors = bytes / 16, Rounds = Rounds };
        var launch = new KernelLaunch(backend.Kernels["read_bytes"], 4 * blocks, 1, Threads, 0, (nint)(&arguments), IsDependent: false);
        var reading = turn.SecondsOf(launch, Launches);
        arguments.Vectors = numbers.Length / 8;
        var multiplying = turn.SecondsOf(launch with { Kernel = backend.Kernels["multiply_tiles"], GridX = blocks }, Launches);
        return new CudaCeilings(bytes / reading, (double)MultiplyAddsOfARound * Rounds * blocks * (Threads / 32) / multiplying);
    }
}
