namespace NativeSpec.Ilgpu.Kernels;

/// <summary>One number of an element type, as it lies in memory.</summary>
/// <typeparam name="TStored">What holds it.</typeparam>
internal interface IReadElement<TStored>
    where TStored : unmanaged
{
    /// <summary>Its value, exactly.</summary>
    static abstract float Load(TStored stored);
}

/// <summary>One that is written too: keys and values.</summary>
/// <typeparam name="TStored">What holds it.</typeparam>
internal interface IElement<TStored> : IReadElement<TStored>
    where TStored : unmanaged
{
    /// <summary>The nearest that the type has.</summary>
    static abstract TStored Store(float value);
}

internal readonly struct F32Element : IElement<float>
{
    public static float Load(float stored) => stored;

    public static float Store(float value) => value;
}

internal readonly struct BF16Element : IElement<ushort>
{
    public static float Load(ushort stored) => Bits.BFloat16(stored);

    public static ushort Store(float value) => (ushort)Bits.ToBFloat16(value);
}

/// <summary>Embeddings alone are looked up as binary16: it is read and never written.</summary>
internal readonly struct F16Element : IReadElement<ushort>
{
    public static float Load(ushort stored) => Bits.Half(stored);
}
