using System.Numerics.Tensors;
using NativeSpec.Training.Compute;

namespace NativeSpec.Training.Layers;

/// <summary>y = silu(g) · u with silu(g) = g σ(g) (Shazeer, 2020). With dy = ∂loss/∂y:
/// <code>
/// du = dy · silu(g)        dg = dy · u · σ(g) · (1 + g · (1 − σ(g)))
/// </code></summary>
/// <remarks>gateUp: [rows, 2·width], g before u; y: [rows, width]. Both take rows [begin, end).</remarks>
internal sealed unsafe class SwiGlu(int width)
{
    public void Forward(Matrix gateUp, Matrix y, int begin, int end)
    {
        for (var row = begin; row < end; row++)
        {
            var gate = gateUp.Pointer + ((nint)row * gateUp.Columns);
            SwiGluKernels.Forward(gate, gate + width, y.Pointer + ((nint)row * y.Columns), width);
        }
    }

    public void Backward(Matrix gateUp, Matrix dy, Matrix dGateUp, int begin, int end)
    {
        for (var row = begin; row < end; row++)
        {
            var gate = gateUp.Pointer + ((nint)row * gateUp.Columns);
            var dGate = dGateUp.Pointer + ((nint)row * dGateUp.Columns);
            SwiGluKernels.Backward(gate, gate + width, dy.Pointer + ((nint)row * dy.Columns), dGate, dGate + width, width);
        }
    }
}

/// <summary>silu'(z) = σ(z) · (1 + z · (1 − σ(z))).</summary>
internal static class Silu
{
    /// <summary>The slope at z, where σ(z) is known; the three spans have one length.</summary>
    public static void Slope(ReadOnlySpan<float> z, ReadOnlySpan<float> sigmoid, Span<float> slope)
    {
        TensorPrimitives.Subtract(1f, sigmoid, slope);
        TensorPrimitives.Multiply(slope, z, slope);
        TensorPrimitives.Add(slope, 1f, slope);
        TensorPrimitives.Multiply(slope, sigmoid, slope);
    }
}
