using NativeSpec.Tensors;

namespace NativeSpec.Tests.Backends;

/// <summary>Every combination of shapes and types, where <see cref="MatMulTests"/> has every pair: on the best level of the managed kernels and of the native ones.</summary>
[TestFixtureSource(typeof(TestBackend), nameof(TestBackend.BestOfEach))]
public sealed class MatMulShapeTests(TestBackend backend) : OperationFixture(backend)
{
    [Test]
    public void MatMul_EveryCombination_AgreesWithFloat64([Values(DType.F32, DType.F16, DType.BF16)] DType dtype, [Values(1, 2, 3, 4, 7, 33)] int rows)
    {
        foreach (var inputs in new[] { 1, 12, 64, 172 })
        {
            foreach (var outputs in new[] { 1, 5, 96 })
            {
                var (view, w) = Tensor(dtype, Floats(outputs * inputs), outputs, inputs);
                using var weight = Backend.ImportWeight([view], [null]);
                var x = Floats(rows * inputs);

                var y = Compute(x, inputs, (plan, rows) => plan.Project(rows, weight));

                AssertClose(y, MatMulTests.Reference(w, x, rows, inputs, outputs), (2e-6 * Math.Sqrt(inputs)) + Description.MatMulError(dtype));
            }
        }
    }
}
