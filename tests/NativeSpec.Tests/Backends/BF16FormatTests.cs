using NativeSpec.Backends.Cpu;

namespace NativeSpec.Tests.Backends;

/// <summary>Rounding to BF16: to the nearest, ties to even.</summary>
public sealed class BF16FormatTests
{
    [TestCase(0x3F800000u, 0x3F80u)]                             // 1
    [TestCase(0x3F808000u, 0x3F80u, Description = "a tie, down to even")]
    [TestCase(0x3F818000u, 0x3F82u, Description = "a tie, up to even")]
    [TestCase(0x3F808001u, 0x3F81u)]
    [TestCase(0xBF817FFFu, 0xBF81u)]
    [TestCase(0x3FFFFFFFu, 0x4000u, Description = "into the next exponent")]
    [TestCase(0x7F7FFFFFu, 0x7F80u, Description = "too large: infinite")]
    [TestCase(0xFF800000u, 0xFF80u)]
    [TestCase(0x00000001u, 0x0000u)]
    [TestCase(0x80000000u, 0x8000u)]
    public void Round_TakesTheNearest(uint value, uint expected)
        => Assert.That((uint)BF16Format.Round(BitConverter.UInt32BitsToSingle(value)), Is.EqualTo(expected));

    [TestCase(0x7F800001u)]
    [TestCase(0x7FFFFFFFu, Description = "rounding up would carry into the sign")]
    [TestCase(0xFFC00000u)]
    public void Round_WhatIsNotANumber_StaysSo(uint value)
        => Assert.That(BitConverter.UInt32BitsToSingle((uint)BF16Format.Round(BitConverter.UInt32BitsToSingle(value)) << 16), Is.NaN);
}
