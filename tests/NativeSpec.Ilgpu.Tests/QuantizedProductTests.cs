using NativeSpec.Backends.Native;
using NativeSpec.Tensors;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Ilgpu.Tests;

/// <summary>Packed weights are multiplied with as what they are, scale · (whole number − offset), read here from the panels as docs/quantized-weights.md describes them.</summary>
[TestFixture(WeightFormat.Q8)]
[TestFixture(WeightFormat.Q4)]
public sealed class QuantizedProductTests(WeightFormat format)
    : OperationFixture(new TestBackend($"ilgpu cpu {format}", 2, () => new IlgpuBackend(TestBackend.SharedDevice, ownsDevice: false, format)))
{
    [TestCase(1, 100, 70)]
    [TestCase(9, 300, 33)]
    public void MatMul_PackedWeights_AgreesWithFloat64OfThePanelsNumbers(int rows, int inputs, int outputs)
    {
        Assume.That(NativeLibraryLoader.WhyMissing, Is.Null, "the native library packs");
        var (first, second) = (Tensor(DType.F32, Floats(outputs * inputs), outputs, inputs).View, Tensor(DType.BF16, Floats(7 * inputs), 7, inputs).View);
        using var weight = Backend.ImportWeight([first, second], [null, null]);
        var x = Floats(rows * inputs);

        var y = Compute(x, inputs, (plan, v) => plan.Project(v, weight));

        using var packer = NativeBackend.TryCreate(null, out _)!;
        double[][] matrix = [.. Unpack(packer, first), .. Unpack(packer, second)];
        AssertClose(y, [.. Enumerable.Range(0, rows).SelectMany(row => matrix.Select(of => of.Select((w, k) => w * x[(row * inputs) + k]).Sum()))], 1e-5);
    }

    [Test]
    public void MatMul_ARowAmongOthers_HasTheBitsItHasAlone()
    {
        Assume.That(NativeLibraryLoader.WhyMissing, Is.Null, "the native library packs");
        const int Inputs = 172, Outputs = 40, Rows = 11;
        using var weight = Backend.ImportWeight([Tensor(DType.BF16, Floats(Outputs * Inputs), Outputs, Inputs).View], [null]);
        var x = Floats(Rows * Inputs);
        var together = Compute(x, Inputs, (plan, rows) => plan.Project(rows, weight));
        for (var row = 0; row < Rows; row++)
        {
            var alone = Compute(x[(row * Inputs)..((row + 1) * Inputs)], Inputs, (plan, rows) => plan.Project(rows, weight));
            Assert.That(alone, Is.EqualTo(together[(row * Outputs)..((row + 1) * Outputs)]));
        }
    }

    private unsafe double[][] Unpack(NativeBackend packer, TensorView matrix)
    {
        var (outputs, inputs) = ((int)matrix.Shape[0], (int)matrix.Shape[1]);
        using var memory = new NativeBuffer<byte>(PackedWeights.Bytes(outputs, inputs, format));
        packer.Pack(matrix, format, memory);
        var rows = new double[outputs][];
        for (var output = 0; output < outputs; output++)
        {
            rows[output] = new double[inputs];
            var panel = memory.Pointer + (output / 32 * PackedWeights.PanelBytes(inputs, format));
            var lane = output % 32;
            for (var k = 0; k < inputs; k++)
            {
                var super = panel + (k / 128 * PackedWeights.SuperBytes(format));
                var numbers = super + PackedWeights.SuperScaleBytes(format);
                var (column, group) = (k % 128, k % 128 / 4);
                var scale = (double)((Half*)super)[(column / PackedWeights.BlockColumns(format) * 32) + lane];
                var whole = format == WeightFormat.Q8
                    ? numbers[(((group * 32) + lane) * 4) + (column % 4)] - 128
                    : ((numbers[(((group / 2 * 32) + lane) * 4) + (column % 4)] >> (group % 2 * 4)) & 0xF) - 8;
                rows[output][k] = scale * whole;
            }
        }

        return rows;
    }
}
