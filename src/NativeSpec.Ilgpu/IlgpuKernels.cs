using NativeSpec.Ilgpu.Kernels;

namespace NativeSpec.Ilgpu;

/// <summary>How a matrix lies in device memory.</summary>
internal enum MatrixFormat
{
    F32,
    F16,
    BF16,
    Q8,
    Q4,
    /// <summary>BF16 in the tiles of tensor cores.</summary>
    Tiles,
}

/// <summary>The kernels of a device that know no cache; <see cref="DeviceKv{TElement,TStored}"/> has the others.</summary>
internal sealed class IlgpuKernels
{
    private IlgpuKernels(IlgpuDevice device, Dictionary<MatrixFormat, Kernel<MatMul.Arguments>> products, Kernel<Choose.Arguments> weighChoices, Kernel<Choose.Arguments> answer)
    {
        (Products, WeighChoices, Answer) = (products, weighChoices, answer);
        EmbedF32 = device.Load<Embed.Arguments<float>>(Embed.Run<F32Element, float>);
        EmbedF16 = device.Load<Embed.Arguments<ushort>>(Embed.Run<F16Element, ushort>);
        EmbedBF16 = device.Load<Embed.Arguments<ushort>>(Embed.Run<BF16Element, ushort>);
        Gather = device.Load<Gather.Arguments>(Kernels.Gather.Run);
        SumSquares = device.Load<RmsNorm.Arguments>(RmsNorm.SumSquares);
        ScaleRows = device.Load<RmsNorm.Arguments>(RmsNorm.Scale);
        NormHeads = device.Load<RmsNorm.HeadArguments>(RmsNorm.Heads);
        Finish = device.Load<Finish.Arguments>(Kernels.Finish.Run);
        SwiGlu = device.Load<Finish.Arguments>(Kernels.SwiGlu.Run);
        AddSilu = device.Load<Finish.Arguments>(Kernels.AddSilu.Run);
        PackHalves = device.Load<PackWeights.Arguments<ushort>>(PackWeights.Halves);
        PackFloats = device.Load<PackWeights.Arguments<float>>(PackWeights.Floats);
        FindHighest = device.Load<Choose.Arguments>(Choose.FindHighest);
        CollectTop = device.Load<TopK.Arguments>(TopK.Collect);
        PlaceTop = device.Load<TopK.Arguments>(TopK.Place);
    }

    public Kernel<Embed.Arguments<float>> EmbedF32 { get; }

    public Kernel<Embed.Arguments<ushort>> EmbedF16 { get; }

    public Kernel<Embed.Arguments<ushort>> EmbedBF16 { get; }

    public Kernel<Gather.Arguments> Gather { get; }

    public Kernel<RmsNorm.Arguments> SumSquares { get; }

    public Kernel<RmsNorm.Arguments> ScaleRows { get; }

    public Kernel<RmsNorm.HeadArguments> NormHeads { get; }

    /// <summary>Products, by how the weights lie.</summary>
    public IReadOnlyDictionary<MatrixFormat, Kernel<MatMul.Arguments>> Products { get; }

    public Kernel<Finish.Arguments> Finish { get; }

    public Kernel<Finish.Arguments> SwiGlu { get; }

    public Kernel<Finish.Arguments> AddSilu { get; }

    public Kernel<PackWeights.Arguments<ushort>> PackHalves { get; }

    public Kernel<PackWeights.Arguments<float>> PackFloats { get; }

    public Kernel<Choose.Arguments> FindHighest { get; }

    public Kernel<Choose.Arguments> WeighChoices { get; }

    public Kernel<Choose.Arguments> Answer { get; }

    public Kernel<TopK.Arguments> CollectTop { get; }

    public Kernel<TopK.Arguments> PlaceTop { get; }

    /// <summary>The kernels of a device with its arithmetic.</summary>
    public static IlgpuKernels Of<TArithmetic>(IlgpuDevice device)
        where TArithmetic : struct, IArithmetic
        => new(
            device,
            new()
            {
                [MatrixFormat.F32] = device.Load<MatMul.Arguments>(MatMul.Run<F32Format, TArithmetic>),
                [MatrixFormat.F16] = device.Load<MatMul.Arguments>(MatMul.Run<F16Format, TArithmetic>),
                [MatrixFormat.BF16] = device.Load<MatMul.Arguments>(MatMul.Run<BF16Format, TArithmetic>),
                [MatrixFormat.Q8] = device.Load<MatMul.Arguments>(MatMul.Run<Q8Format, TArithmetic>),
                [MatrixFormat.Q4] = device.Load<MatMul.Arguments>(MatMul.Run<Q4Format, TArithmetic>),
            },
            device.Load<Choose.Arguments>(Choose.Weigh<TArithmetic>),
            device.Load<Choose.Arguments>(Choose.Answer<TArithmetic>));
}
