using NativeSpec.Ilgpu.Kernels;
using NativeSpec.Tests.Backends;

namespace NativeSpec.Ilgpu.Tests.Kernels;

/// <summary>The operands of tensor cores. The product itself runs on CUDA devices alone; here its kernel's loop is replayed from what the packing kernels leave, with the fragments that the
/// PTX ISA documents for mma.m16n8k16, so that a wrong lane, word, step or segment shows.</summary>
public sealed class MatMulTilesTests
{
    [TestCase(1, 16, 16)]
    [TestCase(3, 40, 100)]
    [TestCase(11, 37, 172)]
    [TestCase(8, 96, 600)] // more than a segment
    public void Pack_WeightsAndRows_AreTheFragmentsOfTheProduct(int rows, int outputs, int inputs)
    {
        var device = TestBackend.SharedDevice;
        var random = new Random(rows);
        var weights = Array.ConvertAll(new ushort[outputs * inputs], _ => (ushort)Bits.ToBFloat16((float)random.NextDouble() - 0.5f));
        var x = Array.ConvertAll(new float[rows * inputs], _ => (float)random.NextDouble() - 0.5f);
        var (steps, wide, firstPart) = ((inputs + 15) / 16, (int)DeviceRows.Whole(outputs, MatMul.Lanes), outputs / 3);
        var segmentSteps = MatMul.SegmentChunks(wide, (inputs + 7) / 8) / 2;
        using var packed = device.Allocate<Word4>((long)wide / MatMulTiles.Outputs * steps * MatMulTiles.Lanes);
        foreach (var (first, count) in new[] { (0, firstPart), (firstPart, outputs - firstPart) }) // a stack whose second part begins inside a tile
        {
            using var source = device.Allocate<ushort>(count * inputs);
            source.Upload(weights.AsSpan(first * inputs, count * inputs));
            device.Kernels.PackTiles.Launch((long)count * steps * 8, new MatMulTiles.PackArguments { Source = source.View, Words = packed.As<uint>(), First = first, In = inputs, Steps = steps });
        }

        using var values = new DeviceRows(device, rows, inputs);
        for (var row = 0; row < rows; row++)
        {
            values.Write(row, x.AsSpan(row * inputs, inputs));
        }

        var eights = (rows + 7) / 8;
        using var operand = device.Allocate<Word4>((long)eights * steps * MatMulTiles.Lanes);
        device.Kernels.PackTileRows.Launch(operand.Length, new MatMulTiles.RowArguments { X = values.View, Packed = operand.View, Stride = values.Stride, Steps = steps });
        var (a, b) = (new Word4[packed.Length], new Word4[operand.Length]);
        packed.Download(a);
        operand.Download(b);

        for (var row = 0; row < rows; row++)
        {
            for (var output = 0; output < outputs; output++)
            {
                double expected = 0, scale = 0;
                for (var k = 0; k < inputs; k++)
                {
                    var product = (double)Bits.BFloat16(weights[(output * inputs) + k]) * x[(row * inputs) + k];
                    (expected, scale) = (expected + product, scale + Math.Abs(product));
                }

                Assert.That(Replay(a, b, output, row, steps, segmentSteps), Is.EqualTo(expected).Within(scale * Math.Pow(2, -15)), $"output {output} of row {row}");
            }
        }
    }

    [TestCase(float.PositiveInfinity)]
    [TestCase(float.NaN)]
    public void PackRows_WhatIsNoNumber_LeavesNoSecondPart(float value)
    {
        var device = TestBackend.SharedDevice;
        using var values = new DeviceRows(device, 1, 16);
        values.Write(0, [value]);
        using var operand = device.Allocate<Word4>(MatMulTiles.Lanes);
        device.Kernels.PackTileRows.Launch(operand.Length, new MatMulTiles.RowArguments { X = values.View, Packed = operand.View, Stride = values.Stride, Steps = 1 });
        var packed = new Word4[operand.Length];
        operand.Download(packed);
        Assert.That(Bits.BFloat16(packed[0].X & 0xFFFF), Is.EqualTo(value));
        Assert.That(packed[0].Z & 0xFFFF, Is.Zero);
    }

    /// <summary>One number of the product: where the lanes of a warp hold what it is made of.</summary>
    private static double Replay(Word4[] weights, Word4[] rows, int output, int row, int steps, int segmentSteps)
    {
        var sum = 0.0;
        for (var first = 0; first < steps; first += segmentSteps)
        {
            for (var step = first; step < Math.Min(first + segmentSteps, steps); step++)
            {
                for (var k = 0; k < 16; k++)
                {
                    // A: groupID = lane / 4 is the row, threadID = lane mod 4 the pair of columns; a0 and a1 rows g and g + 8, a2 and a3 eight columns on.
                    var inTile = output % 16;
                    var a = weights[(((output / 16 * steps) + step) * 32) + (inTile % 8 * 4) + (k % 8 / 2)];
                    var word = (inTile / 8, k / 8) switch { (0, 0) => a.X, (1, 0) => a.Y, (0, 1) => a.Z, _ => a.W };

                    // B: groupID is the column, threadID the pair of rows; b0 rows 0 to 7, b1 rows 8 to 15.
                    var b = rows[(((row / 8 * steps) + step) * 32) + (row % 8 * 4) + (k % 8 / 2)];
                    var (high, low) = k / 8 == 0 ? (b.X, b.Z) : (b.Y, b.W);
                    sum += (double)Part(word, k) * ((double)Part(high, k) + Part(low, k));
                }
            }
        }

        return sum;
    }

    private static float Part(uint word, int k) => Bits.BFloat16(k % 2 == 0 ? word & 0xFFFF : word >> 16);
}
