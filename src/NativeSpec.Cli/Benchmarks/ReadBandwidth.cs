using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeSpec.Tensors;

namespace NativeSpec.Cli.Benchmarks;

/// <summary>How fast some threads read memory together: each adds up its own part of a buffer that no cache holds.</summary>
internal sealed unsafe class ReadBandwidth : IDisposable
{
    private const long Size = 1L << 30; // well beyond last-level caches
    private readonly NativeBuffer<byte> _buffer;
    private readonly int _threads;
    private ulong _sum; // somebody looks at what was read, so that it has to be read

    /// <summary>Makes the buffer.</summary>
    /// <param name="threads">Threads that read.</param>
    /// <param name="size">Its bytes, fewer where the machine has little memory.</param>
    public ReadBandwidth(int threads, long size = Size)
    {
        _threads = threads;
        // On small machines what is left after the model; a quarter of the memory still exceeds the caches.
        _buffer = new NativeBuffer<byte>(Math.Min(size, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4));
        for (var at = 0L; at < _buffer.Length; at += 1 << 20)
        {
            _buffer.Slice(at, (int)Math.Min(1 << 20, _buffer.Length - at)).Fill(1); // untouched pages would all be the same zero page
        }
    }

    /// <summary>The buffer's bytes.</summary>
    public long Bytes => _buffer.Length;

    /// <summary>GB (10⁹ bytes) per second of one pass over the buffer.</summary>
    public double Measure()
    {
        var part = _buffer.Length / _threads / 512 * 512;
        using var gate = new Barrier(_threads);
        var others = new Thread[_threads - 1];
        for (var i = 0; i < others.Length; i++)
        {
            var begin = (i + 1) * part;
            others[i] = new Thread(() =>
            {
                gate.SignalAndWait();
                Interlocked.Add(ref _sum, Sum(_buffer.Pointer + begin, part));
                gate.SignalAndWait();
            });
            others[i].Start();
        }

        gate.SignalAndWait();
        var began = Stopwatch.GetTimestamp();
        Interlocked.Add(ref _sum, Sum(_buffer.Pointer, part));
        gate.SignalAndWait();
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        Array.ForEach(others, thread => thread.Join());
        return _sum == 0 ? throw new InvalidOperationException("the buffer is full of ones and their sum is zero") : part * _threads / seconds / 1e9;
    }

    public void Dispose() => _buffer.Dispose();

    /// <summary>Four chains of adds over 64-byte vectors: as fast as loads can be issued.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Sum(byte* data, long length)
    {
        var (a, b, c, d) = (Vector512<ulong>.Zero, Vector512<ulong>.Zero, Vector512<ulong>.Zero, Vector512<ulong>.Zero);
        for (var at = 0L; at + 256 <= length; at += 256)
        {
            a += Vector512.Load((ulong*)(data + at));
            b += Vector512.Load((ulong*)(data + at + 64));
            c += Vector512.Load((ulong*)(data + at + 128));
            d += Vector512.Load((ulong*)(data + at + 192));
        }

        return Vector512.Sum(a + b + c + d);
    }
}
