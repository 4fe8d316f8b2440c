using NativeSpec.Tensors;

namespace NativeSpec.Backends;

/// <summary>Cosines and sines of a model's rotation angles, a row for each position: angle(position, i) = position · frequency(i). They are computed in
/// float64 when a position is first reached, rounded once, and stay where they are, so a batch names positions and no angles; a device has a copy of its
/// own.</summary>
internal sealed unsafe class RotationAngles : IDisposable
{
    private const int Together = 1024; // positions from which on several threads share the work

    private readonly double[] _frequencies;
    private readonly double _magnitude;
    private readonly NativeBuffer<float> _cos;
    private readonly NativeBuffer<float> _sin;

    /// <summary>Makes room; nothing is computed yet.</summary>
    /// <param name="frequencies">[rotated elements of a head / 2] angle per position.</param>
    /// <param name="magnitude">What cosines and sines are multiplied by.</param>
    /// <param name="positions">Positions that may be reached.</param>
    public RotationAngles(double[] frequencies, double magnitude, int positions)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(frequencies.Length, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(positions, 1);
        (_frequencies, _magnitude, Positions) = (frequencies, magnitude, positions);
        _cos = new NativeBuffer<float>(checked((long)positions * frequencies.Length));
        _sin = new NativeBuffer<float>(checked((long)positions * frequencies.Length));
    }

    /// <summary>Rotated elements of a head.</summary>
    public int RotaryDim => 2 * _frequencies.Length;

    /// <summary>Positions that may be reached.</summary>
    public int Positions { get; }

    /// <summary>Positions that were reached: all before this one.</summary>
    public int Known { get; private set; }

    /// <summary>[position, rotaryDim/2] cosines of those that were reached.</summary>
    public float* Cos => Here(_cos);

    /// <summary>[position, rotaryDim/2] sines of those that were reached.</summary>
    public float* Sin => Here(_sin);

    /// <summary>Computes the angles of all positions up to one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no room for it.</exception>
    public void Reach(int position)
    {
        ObjectDisposedException.ThrowIf(_cos.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Positions);
        if (position - Known >= Together)
        {
            Parallel.For(Known, position + 1, Compute); // of a device, which has all at once
        }
        else
        {
            for (var next = Known; next <= position; next++)
            {
                Compute(next);
            }
        }

        Known = Math.Max(Known, position + 1);
    }

    private void Compute(int position)
    {
        float* cos = _cos.Pointer + ((long)position * _frequencies.Length), sin = _sin.Pointer + ((long)position * _frequencies.Length);
        for (var i = 0; i < _frequencies.Length; i++)
        {
            var (s, c) = Math.SinCos(position * _frequencies[i]);
            cos[i] = (float)(c * _magnitude);
            sin[i] = (float)(s * _magnitude);
        }
    }

    private float* Here(NativeBuffer<float> buffer)
    {
        ObjectDisposedException.ThrowIf(buffer.IsClosed, this);
        return buffer.Pointer;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }
}
