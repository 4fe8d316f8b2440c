using System.Numerics.Tensors;
using NativeSpec.Sampling;

namespace NativeSpec.Tests.Sampling;

/// <summary>The maximum of a row against the library's, which is slower.</summary>
public sealed class LogitScanTests
{
    private static readonly float[] Values = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, 0f, -0f, 5f, float.MaxValue];

    /// <summary>Each value at each place of rows that end within, at and after a step.</summary>
    [Test]
    public void MaxOrNaN_AnyValueAnywhere_IsTheLibrarys([Values(1, 31, 32, 33, 64, 95)] int length)
    {
        var random = new Random(length);
        float[] below = [.. Enumerable.Range(0, length).Select(_ => -1 - random.NextSingle())];
        for (var place = 0; place < length; place++)
        {
            foreach (var value in Values)
            {
                float[] row = [.. below];
                row[place] = value;
                Assert.That(LogitScan.MaxOrNaN(row), Is.EqualTo(TensorPrimitives.Max<float>(row)), $"{value} at {place} of {length}");
            }
        }
    }

    [Test]
    public void MaxOrNaN_NothingButMinusInfinity_IsThat()
        => Assert.That(LogitScan.MaxOrNaN(Enumerable.Repeat(float.NegativeInfinity, 40).ToArray()), Is.EqualTo(float.NegativeInfinity));

    [Test]
    public void IndexOf_TheFirstOfEqualOnes_WhateverTheSignOfZero()
    {
        float[] row = [.. Enumerable.Repeat(-1f, 40)];
        (row[7], row[35]) = (-0f, 0f);
        Assert.That(LogitScan.IndexOf(row, LogitScan.Max(row, 0)), Is.EqualTo(7));
    }
}
