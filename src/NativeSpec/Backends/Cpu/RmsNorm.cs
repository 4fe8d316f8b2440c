using System.Runtime.CompilerServices;

namespace NativeSpec.Backends.Cpu;

/// <summary>y[i] = x[i] / sqrt(mean(x²) + eps) · gain[i], row by row (Zhang and Sennrich, 2019).</summary>
/// <remarks>x, y: [rows, width]; gain: [width]. Σ x² runs in one vector of partial sums, then the lanes, then the tail.</remarks>
internal static unsafe class RmsNorm
{
    internal struct Arguments
    {
        public float* X;
        public float* Gain;
        public float* Y;
        public int Width;
        public float Epsilon;
    }

    /// <summary>Normalises rows [begin, end).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Work<TSimd, TVector>(void* arguments, int begin, int end)
        where TSimd : ISimd<TVector>
        where TVector : unmanaged
    {
        var a = (Arguments*)arguments;
        for (var row = begin; row < end; row++)
        {
            var x = a->X + ((nint)row * a->Width);
            var y = a->Y + ((nint)row * a->Width);
            var whole = a->Width - (a->Width % TSimd.Width);
            var lanes = TSimd.Create(0);
            for (var i = 0; i < whole; i += TSimd.Width)
            {
                var v = TSimd.Load(x + i);
                lanes = TSimd.MultiplyAdd(v, v, lanes);
            }

            var squares = TSimd.Sum(lanes);
            for (var i = whole; i < a->Width; i++)
            {
                squares += x[i] * x[i];
            }

            var scale = 1f / MathF.Sqrt((squares / a->Width) + a->Epsilon);
            var scales = TSimd.Create(scale);
            for (var i = 0; i < whole; i += TSimd.Width)
            {
                TSimd.Store(TSimd.Multiply(TSimd.Multiply(TSimd.Load(x + i), scales), TSimd.Load(a->Gain + i)), y + i);
            }

            for (var i = whole; i < a->Width; i++)
            {
                y[i] = x[i] * scale * a->Gain[i];
            }
        }
    }
}
