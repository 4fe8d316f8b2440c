using ILGPU.Runtime.Cuda;

namespace NativeSpec.Ilgpu.Kernels;

/// <summary>Arithmetic whose roundings are written out where a compiler could choose: it may fuse a product and the sum behind it, and if it fused them in one row
/// of a batch and not in another, or in float64 noise, bits would differ.</summary>
internal interface IArithmetic
{
    /// <summary>a·b + c.</summary>
    static abstract float MultiplyAdd(float a, float b, float c);

    /// <summary>a + b, rounded.</summary>
    static abstract float Add(float a, float b);

    /// <summary>a·b, rounded.</summary>
    static abstract double Multiply(double a, double b);

    /// <summary>a + b, rounded.</summary>
    static abstract double Add(double a, double b);
}

/// <summary>As C# has it: on ILGPU's processor accelerator every operation is rounded. An OpenCL compiler may fuse.</summary>
internal readonly struct PlainArithmetic : IArithmetic
{
    public static float MultiplyAdd(float a, float b, float c) => (a * b) + c;

    public static float Add(float a, float b) => a + b;

    public static double Multiply(double a, double b) => a * b;

    public static double Add(double a, double b) => a + b;
}

/// <summary>In PTX, which says the rounding with the instruction. ILGPU's own products and sums say none, which lets ptxas fuse them.</summary>
internal readonly struct CudaArithmetic : IArithmetic
{
    public static float MultiplyAdd(float a, float b, float c)
    {
        CudaAsm.Emit("fma.rn.f32 %0, %1, %2, %3;", out float result, a, b, c);
        return result;
    }

    public static float Add(float a, float b)
    {
        CudaAsm.Emit("add.rn.f32 %0, %1, %2;", out float result, a, b);
        return result;
    }

    public static double Multiply(double a, double b)
    {
        CudaAsm.Emit("mul.rn.f64 %0, %1, %2;", out double result, a, b);
        return result;
    }

    public static double Add(double a, double b)
    {
        CudaAsm.Emit("add.rn.f64 %0, %1, %2;", out double result, a, b);
        return result;
    }
}
