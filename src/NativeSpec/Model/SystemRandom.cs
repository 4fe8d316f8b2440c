using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace NativeSpec.Model;

/// <summary>Random numbers of the operating system's generator, which nobody can foresee. .NET's own class for them goes by OpenSSL on Linux, which a program that is compiled ahead of time
/// need not find where it runs; a <see cref="Guid"/> has the same generator's bytes from the kernel itself, but for six bits of its eighth and ninth byte.</summary>
internal static class SystemRandom
{
    /// <summary>64 random bits.</summary>
    public static ulong Next()
    {
        var guid = Guid.NewGuid();
        var bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<Guid>(in guid));
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes) | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) << 32);
    }

    /// <summary>Fills a span.</summary>
    public static void Fill(Span<ulong> numbers)
    {
        foreach (ref var number in numbers)
        {
            number = Next();
        }
    }
}
