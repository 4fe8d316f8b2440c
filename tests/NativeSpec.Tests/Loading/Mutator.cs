using System.Buffers.Binary;
using System.Text;

namespace NativeSpec.Tests.Loading;

/// <summary>Something that reads hostile bytes. It swallows the exceptions with which it may refuse them and checks again what it
/// accepted; whatever else it throws is a finding.</summary>
internal interface IFuzzTarget
{
    static abstract void Fuzz(ReadOnlySpan<byte> input);
}

/// <summary>Feeds a target with broken versions of good inputs. The same seed gives the same cases.</summary>
internal sealed class Mutator(int seed, params byte[][] corpus)
{
    // What JSON readers, size arithmetic and range checks stumble over.
    private static readonly byte[][] Fragments = [.. new[]
    {
        "0", "-1", "-0", "1.5", "1e999", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616",
        "null", "true", "NaN", "\"\"", "\"x\"", "\"\\ud800\"", "\"\\u0000\"", "{}", "[]", "[[[[", "{\"a\":", ",", ":", "\"", "\\", "}", "]", "\0", "/*", "\u00e9",
        "\"dtype\":\"BF16\"", "\"__metadata__\"", "\"shape\":[0]", "\"data_offsets\":[0,0]", "../", "[0]", "1e-320",
    }.Select(Encoding.UTF8.GetBytes)];

    private static readonly ulong[] Extremes = [0, 1, 2, 7, 8, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 100_000_000, 100_000_001, 1UL << 62, 1UL << 63, ulong.MaxValue];

    private readonly Random _random = new(seed);

    /// <summary>Runs the target on this many cases. A case that does not come back within a minute counts as hung.</summary>
    public void Run<TTarget>(int cases)
        where TTarget : IFuzzTarget
    {
        byte[] input = [];
        var number = 0;
        var run = Task.Run(() =>
        {
            for (; number < cases; number++)
            {
                input = Next();
                TTarget.Fuzz(input);
            }
        });
        try
        {
            Assert.That(run.Wait(TimeSpan.FromMinutes(1)), Is.True, $"case {number} of seed {seed} hangs: {Convert.ToBase64String(input)}");
        }
        catch (AggregateException e)
        {
            Assert.Fail($"case {number} of seed {seed}: {Convert.ToBase64String(input)}\n{e.InnerException}");
        }
    }

    /// <summary>The next case: a good input with one to three faults.</summary>
    public byte[] Next()
    {
        var bytes = Pick(corpus).ToList();
        for (var faults = _random.Next(1, 4); faults > 0; faults--)
        {
            Break(bytes);
        }

        return [.. bytes];
    }

    private void Break(List<byte> bytes)
    {
        var at = _random.Next(bytes.Count + 1);
        switch (_random.Next(7))
        {
            case 0 when at < bytes.Count:
                bytes[at] ^= (byte)(1 << _random.Next(8));
                break;
            case 1 when at < bytes.Count:
                bytes[at] = (byte)_random.Next(256);
                break;
            case 2:
                bytes.RemoveRange(at, bytes.Count - at);
                break;
            case 3:
                bytes.RemoveRange(at, Math.Min(_random.Next(1, 20), bytes.Count - at));
                break;
            case 4:
                bytes.InsertRange(at, Pick(Fragments));
                break;
            case 5 when bytes.Count >= 8:
                WriteExtreme(bytes, _random.Next(2) == 0 ? 0 : _random.Next(bytes.Count - 7));
                break;
            case 6:
                ReplaceNumber(bytes, at);
                break;
            default:
                Splice(bytes, at);
                break;
        }
    }

    private void WriteExtreme(List<byte> bytes, int at)
    {
        Span<byte> field = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(field, Pick(Extremes));
        for (var i = 0; i < 8; i++)
        {
            bytes[at + i] = field[i];
        }
    }

    // Replaces the next run of digits, so that the JSON stays well-formed and the value goes wrong.
    private void ReplaceNumber(List<byte> bytes, int at)
    {
        var begin = bytes.FindIndex(Math.Min(at, bytes.Count), b => b is >= (byte)'0' and <= (byte)'9');
        if (begin >= 0)
        {
            var end = begin;
            while (end < bytes.Count && bytes[end] is >= (byte)'0' and <= (byte)'9')
            {
                end++;
            }

            bytes.RemoveRange(begin, end - begin);
            bytes.InsertRange(begin, Pick(Fragments));
        }
    }

    private void Splice(List<byte> bytes, int at)
    {
        var other = Pick(corpus);
        var from = _random.Next(other.Length);
        bytes.InsertRange(at, other.AsSpan(from, Math.Min(_random.Next(1, 64), other.Length - from)).ToArray());
    }

    private T Pick<T>(T[] from) => from[_random.Next(from.Length)];
}
