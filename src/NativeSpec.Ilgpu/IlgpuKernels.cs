using System.Reflection;
using ILGPU;
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
}

/// <summary>The kernels of a device. They are compiled when they are first launched.</summary>
internal sealed class IlgpuKernels
{
    private readonly IlgpuDevice _device;
    private readonly List<MethodInfo> _methods = [];

    private IlgpuKernels(
        IlgpuDevice device, Dictionary<MatrixFormat, Action<Index1D, Loop, MatMul.Arguments>> products, Action<Index1D, Loop, Choose.Arguments> weighChoices,
        Action<Index1D, Loop, Choose.Arguments> answer, Func<IlgpuKernels, KvKernels<float>> f32Kv, Func<IlgpuKernels, KvKernels<ushort>> bf16Kv)
    {
        _device = device;
        EmbedF32 = Load<Embed.Arguments<float>>(Embed.Run<F32Element, float>);
        EmbedF16 = Load<Embed.Arguments<ushort>>(Embed.Run<F16Element, ushort>);
        EmbedBF16 = Load<Embed.Arguments<ushort>>(Embed.Run<BF16Element, ushort>);
        Gather = Load<Gather.Arguments>(Kernels.Gather.Run);
        SumSquares = Load<RmsNorm.Arguments>(RmsNorm.SumSquares);
        ScaleRows = Load<RmsNorm.Arguments>(RmsNorm.Scale);
        NormHeads = Load<RmsNorm.HeadArguments>(RmsNorm.Heads);
        Products = products.ToDictionary(product => product.Key, product => Load(product.Value));
        PackHalves = Load<PackWeights.Arguments<ushort>>(PackWeights.Halves);
        PackFloats = Load<PackWeights.Arguments<float>>(PackWeights.Floats);
        Tiles = Load<MatMulTiles.Arguments>(MatMulTiles.Run, MatMulTiles.GroupThreads);
        PackTiles = Load<MatMulTiles.PackArguments>(MatMulTiles.Pack);
        PackTileRows = Load<MatMulTiles.RowArguments>(MatMulTiles.PackRows);
        Finish = Load<Finish.Arguments>(Kernels.Finish.Run);
        SwiGlu = Load<Finish.Arguments>(Kernels.SwiGlu.Run);
        AddSilu = Load<Finish.Arguments>(Kernels.AddSilu.Run);
        F32Kv = f32Kv(this);
        BF16Kv = bf16Kv(this);
        FindHighest = Load<Choose.Arguments>(Choose.FindHighest);
        WeighChoices = Load(weighChoices);
        Answer = Load(answer);
        CollectTop = Load<TopK.Arguments>(TopK.Collect);
        PlaceTop = Load<TopK.Arguments>(TopK.Place);
    }

    public Kernel<Embed.Arguments<float>> EmbedF32 { get; }

    public Kernel<Embed.Arguments<ushort>> EmbedF16 { get; }

    public Kernel<Embed.Arguments<ushort>> EmbedBF16 { get; }

    public Kernel<Gather.Arguments> Gather { get; }

    public Kernel<RmsNorm.Arguments> SumSquares { get; }

    public Kernel<RmsNorm.Arguments> ScaleRows { get; }

    public Kernel<RmsNorm.HeadArguments> NormHeads { get; }

    /// <summary>Products, by how the weights lie.</summary>
    public Dictionary<MatrixFormat, Kernel<MatMul.Arguments>> Products { get; }

    public Kernel<PackWeights.Arguments<ushort>> PackHalves { get; }

    public Kernel<PackWeights.Arguments<float>> PackFloats { get; }

    /// <summary>Products by tensor cores.</summary>
    public Kernel<MatMulTiles.Arguments> Tiles { get; }

    public Kernel<MatMulTiles.PackArguments> PackTiles { get; }

    public Kernel<MatMulTiles.RowArguments> PackTileRows { get; }

    public Kernel<Finish.Arguments> Finish { get; }

    public Kernel<Finish.Arguments> SwiGlu { get; }

    public Kernel<Finish.Arguments> AddSilu { get; }

    /// <summary>Those that know a cache of floats.</summary>
    public KvKernels<float> F32Kv { get; set; }

    /// <summary>Those that know a cache of BF16.</summary>
    public KvKernels<ushort> BF16Kv { get; }

    public Kernel<Choose.Arguments> FindHighest { get; }

    public Kernel<Choose.Arguments> WeighChoices { get; }

    public Kernel<Choose.Arguments> Answer { get; }

    public Kernel<TopK.Arguments> CollectTop { get; }

    public Kernel<TopK.Arguments> PlaceTop { get; }

    /// <summary>What is compiled for all of them.</summary>
    public IReadOnlyList<MethodInfo> Methods => _methods;

    /// <summary>The kernels of a device with its arithmetic.</summary>
    public static IlgpuKernels Of<TArithmetic>(IlgpuDevice device)
        where TArithmetic : struct, IArithmetic
        => new(
            device,
            new()
            {
                [MatrixFormat.F32] = MatMul.Run<F32Format, TArithmetic>,
                [MatrixFormat.F16] = MatMul.Run<F16Format, TArithmetic>,
                [MatrixFormat.BF16] = MatMul.Run<BF16Format, TArithmetic>,
                [MatrixFormat.Q8] = MatMul.Run<Q8Format, TArithmetic>,
                [MatrixFormat.Q4] = MatMul.Run<Q4Format, TArithmetic>,
            },
            Choose.Weigh<TArithmetic>,
            Choose.Answer<TArithmetic>,
            kernels => kernels.LoadKv<F32Element, float, TArithmetic>(),
            kernels => kernels.LoadKv<BF16Element, ushort, TArithmetic>());

    private Kernel<TArguments> Load<TArguments>(Action<Index1D, Loop, TArguments> body, int? groupThreads = null)
        where TArguments : struct
    {
        _methods.Add(body.Method);
        return new Kernel<TArguments>(_device, body, groupThreads);
    }

    private KvKernels<TStored> LoadKv<TElement, TStored, TArithmetic>()
        where TElement : struct, IElement<TStored>
        where TStored : unmanaged
        where TArithmetic : struct, IArithmetic
        => new(
            Load<Rope.Arguments<TStored>>(Rope.Run<TElement, TStored>),
            Load<TreeAttention.Arguments<TStored>>(TreeAttention.Score<TElement, TStored, TArithmetic>),
            Load<TreeAttention.Arguments<TStored>>(TreeAttention.Weigh<TStored, TArithmetic>),
            Load<TreeAttention.Arguments<TStored>>(TreeAttention.AddValues<TElement, TStored, TArithmetic>),
            Load<TreeAttention.Arguments<TStored>>(TreeAttention.Fold<TStored, TArithmetic>),
            Load<MoveKvRows.Arguments<TStored>>(MoveKvRows.Run));
}

/// <summary>The kernels that know how keys and values are held.</summary>
internal sealed record KvKernels<TStored>(
    Kernel<Rope.Arguments<TStored>> Rope, Kernel<TreeAttention.Arguments<TStored>> Score, Kernel<TreeAttention.Arguments<TStored>> Weigh,
    Kernel<TreeAttention.Arguments<TStored>> AddValues, Kernel<TreeAttention.Arguments<TStored>> Fold, Kernel<MoveKvRows.Arguments<TStored>> Move)
    where TStored : unmanaged;
