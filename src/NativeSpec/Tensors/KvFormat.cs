namespace NativeSpec.Tensors;

/// <summary>How keys and values are held.</summary>
public enum KvFormat
{
    /// <summary>As they are computed; on a CUDA device as two BF16 parts, with 16 of the 24 bits of their significand.</summary>
    F32,

    /// <summary>Rounded to the nearest BF16, ties to even, and widened again where attention reads them: half the memory. Every text is still the same with
    /// and without speculation, alone and among others; it may be another one than with F32.</summary>
    BF16,
}
